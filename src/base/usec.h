/*
 * usec.h - the one time type: microseconds in 64 bits.
 */
#pragma once

#include <stdint.h>
#include <time.h>

typedef uint64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_INFINITY UINT64_MAX

static inline usec_t usec_of_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* For intervals and deadlines; the same in every process of the machine. */
static inline usec_t usec_monotonic(void)
{
	return usec_of_clock(CLOCK_MONOTONIC);
}

/* For what people and clients read: microseconds since 1970. */
static inline usec_t usec_realtime(void)
{
	return usec_of_clock(CLOCK_REALTIME);
}
