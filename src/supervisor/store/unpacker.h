/*
 * unpacker.h - runs the confined process that unpacks an archive (unpack.h), and waits for it.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

/* What unpacker_run() can come to, apart from 0 and a negative errno. */
enum unpacker_outcome {
	UNPACKER_INVALID = 1, /* the archive is at fault; the sentence says why */
};

/* Unpacks into an empty directory. Blocks until the process has ended. */
int unpacker_run(const void *archive, size_t size, int directory, struct err *e) MUST_CHECK;
