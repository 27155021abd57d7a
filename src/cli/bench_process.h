/*
 * bench_process.h - how much memory the processes of a supervisor have, read from /proc.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include <sys/types.h>

struct bench_process {
	pid_t pid;
	uint64_t private_kb; /* RssAnon */
	uint64_t huge_kb;    /* of these, in huge pages */
};

/*
 * The function template below a supervisor that has warmed one function: of its children that are
 * one pid namespace deeper than itself, the one with the most private memory. (Runtime templates
 * are not deeper, isolates are deeper by one more, a function's init has next to no memory.)
 * 0, or -ESRCH when there is none.
 */
int bench_process_find_template(pid_t supervisor, struct bench_process *ret) MUST_CHECK;
