/*
 * descriptors.c - surveying the descriptors of a template, and making them again in a clone.
 */
#include "guest/clone/descriptors.h"

#include "base/fd.h"
#include "guest/clone/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct descriptor *survey_find(const struct survey *s, int number)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->all[middle].number == number)
			return &s->all[middle];
		if (s->all[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int descriptor_info(struct survey *s, const struct descriptor *d, char **ret_text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", d->number);
	return procfs_read_all(&s->t->arena, path, ret_text);
}

void descriptor_note(struct survey *s, const struct descriptor *d, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	template_note(s->t, "Descriptor %d is %s", d->number, text);
}

int content_append(struct survey *s, struct descriptor *d, const void *data, size_t size)
{
	struct content *content = arena_alloc(&s->t->arena, sizeof(*content) + size);
	struct content **end = &d->content;

	if (!content)
		return -ENOMEM;
	content->size = size;
	memcpy(content->data, data, size);
	while (*end)
		end = &(*end)->next;
	*end = content;
	return 0;
}

static int descriptor_add(void *data, int number, int directory)
{
	struct survey *s = data;
	struct descriptor *d;
	struct stat status;

	if (number == directory)
		return 0;
	if (!arena_grow(&s->t->arena, (void **)&s->all, &s->capacity, s->count, sizeof(*d)))
		return -ENOMEM;
	if (fstat(number, &status) < 0)
		return errno == EBADF ? 0 : -errno;
	d = &s->all[s->count++];
	*d = (struct descriptor){
		.number = number,
		.status = fcntl(number, F_GETFL),
		.close_on_exec = fcntl(number, F_GETFD) & FD_CLOEXEC,
		.mode = status.st_mode,
		.device = status.st_dev,
		.inode = status.st_ino,
	};
	d->is_path = d->status & O_PATH;
	return 0;
}

static const struct {
	const char *link; /* how /proc/self/fd/N begins */
	const struct descriptor_kind *kind;
} kinds[] = {
	{ "anon_inode:[eventfd]", &eventfd_kind },
	{ "anon_inode:[eventpoll]", &epoll_kind },
	{ "anon_inode:[timerfd]", &timerfd_kind },
	{ "anon_inode:[signalfd]", &signalfd_kind },
	{ "anon_inode:inotify", &inotify_kind },
	{ "pipe:[", &pipe_kind },
};

static const struct descriptor_kind *kind_of(const struct descriptor *d)
{
	char path[64], link[64] = "";

	if (d->is_path)
		return NULL;
	if (S_ISSOCK(d->mode))
		return &socket_kind;
	if (S_ISREG(d->mode) || S_ISDIR(d->mode))
		return &file_kind;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", d->number);
	if (readlink(path, link, sizeof(link) - 1) < 0)
		return NULL;
	for (size_t i = 0; i < array_size(kinds); i++)
		if (strncmp(link, kinds[i].link, strlen(kinds[i].link)) == 0)
			return kinds[i].kind;
	return NULL;
}

/*
 * Two descriptors share a description if what is set on one shows on the other. The signal of
 * F_SETSIG serves: it means nothing without O_ASYNC, and every kind of file has it. kcmp() would
 * say so directly, but sandboxes deny it.
 */
static bool shows(const struct descriptor *a, const struct descriptor *b, int mark)
{
	return fcntl(a->number, F_SETSIG, mark) == 0 && fcntl(b->number, F_GETSIG) == mark;
}

static bool is_same_description(const struct descriptor *a, const struct descriptor *b)
{
	int before = fcntl(a->number, F_GETSIG);
	bool same;

	if (before < 0 || fcntl(b->number, F_GETSIG) != before)
		return false;
	same = shows(a, b, 63) && shows(a, b, 62);
	fcntl(a->number, F_SETSIG, before);
	return same;
}

static void find_first(struct survey *s, struct descriptor *d)
{
	d->first = d;
	for (struct descriptor *c = s->all; !d->is_path && c < d; c++) {
		if (c->first != c || c->is_path || c->inode != d->inode || c->device != d->device ||
			c->status != d->status || !is_same_description(c, d))
			continue;
		d->first = c;
		return;
	}
}

static bool is_ignored(const struct clone_options *options, int number)
{
	for (size_t i = 0; i < options->ignored_count; i++)
		if (options->ignored_fds[i] == number)
			return true;
	return false;
}

/* A description that the caller looks after under one number stays as it is under all of them. */
static void classify_all(struct survey *s, const struct clone_options *options)
{
	for (size_t i = 0; i < s->count; i++) {
		struct descriptor *d = &s->all[i];

		find_first(s, d);
		d->ignored = is_ignored(options, d->number);
		if (d->ignored)
			d->first->group_ignored = true;
	}
	for (size_t i = 0; i < s->count; i++) {
		struct descriptor *d = &s->all[i];

		if (d->first == d && !d->group_ignored)
			d->kind = kind_of(d);
	}
}

/*
 * Devices have no state of ours, and a process descriptor has none at all; of the rest, which is
 * rare, clones share what there is.
 */
static void shared_note(struct survey *s, const struct descriptor *d)
{
	char path[64], link[64] = "";

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", d->number);
	if (d->is_path || readlink(path, link, sizeof(link) - 1) < 0)
		return;
	if (S_ISFIFO(d->mode))
		descriptor_note(s, d, "the named pipe %s; all clones share it", link);
	else if (strncmp(link, "anon_inode:", 11) == 0 && !strstr(link, "pidfd"))
		descriptor_note(s, d, "an %s; all clones share it", link);
}

int descriptors_survey(struct clone_template *t, const struct clone_options *options, struct err *e)
{
	struct survey *s = arena_alloc(&t->arena, sizeof(*s));
	int r;

	if (!s)
		return err_described(e, -ENOMEM, "Cannot record the descriptors of this process");
	s->t = t;
	t->survey = s;
	r = procfs_each_number("/proc/thread-self/fd", descriptor_add, s);
	if (r < 0)
		return err_described(e, r, "Cannot list the descriptors of this process");
	classify_all(s, options);
	for (size_t i = 0; i < s->count; i++) {
		struct descriptor *d = &s->all[i];

		if (d->kind)
			r = d->kind->survey(s, d);
		else if (d->first == d && !d->group_ignored)
			shared_note(s, d);
		if (r < 0)
			return err_described(e, r, "Cannot record descriptor %d", d->number);
	}
	return 0;
}

int descriptor_place(const struct descriptor *d, int fd)
{
	int r = 0;

	if (fd == d->number && !d->replaced)
		return d->close_on_exec || fcntl(fd, F_SETFD, 0) == 0 ? 0 : -errno;
	if (!d->replaced)
		r = dup3(fd, d->number, d->close_on_exec ? O_CLOEXEC : 0);
	r = r < 0 ? -errno : 0;
	fd_close(fd);
	return r;
}

int descriptor_place_both(
	const struct descriptor *d, int fd, const struct descriptor *other, int other_fd)
{
	int r;

	/* If the caller closed d's number, the kernel may have picked it for the other end. */
	if (other_fd == d->number) {
		other_fd = fcntl(other_fd, F_DUPFD_CLOEXEC, max_of(d->number, other->number) + 1);
		if (other_fd < 0)
			return -errno;
	}
	r = descriptor_place(d, fd);
	return r < 0 ? r : descriptor_place(other, other_fd);
}

int descriptor_set_status(const struct descriptor *d, int fd, int made_with)
{
	const int settable = O_NONBLOCK | O_APPEND | O_DIRECT | O_NOATIME;

	if (((d->status ^ made_with) & settable) == 0)
		return 0;
	return fcntl(fd, F_SETFL, d->status & settable) < 0 ? -errno : 0;
}

static int replace(struct survey *s, const struct clone_descriptor *replacement)
{
	struct descriptor *d = survey_find(s, replacement->number);
	int flags = fcntl(replacement->fd, F_GETFD), r;

	if (flags < 0)
		return -errno;
	if (replacement->keep_flags && d && d->status & O_NONBLOCK) {
		r = fd_set_nonblocking(replacement->fd, true);
		if (r < 0)
			return r;
	}
	if (d) {
		d->replaced = true;
		flags = d->close_on_exec ? FD_CLOEXEC : 0;
	}
	if (replacement->fd == replacement->number)
		return fcntl(replacement->fd, F_SETFD, flags) < 0 ? -errno : 0;
	if (dup3(replacement->fd, replacement->number, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		return -errno;
	fd_close(replacement->fd);
	return 0;
}

/* The dups of what was replaced go with it. */
static int follow(struct survey *s, const struct descriptor *replaced)
{
	for (size_t i = 0; i < s->count; i++) {
		struct descriptor *d = &s->all[i];

		if (d->first != replaced->first || d->replaced || d->ignored)
			continue;
		if (dup3(replaced->number, d->number, d->close_on_exec ? O_CLOEXEC : 0) < 0)
			return -errno;
		d->replaced = true;
	}
	return 0;
}

static int replace_all(struct survey *s, const struct clone_descriptor *replacements, size_t count,
	int *ret_failed_fd)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		*ret_failed_fd = replacements[i].number;
		r = replace(s, &replacements[i]);
	}
	for (size_t i = 0; i < count && r == 0; i++) {
		const struct descriptor *d = survey_find(s, replacements[i].number);

		*ret_failed_fd = replacements[i].number;
		if (d)
			r = follow(s, d);
	}
	return r;
}

static int remake_one(const struct descriptor *d)
{
	const struct descriptor *first = d->first;

	if (!first->kind || d->replaced)
		return 0;
	if (first == d)
		return d->kind->remake(d);
	if (first->replaced)
		return 0;
	return dup3(first->number, d->number, d->close_on_exec ? O_CLOEXEC : 0) < 0 ? -errno : 0;
}

/* A file is opened again through its old descriptor. */
static bool can_close(const struct descriptor *d)
{
	return d->first->kind && d->first->kind != &file_kind && !d->replaced;
}

/*
 * Closes all that will be made again. New descriptors get the lowest free number, and are made in
 * ascending order, so that most of them come where they belong and need no dup3() and close().
 */
static void close_all(const struct survey *s)
{
	size_t end;

	for (size_t i = 0; i < s->count; i = max_of(end, i + 1)) {
		const struct descriptor *run = &s->all[i];

		for (end = i; end < s->count && can_close(&s->all[end]); end++)
			if (s->all[end].number != run->number + (int)(end - i))
				break;
		if (end > i)
			close_range((unsigned)run->number, (unsigned)s->all[end - 1].number, 0);
	}
}

int clone_remake_descriptors(struct clone_template *t, const struct clone_descriptor *replacements,
	size_t count, int *ret_failed_fd)
{
	struct survey *s = t->survey;
	int failed = -1, r = replace_all(s, replacements, count, &failed);

	close_all(s);
	for (size_t i = 0; i < s->count && r == 0; i++) {
		failed = s->all[i].number;
		r = remake_one(&s->all[i]);
	}
	for (size_t i = 0; i < s->count && r == 0; i++) {
		failed = s->all[i].number;
		if (s->all[i].kind == &epoll_kind && !s->all[i].replaced)
			r = epoll_add_watches(s, &s->all[i]);
	}
	if (r < 0)
		*ret_failed_fd = failed;
	return r;
}
