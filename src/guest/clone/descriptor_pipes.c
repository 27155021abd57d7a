/*
 * descriptor_pipes.c - pipes whose two ends are both in this process, with the bytes they hold.
 *
 * The bytes matter: libuv keeps the state of a lock in one byte of a pipe, and waits for it forever
 * if it is lost. A pipe to another process stays what it is.
 */
#include "guest/clone/descriptors.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CAPACITY_USUAL 65536

static bool is_reader(const struct descriptor *d)
{
	return (d->status & O_ACCMODE) == O_RDONLY;
}

static struct descriptor *other_end(struct survey *s, const struct descriptor *d)
{
	int access = is_reader(d) ? O_WRONLY : O_RDONLY;

	for (size_t i = 0; i < s->count; i++) {
		struct descriptor *c = &s->all[i];

		if (c->kind == &pipe_kind && c->inode == d->inode &&
			(c->status & O_ACCMODE) == access)
			return c;
	}
	return NULL;
}

/* tee() copies without taking anything out; the copy goes through a pipe as large as the first. */
static int bytes_copy(struct survey *s, struct descriptor *d, size_t size)
{
	_cleanup_close_ int reader = -1, writer = -1;
	int ends[2];
	char *bytes = arena_alloc(&s->t->arena, size);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	reader = ends[0];
	writer = ends[1];
	if (fcntl(writer, F_SETPIPE_SZ, fcntl(d->number, F_GETPIPE_SZ)) < 0)
		return -errno;
	n = tee(d->number, writer, size, SPLICE_F_NONBLOCK);
	if (n < 0)
		return -errno;
	while (n > 0) { /* a pipe in packet mode gives them one at a time */
		ssize_t part = read(reader, bytes, (size_t)n);
		int r = part < 0 ? -errno : content_append(s, d, bytes, (size_t)part);

		if (r < 0)
			return r;
		n -= part;
	}
	return 0;
}

static int pipe_survey(struct survey *s, struct descriptor *d)
{
	int size = 0, capacity = fcntl(d->number, F_GETPIPE_SZ);

	d->other = other_end(s, d);
	if (!d->other) {
		if (d->number > STDERR_FILENO)
			descriptor_note(s, d,
				"one end of a pipe to another process; all clones "
				"share it");
		d->kind = NULL;
		return 0;
	}
	d->capacity = capacity == CAPACITY_USUAL ? 0 : capacity;
	if (!is_reader(d))
		return 0;
	if (ioctl(d->number, FIONREAD, &size) < 0)
		return -errno;
	return size > 0 ? bytes_copy(s, d, (size_t)size) : 0;
}

static int pipe_fill(const struct descriptor *reader, const struct descriptor *writer, int ends[2],
	int made_with)
{
	int r;

	if (reader->capacity && fcntl(ends[1], F_SETPIPE_SZ, reader->capacity) < 0)
		return -errno;
	for (const struct content *c = reader->content; c; c = c->next) {
		r = fd_write_all(ends[1], c->data, c->size);
		if (r < 0)
			return r;
	}
	r = descriptor_set_status(reader, ends[0], made_with);
	return r < 0 ? r : descriptor_set_status(writer, ends[1], made_with);
}

static int pipe_remake(const struct descriptor *d)
{
	const struct descriptor *reader = is_reader(d) ? d : d->other;
	const struct descriptor *writer = reader->other;
	int ends[2], made_with = reader->status & writer->status & (O_NONBLOCK | O_DIRECT);
	int r;

	if (d->other < d)
		return 0; /* made with it */
	if (pipe2(ends, O_CLOEXEC | made_with) < 0)
		return -errno;
	r = pipe_fill(reader, writer, ends, made_with);
	if (r < 0) {
		fd_close(ends[0]);
		fd_close(ends[1]);
		return r;
	}
	return descriptor_place_both(reader, ends[0], writer, ends[1]);
}

const struct descriptor_kind pipe_kind = { pipe_survey, pipe_remake };
