/*
 * child.h - what a process does between being cloned from the spawner and its own life.
 *
 * A child has one thread and a copy of the spawner's small memory. It ends in exec or in the loop
 * of a function's init; a step that fails is one sentence on its console (an init has none:
 * standard error) and exit code 127.
 */
#pragma once

#include "base/err.h"
#include "base/fd.h"
#include "base/macros.h"
#include "supervisor/launch/spawner.h"

#define CHILD_FAILED 127 /* exit status */

struct child {
	struct spawn_request *request;
	struct fd_message message; /* the descriptors that came with the request */
	int supervisor_pidfd;
	const struct root_spec *root;
};

_Noreturn void child_run_init(struct child *child);
_Noreturn void child_run_runtime(struct child *child);

/* child_isolate.c */
_Noreturn void child_run_isolate(struct child *child);

/* child_berth.c */
_Noreturn void child_run_berth(struct child *child);

/* What they have in common: the end, with the sentence on the console; and the program of the request,
 * with the first two descriptors as channel and console. */
_Noreturn void child_fail(int console, const struct err *e);
_Noreturn void child_exec(struct child *child);

/* The descriptor of the request with this index, or -1. */
int child_fd(const struct child *child, size_t index);

/* Another child of the supervisor. cgroup: a directory to be made in, or -1. */
pid_t child_clone(uint64_t flags, int cgroup);

/* Takes the descriptors of control groups off the end of the message, and enters those of v1, which
 * what is cloned from here inherits. *ret_cgroup: the directory of v2, or -1. 0 or -errno. */
int child_enter_groups(struct child *child, int *ret_cgroup) MUST_CHECK;
