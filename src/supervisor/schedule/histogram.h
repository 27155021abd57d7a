/*
 * histogram.h - how long things took: counts in fixed buckets, as Prometheus wants them.
 */
#pragma once

#include "base/buffer.h"
#include "base/usec.h"

#define HISTOGRAM_BUCKETS 22

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS + 1]; /* the last: above all bounds */
	uint64_t count;
	usec_t sum;
};

void histogram_add(struct histogram *h, usec_t value);

/* Appends _bucket, _sum and _count lines in seconds; labels: `a="b"`. */
void histogram_render(
	const struct histogram *h, const char *name, const char *labels, struct buffer *ret);
