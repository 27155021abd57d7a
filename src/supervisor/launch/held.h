/*
 * held.h - how much memory the processes of an isolate hold.
 *
 * For a worker: the kernel may walk page tables for it. What a tenant can do about the answer is to
 * make it too small, never too large, by keeping memory where no process has it mapped or open (a
 * descriptor on its way through a socket); the control group of the function counts that too.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>

struct held {
	uint64_t anonymous_kb; /* pages that several of its processes share counted once */
	uint64_t shared_kb;    /* memory files and shared memory, /tmp not included */
	uint64_t tmp_kb;       /* files in /tmp */
	uint32_t processes;
};

/* Of the isolate whose first process is `pid`; berth: whether the init of its namespace is another, and
 * ours. 0, or -errno when it is gone. */
int held_by_isolate(pid_t pid, bool berth, struct held *ret) MUST_CHECK;

/* Of one process: resident anonymous and shared memory. 0 or -errno. */
int held_by_process(pid_t pid, struct held *ret) MUST_CHECK;
