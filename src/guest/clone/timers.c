/*
 * timers.c - the timers of a process that a fork loses.
 *
 * An interval timer is set again in a clone. A POSIX timer cannot be: its number is the kernel's
 * choice, and the program has stored it; so the owner of the template is told.
 */
#include "guest/clone/template.h"

#include "guest/clone/procfs.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

int timers_survey(struct clone_template *t, struct err *e)
{
	char *text;
	int r = procfs_read_all(&t->arena, "/proc/self/timers", &text);

	raw_syscall(SYS_getitimer, ITIMER_REAL, &t->interval_timer);
	if (r == -ENOENT) /* a kernel without checkpoint support does not list them */
		return 0;
	if (r < 0)
		return err_described(e, r, "Cannot list the timers of this process");
	for (const char *line = procfs_field(text, "ID:"); line; line = procfs_field(line, "ID:"))
		template_note(t,
			"POSIX timer %d does not exist in clones; make it in the handler or in an "
			"after-restore hook",
			atoi(line));
	return 0;
}

void timers_restore(const struct clone_template *t)
{
	struct itimerval timer = t->interval_timer;
	usec_t left = (usec_t)timer.it_value.tv_sec * USEC_PER_SEC + (usec_t)timer.it_value.tv_usec;
	usec_t passed = usec_monotonic() - t->parked_at;

	if (left == 0)
		return;
	left = left > passed ? left - passed : 1;
	timer.it_value.tv_sec = (time_t)(left / USEC_PER_SEC);
	timer.it_value.tv_usec = (suseconds_t)(left % USEC_PER_SEC);
	raw_syscall(SYS_setitimer, ITIMER_REAL, &timer, NULL);
}
