/*
 * descriptor_epoll.c - epoll instances with their watches.
 *
 * A watch belongs to a description and to the number it had when it was added. The number may have
 * been closed or used for something else since, while a dup keeps the description alive; the watch
 * then still fires, and a clone must have it too.
 */
#include "guest/clone/descriptors.h"

#include "base/fd.h"
#include "guest/clone/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Adding a watch that exists fails with EEXIST. One that is added by asking so is taken out again.
 */
static bool has_watch(int epoll, int number)
{
	struct epoll_event event = { .events = EPOLLET };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, number, &event) < 0)
		return errno == EEXIST;
	epoll_ctl(epoll, EPOLL_CTL_DEL, number, NULL);
	return false;
}

/* Puts a description at another number for a moment. */
struct disguise {
	int number, saved, flags;
};

static int disguise_begin(struct disguise *x, int fd, int number)
{
	*x = (struct disguise){ .number = number, .flags = fcntl(number, F_GETFD), .saved = -1 };
	if (x->flags >= 0) {
		x->saved = fcntl(number, F_DUPFD_CLOEXEC, 0);
		if (x->saved < 0)
			return -errno;
	}
	if (dup3(fd, number, O_CLOEXEC) < 0) {
		int r = -errno;

		x->saved = fd_close(x->saved);
		return r;
	}
	return 0;
}

static void disguise_end(struct disguise *x)
{
	if (x->saved < 0) {
		close(x->number);
		return;
	}
	dup3(x->saved, x->number, x->flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	x->saved = fd_close(x->saved);
}

static bool is_watched_as(int epoll, const struct descriptor *candidate, int number)
{
	struct disguise x;
	bool found;

	if (disguise_begin(&x, candidate->number, number) < 0)
		return false;
	found = has_watch(epoll, number);
	disguise_end(&x);
	return found;
}

static bool is_taken(const struct descriptor *d, int number, const struct descriptor *target)
{
	for (size_t i = 0; i < d->watches.count; i++) {
		const struct watch *w = &d->watches.all[i];

		if (w->number == number && (w->target ? w->target->first : NULL) == target)
			return true;
	}
	return false;
}

/* The description, by its first descriptor, that d watches under a number it no longer has. */
static const struct descriptor *find_stale(
	struct survey *s, const struct descriptor *d, int number, ino_t inode)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct descriptor *c = &s->all[i];

		if (c->first != c || c->is_path || c->inode != inode || c == d->first)
			continue;
		if (!is_taken(d, number, c) && is_watched_as(d->number, c, number))
			return c;
	}
	return NULL;
}

static int watch_add(struct survey *s, struct descriptor *d, const struct watch *watch)
{
	if (!arena_grow(&s->t->arena, (void **)&d->watches.all, &d->watches.capacity,
		    d->watches.count, sizeof(*watch)))
		return -ENOMEM;
	d->watches.all[d->watches.count++] = *watch;
	return 0;
}

/* A line of fdinfo: "tfd: N events: HEX data: HEX pos:N ino:HEX sdev:HEX". */
static int watch_parse(struct survey *s, struct descriptor *d, const char *line)
{
	const char *events = strstr(line, "events:"), *data = strstr(line, "data:");
	const char *inode = strstr(line, "ino:");
	struct watch watch = { .number = atoi(line) };
	const struct descriptor *current = survey_find(s, watch.number);
	ino_t number_of_inode;

	if (!events || !data || !inode)
		return 0;
	watch.event.events = (uint32_t)strtoul(events + strlen("events:"), NULL, 16);
	watch.event.data.u64 = strtoull(data + strlen("data:"), NULL, 16);
	number_of_inode = strtoul(inode + strlen("ino:"), NULL, 16);
	if (current && current->inode == number_of_inode &&
		!is_taken(d, watch.number, current->first) && has_watch(d->number, watch.number)) {
		watch.target = current;
		return watch_add(s, d, &watch);
	}
	watch.target = find_stale(s, d, watch.number, number_of_inode);
	if (watch.target)
		return watch_add(s, d, &watch);
	descriptor_note(s, d,
		"an epoll instance that watches descriptor %d, which is open in another process "
		"only; "
		"in clones it does not",
		watch.number);
	return 0;
}

static int epoll_survey(struct survey *s, struct descriptor *d)
{
	const char *line;
	char *text;
	int r = descriptor_info(s, d, &text);

	if (r < 0)
		return r;
	for (line = procfs_field(text, "tfd:"); line; line = procfs_field(line, "tfd:")) {
		r = watch_parse(s, d, line);
		if (r < 0)
			return r;
		line = strchr(line, '\n');
		if (!line)
			break;
	}
	return 0;
}

static int epoll_remake(const struct descriptor *d)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : descriptor_place(d, fd);
}

/* What the caller closed, or replaced by something that cannot be watched, is watched no more. */
static bool may_fail(const struct descriptor *target)
{
	return target->ignored || target->replaced;
}

static int watch_restore(const struct descriptor *d, const struct watch *watch)
{
	struct epoll_event event = watch->event;
	struct disguise x;
	int r;

	if (watch->target->number == watch->number) {
		r = epoll_ctl(d->number, EPOLL_CTL_ADD, watch->number, &event);
		return r == 0 || may_fail(watch->target) ? 0 : -errno;
	}
	r = disguise_begin(&x, watch->target->number, watch->number);
	if (r < 0)
		return may_fail(watch->target) ? 0 : r;
	r = epoll_ctl(d->number, EPOLL_CTL_ADD, watch->number, &event) < 0 ? -errno : 0;
	disguise_end(&x);
	return may_fail(watch->target) ? 0 : r;
}

int epoll_add_watches(const struct survey *s, const struct descriptor *d)
{
	(void)s;
	for (size_t i = 0; i < d->watches.count; i++) {
		int r = watch_restore(d, &d->watches.all[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

const struct descriptor_kind epoll_kind = { epoll_survey, epoll_remake };
