/*
 * features.h - what the kernel and the machine can do, what each gives and what its absence weakens.
 *
 * One table, without control groups, which describe themselves; `polyvisor doctor` prints it, `serve` says once what is missing, and `--isolation strict`
 * refuses to start without what strict isolation rests on.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

enum feature_need {
	FEATURE_REQUIRED, /* nothing runs without it */
	FEATURE_STRICT,   /* --isolation strict refuses to start without it */
	FEATURE_USEFUL,
};

enum feature_state {
	FEATURE_PRESENT,
	FEATURE_PARTIAL,
	FEATURE_ABSENT,
};

struct feature {
	const char *name, *gives, *without;
	enum feature_need need;
	/* May write at most `size` bytes of detail, such as a version, NUL-terminated. */
	enum feature_state (*probe)(char *detail, size_t size);
};

/* The table and its length. Probes fork and make namespaces: before the supervisor has threads. */
const struct feature *features_table(size_t *ret_count);
