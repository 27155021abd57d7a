/*
 * metrics.h - the figures of GET /metrics, in Prometheus' text format.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"

struct supervisor;

/* Appends the whole document: 0 or -ENOMEM. Functions that were never invoked have no lines. */
int metrics_render(struct supervisor *supervisor, struct buffer *ret) MUST_CHECK;

/* Appends a JSON array with one object per runtime: 0 or -ENOMEM. */
int runtimes_render(struct supervisor *supervisor, struct buffer *ret) MUST_CHECK;
