/*
 * bench.h - what the parts of `polyvisor bench` share.
 *
 * A bench runs against a supervisor of its own, made for it and ended with it, or one that the
 * user names with --endpoint. Its samples are microseconds as they were measured; percentiles are
 * those of the samples themselves, never interpolated.
 */
#pragma once

#include "base/err.h"
#include "base/usec.h"
#include "cli/cli.h"

#include <stdbool.h>
#include <sys/types.h>

/* Set by the signals that end a bench, so that what it made is removed first. */
bool bench_interrupted(void);
void bench_catch_signals(void);

struct bench_samples {
	double *values;
	size_t count, capacity;
};

void bench_samples_done(struct bench_samples *samples);
int bench_samples_add(struct bench_samples *samples, double value) MUST_CHECK;
/* Sorts them first. percent is of 100; 0 where there are none. */
double bench_samples_percentile(struct bench_samples *samples, unsigned percent);

/* A supervisor in a temporary folder. */
struct bench_supervisor {
	char *folder;   /* NULL: not started */
	char *endpoint; /* unix:... */
	int pidfd;
	pid_t pid;
};

int bench_supervisor_start(struct bench_supervisor *supervisor, struct err *e) MUST_CHECK;
void bench_supervisor_stop(struct bench_supervisor *supervisor);

/*
 * The floor: a process that does nothing but fork. It has touched as much private memory as the
 * process it is compared with, in pages of the same sizes, and measures from the call of clone()
 * to the first instruction of the child.
 */
struct bench_floor {
	int socket;
	pid_t pid;
};

int bench_floor_start(
	struct bench_floor *floor, uint64_t kb, uint64_t huge_kb, struct err *e) MUST_CHECK;
int bench_floor_sample(struct bench_floor *floor, double *ret_us, struct err *e) MUST_CHECK;
void bench_floor_stop(struct bench_floor *floor);

/* The system's memory that is free for use, in KB, once it does not change any more. */
int bench_memory_available(double *ret_kb, struct err *e) MUST_CHECK;

struct bench_launch_options {
	const char *runtime, *launch;
	uint64_t count;
	bool no_memory;
};

struct bench_launch {
	struct bench_samples launch, floor;
	bool has_memory; /* not for exec, which has no spares to count, nor if not asked for */
	double memory_per_isolate_kb; /* below zero where other work on the machine freed more */
	uint64_t template_kb, template_huge_kb;
	char version[64];
};

void bench_launch_done(struct bench_launch *result);
int bench_launch(struct cli *cli, const struct bench_launch_options *options,
	struct bench_launch *ret, struct err *e) MUST_CHECK;
