/*
 * settle.c - waiting until a process has come to rest before it is parked.
 *
 * Threads that are still compiling or collecting would be frozen half way, and every clone would do
 * the rest of their work again.
 */
#include "guest/clone/template.h"

#include "guest/clone/procfs.h"

#include <time.h>
#include <unistd.h>

#define WINDOW_US 500   /* how long to look */
#define QUIET_US 25     /* CPU that others may use in it: timers, ticks of a virtual machine */
#define QUIET_WINDOWS 3 /* in a row, so that a pause between two tasks does not count */

/* The kernel's number for the CPU clock of one thread, from its <linux/posix-timers.h>. */
#define CLOCK_OF_THREAD(tid) ((clockid_t)(~(unsigned)(tid) << 3 | 6))

struct usage {
	pid_t self;
	int threads;
	usec_t time;
};

/*
 * The clock of the whole process would be less work, but counts a thread that is running only up to
 * its last tick, several windows ago.
 */
static int usage_add(void *data, int tid, int directory)
{
	struct usage *usage = data;
	struct timespec t;

	(void)directory;
	if (tid == usage->self || clock_gettime(CLOCK_OF_THREAD(tid), &t) < 0)
		return 0;
	usage->threads++;
	usage->time += (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
	return 0;
}

static struct usage usage_of_others(void)
{
	struct usage usage = { .self = gettid() };

	if (procfs_each_number("/proc/self/task", usage_add, &usage) < 0)
		usage.threads = -1;
	return usage;
}

/* One that waits for a CPU uses none, but will. */
static int is_running(void *data, int tid, int directory)
{
	const pid_t *self = data;

	(void)directory;
	return tid != *self && procfs_thread_state(tid) == 'R';
}

static bool others_sleep(pid_t self)
{
	return procfs_each_number("/proc/self/task", is_running, &self) == 0;
}

bool process_settle(usec_t limit)
{
	const struct timespec window = { .tv_nsec = WINDOW_US * 1000 };
	usec_t end = usec_monotonic() + limit;
	struct usage before = usage_of_others();
	int quiet = before.threads > 0 ? 0 : QUIET_WINDOWS;

	while (quiet < QUIET_WINDOWS) {
		struct usage now;

		if (usec_monotonic() >= end)
			return false;
		nanosleep(&window, NULL);
		now = usage_of_others();
		if (now.threads == before.threads && now.time <= before.time + QUIET_US)
			quiet++;
		else
			quiet = 0;
		if (quiet == QUIET_WINDOWS && !others_sleep(now.self))
			quiet = 0;
		before = now;
	}
	return true;
}
