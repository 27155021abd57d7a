/*
 * confine.h - how the process that unpacks archives gives up what it does not need.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

/*
 * Leaves the calling process its open descriptors up to `directory`, the right to make files below
 * that directory, and little else: no capability, no other file, no network, no new process, a
 * bounded amount of time and memory; and ends it with its parent. What an older kernel lacks is
 * left out. 0 or -errno with the sentence.
 */
int confine_unpacker(int directory, uint64_t file_size_max, struct err *e) MUST_CHECK;
