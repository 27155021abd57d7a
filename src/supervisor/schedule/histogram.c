/*
 * histogram.c - see histogram.h.
 */
#include "supervisor/schedule/histogram.h"

#include <inttypes.h>

/* Fine around the aims of a launch (200 and 500 microseconds), coarse up to the longest timeout. */
static const usec_t histogram_bounds[HISTOGRAM_BUCKETS] = { 50, 100, 150, 200, 250, 300, 400, 500,
	750, 1000, 1500, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000,
	30000000, 900000000 };

void histogram_add(struct histogram *h, usec_t value)
{
	size_t i = 0;

	while (i < HISTOGRAM_BUCKETS && value > histogram_bounds[i])
		i++;
	h->counts[i]++;
	h->count++;
	h->sum += value;
}

void histogram_render(
	const struct histogram *h, const char *name, const char *labels, struct buffer *ret)
{
	uint64_t below = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		below += h->counts[i];
		buffer_printf(ret, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
			(double)histogram_bounds[i] / USEC_PER_SEC, below);
	}
	buffer_printf(ret, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, h->count);
	buffer_printf(ret, "%s_sum{%s} %.6f\n", name, labels, (double)h->sum / USEC_PER_SEC);
	buffer_printf(ret, "%s_count{%s} %" PRIu64 "\n", name, labels, h->count);
}
