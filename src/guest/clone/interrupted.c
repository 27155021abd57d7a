/*
 * interrupted.c - system calls that end with EINTR because their thread was parked.
 *
 * The kernel restarts some calls after a handler with SA_RESTART and ends the others with EINTR:
 * epoll_wait, poll, nanosleep, timed futex waits and so on. A program without signal handlers of
 * its own has never seen that, so such a call is issued again, where this is sure to be right:
 *
 * - Only calls from a list, all of which change nothing when they end with EINTR (unlike close()).
 * - Waits without limit and until a point in time are exact when issued again.
 * - A timeout that the kernel leaves in memory (ppoll, select, nanosleep with a remainder) is what
 *   was left when the thread parked.
 * - A timeout in a register (poll, epoll_wait) is shortened by the time spent parked. It is never
 *   too short, and too long by at most what had passed before parking.
 * - A relative futex wait gets its EINTR: whoever calls futex() must expect to wake without cause.
 *
 * Which call it was is not in the signal frame. The cloner looks before it sends the signal; if
 * what it saw does not agree with the frame, because the thread went on, the code of the call
 * tells. Only a thread that enters a wait by libc's syscall() in that very moment sees an EINTR.
 */
#include "guest/clone/template.h"

#include "guest/clone/procfs.h"

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void blocked_call_read(pid_t tid, struct blocked_call *ret)
{
	char text[256], *at = text, *end;
	unsigned long values[8];

	ret->number = -1;
	procfs_thread_text(tid, "syscall", text, sizeof(text));
	long number = strtol(at, &end, 10);
	if (end == at)
		return; /* "running" */
	for (size_t i = 0; i < array_size(values); i++) {
		at = end;
		values[i] = strtoul(at, &end, 16);
		if (end == at)
			return;
	}
	memcpy(ret->arguments, values, sizeof(ret->arguments));
	ret->stack_pointer = values[6];
	ret->program_counter = values[7];
	ret->number = number;
}

static bool futex_is_exact(const struct blocked_call *call)
{
	unsigned long operation = call->arguments[1] & FUTEX_CMD_MASK;

	if (call->arguments[3] == 0)
		return true;
	return operation == FUTEX_WAIT_BITSET || operation == FUTEX_LOCK_PI ||
	       operation == FUTEX_LOCK_PI2 || operation == FUTEX_WAIT_REQUEUE_PI;
}

#define NONE -1

/* The calls of the list; arguments are counted from 0. */
static const struct rule {
	long number;
	int timeout; /* argument with a timeout in milliseconds */
	int request,
		remainder; /* arguments with a time to sleep, and where the kernel left the rest */
} rules[] = {
	{ SYS_futex, NONE, NONE, NONE },
	{ SYS_futex_waitv, NONE, NONE, NONE },
#ifdef SYS_epoll_wait /* the newer architectures have only the calls with a signal mask */
	{ SYS_epoll_wait, 3, NONE, NONE },
	{ SYS_poll, 2, NONE, NONE },
	{ SYS_select, NONE, NONE, NONE },
	{ SYS_pause, NONE, NONE, NONE },
#endif
	{ SYS_epoll_pwait, 3, NONE, NONE },
	{ SYS_epoll_pwait2, NONE, NONE, NONE },
	{ SYS_ppoll, NONE, NONE, NONE },
	{ SYS_pselect6, NONE, NONE, NONE },
	{ SYS_nanosleep, NONE, 0, 1 },
	{ SYS_clock_nanosleep, NONE, 2, 3 },
	{ SYS_rt_sigsuspend, NONE, NONE, NONE },
	{ SYS_rt_sigtimedwait, NONE, NONE, NONE },
	{ SYS_semop, NONE, NONE, NONE },
	{ SYS_semtimedop, NONE, NONE, NONE },
	{ SYS_msgrcv, NONE, NONE, NONE },
	{ SYS_msgsnd, NONE, NONE, NONE },
	{ SYS_io_getevents, NONE, NONE, NONE },
	/* These end with EINTR on a socket with a timeout. */
	{ SYS_read, NONE, NONE, NONE },
	{ SYS_readv, NONE, NONE, NONE },
	{ SYS_recvfrom, NONE, NONE, NONE },
	{ SYS_recvmsg, NONE, NONE, NONE },
	{ SYS_accept, NONE, NONE, NONE },
	{ SYS_accept4, NONE, NONE, NONE },
};

static const struct rule *rule_of(const struct blocked_call *call)
{
	if (call->number == SYS_futex && !futex_is_exact(call))
		return NULL;
	for (size_t i = 0; i < array_size(rules); i++)
		if (rules[i].number == call->number)
			return &rules[i];
	return NULL;
}

static bool sleeps_until(const struct blocked_call *call)
{
	return call->number == SYS_clock_nanosleep && (call->arguments[1] & TIMER_ABSTIME);
}

void blocked_call_prepare(struct thread *thread)
{
	struct blocked_call *call = &thread->call;
	const struct rule *rule;

	thread->timeout_argument = NONE;
	if (!arch_find_interrupted(thread->context, call))
		return;
	rule = rule_of(call);
	if (!rule)
		return;
	arch_reissue(thread->context, call);
	thread->timeout_argument = rule->timeout;
	if (rule->request != NONE && call->arguments[rule->remainder] && !sleeps_until(call))
		arch_set_argument(
			thread->context, (size_t)rule->request, call->arguments[rule->remainder]);
}

void blocked_call_adjust(const struct thread *thread, usec_t parked_for)
{
	int timeout, passed = (int)min_of(parked_for / USEC_PER_MSEC, (usec_t)INT32_MAX);

	if (thread->timeout_argument < 0)
		return;
	timeout = (int)thread->call.arguments[thread->timeout_argument];
	if (timeout > 0)
		arch_set_argument(thread->context, (size_t)thread->timeout_argument,
			(unsigned long)max_of(timeout - passed, 0));
}
