/*
 * settle.c - waiting until a process has come to rest before it is parked.
 *
 * Threads that are still compiling or collecting would be frozen half way, and every clone would do
 * the rest of their work again.
 */
#include "guest/clone/template.h"

#include <sys/stat.h>
#include <time.h>

#define WINDOW_US 1000  /* how long to look */
#define QUIET_US 50     /* CPU that others may use in it: timers, ticks of a virtual machine */
#define QUIET_WINDOWS 3 /* in a row, so that a pause between two tasks does not count */

static usec_t others_cpu_time(void)
{
	return usec_of_clock(CLOCK_PROCESS_CPUTIME_ID) - usec_of_clock(CLOCK_THREAD_CPUTIME_ID);
}

/* A directory has as many links as it has directories in it, itself and two more. */
static bool has_other_threads(void)
{
	struct stat s;

	return stat("/proc/self/task", &s) < 0 || s.st_nlink != 3;
}

bool process_settle(usec_t limit)
{
	const struct timespec window = { .tv_nsec = WINDOW_US * 1000 };
	usec_t end = usec_monotonic() + limit;
	usec_t before = others_cpu_time();
	int quiet = has_other_threads() ? 0 : QUIET_WINDOWS;

	while (quiet < QUIET_WINDOWS) {
		usec_t after;

		if (usec_monotonic() >= end)
			return false;
		nanosleep(&window, NULL);
		after = others_cpu_time();
		quiet = after <= before + QUIET_US ? quiet + 1 : 0;
		before = after;
	}
	return true;
}
