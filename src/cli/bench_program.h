/*
 * bench_program.h - the benches that are a program of their own, in Python, beside ours.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct bench_program {
	const char *name, *summary;
};

/* Ended by one without a name. */
extern const struct bench_program bench_programs[];

const struct bench_program *bench_program_find(const char *name);

/* Executes the bench with the words that follow its name, ended by NULL; returns only to fail. */
int bench_program_execute(
	const struct bench_program *bench, bool json, char **words, struct err *e) MUST_CHECK;
