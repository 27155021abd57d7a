/*
 * descriptor_events.c - eventfd, timerfd, signalfd and inotify.
 */
#include "guest/clone/descriptors.h"

#include "base/fd.h"
#include "guest/clone/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <linux/ioctl.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC 1000000000
#define SET_TICKS _IOW('T', 0, uint64_t) /* TFD_IOC_SET_TICKS, not in the C library's headers */
#define CLOCK_LAST_ORDINARY CLOCK_BOOTTIME

/* A number from one line of a description, or a default where the kernel does not print it. */
static unsigned long long info_number(const char *text, const char *key, int base)
{
	const char *value = procfs_field(text, key);

	return value ? strtoull(value, NULL, base) : 0;
}

static int finish(const struct descriptor *d, int fd, int made_with)
{
	int r = descriptor_set_status(d, fd, made_with);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return descriptor_place(d, fd);
}

static int eventfd_survey(struct survey *s, struct descriptor *d)
{
	char *text;
	int r = descriptor_info(s, d, &text);

	if (r < 0)
		return r;
	d->event.count = info_number(text, "eventfd-count:", 16);
	d->event.semaphore = info_number(text, "eventfd-semaphore:", 10) != 0;
	return 0;
}

static int eventfd_remake(const struct descriptor *d)
{
	int flags = d->status & O_NONBLOCK;
	int fd = eventfd(0, EFD_CLOEXEC | flags | (d->event.semaphore ? EFD_SEMAPHORE : 0));

	if (fd < 0)
		return -errno;
	if (d->event.count && write(fd, &d->event.count, sizeof(d->event.count)) < 0) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	return finish(d, fd, flags);
}

const struct descriptor_kind eventfd_kind = { eventfd_survey, eventfd_remake };

static struct timespec time_add(struct timespec a, struct timespec b)
{
	struct timespec sum = { a.tv_sec + b.tv_sec, a.tv_nsec + b.tv_nsec };

	if (sum.tv_nsec >= NSEC_PER_SEC) {
		sum.tv_sec++;
		sum.tv_nsec -= NSEC_PER_SEC;
	}
	return sum;
}

/* Without CAP_WAKE_ALARM nobody may make the clocks that wake a machine; a clone need not. */
static int clock_ordinary(int clock)
{
	if (clock == CLOCK_REALTIME_ALARM)
		return CLOCK_REALTIME;
	return clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock;
}

/*
 * Reads what is left and the unread ticks. timerfd_gettime() comes first, since it moves a periodic
 * timer to its next expiry and counts the past ones as ticks.
 */
static int timer_read(struct survey *s, struct descriptor *d, struct itimerspec *ret_left)
{
	char *text;
	int r;

	if (timerfd_gettime(d->number, ret_left) < 0)
		return -errno;
	r = descriptor_info(s, d, &text);
	if (r < 0)
		return r;
	d->timer.clock = clock_ordinary((int)info_number(text, "clockid:", 10));
	d->timer.flags = (int)info_number(text, "settime flags:", 8);
	d->timer.ticks = info_number(text, "ticks:", 10);
	return 0;
}

static bool is_zero(struct timespec t)
{
	return t.tv_sec == 0 && t.tv_nsec == 0;
}

/*
 * Nothing left and no tick is a timer that is not armed, or one whose time has come and whose
 * interrupt has not. The second is over in a moment.
 */
static int timer_read_settled(struct survey *s, struct descriptor *d, struct itimerspec *ret_left)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int r = timer_read(s, d, ret_left);

	if (r < 0 || s->timers_waited || d->timer.ticks || !is_zero(ret_left->it_value))
		return r;
	nanosleep(&moment, NULL);
	s->timers_waited = true;
	return timer_read(s, d, ret_left);
}

/*
 * The next expiry is kept in absolute time: a clone made an hour later finds the timer expired, as
 * it would had it slept. A timer with an interval is armed whatever is left.
 */
static int timerfd_survey(struct survey *s, struct descriptor *d)
{
	struct itimerspec left;
	struct timespec now;
	int r = timer_read_settled(s, d, &left);

	if (r < 0)
		return r;
	d->timer.armed = !is_zero(left.it_value) || !is_zero(left.it_interval);
	if (clock_gettime(d->timer.clock, &now) < 0)
		return -errno;
	d->timer.next.it_value = time_add(now, left.it_value);
	d->timer.next.it_interval = left.it_interval;
	return 0;
}

/* Ticks that nobody has read yet; where the kernel cannot set them, one expiry stands for them. */
static int ticks_restore(const struct descriptor *d, int fd)
{
	const struct itimerspec at_once = { .it_value = { .tv_nsec = 1 } };

	if (d->timer.ticks == 0 || ioctl(fd, SET_TICKS, &d->timer.ticks) == 0 || d->timer.armed)
		return 0;
	return timerfd_settime(fd, TFD_TIMER_ABSTIME, &at_once, NULL) < 0 ? -errno : 0;
}

static int timerfd_remake(const struct descriptor *d)
{
	int flags = d->status & O_NONBLOCK, r = 0;
	int fd = timerfd_create(d->timer.clock, TFD_CLOEXEC | flags);

	if (fd < 0)
		return -errno;
	if (d->timer.armed &&
		timerfd_settime(fd, TFD_TIMER_ABSTIME | d->timer.flags, &d->timer.next, NULL) < 0)
		r = -errno;
	if (r == 0)
		r = ticks_restore(d, fd);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return finish(d, fd, flags);
}

const struct descriptor_kind timerfd_kind = { timerfd_survey, timerfd_remake };

static int signalfd_survey(struct survey *s, struct descriptor *d)
{
	char *text;
	int r = descriptor_info(s, d, &text);

	if (r < 0)
		return r;
	d->signals = info_number(text, "sigmask:", 16);
	return 0;
}

static int signalfd_remake(const struct descriptor *d)
{
	int flags = d->status & O_NONBLOCK;
	long fd = raw_syscall(
		SYS_signalfd4, -1, &d->signals, sizeof(d->signals), SFD_CLOEXEC | flags);

	return fd < 0 ? (int)fd : finish(d, (int)fd, flags);
}

const struct descriptor_kind signalfd_kind = { signalfd_survey, signalfd_remake };

static int inotify_survey(struct survey *s, struct descriptor *d)
{
	char *text;
	int r = descriptor_info(s, d, &text);

	if (r < 0)
		return r;
	if (procfs_field(text, "inotify wd:"))
		descriptor_note(s, d,
			"an inotify instance; in clones it watches nothing, so add "
			"the watches in the handler or in an after-restore hook");
	return 0;
}

static int inotify_remake(const struct descriptor *d)
{
	int flags = d->status & O_NONBLOCK;
	int fd = inotify_init1(IN_CLOEXEC | flags);

	return fd < 0 ? -errno : finish(d, fd, flags);
}

const struct descriptor_kind inotify_kind = { inotify_survey, inotify_remake };
