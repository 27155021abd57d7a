/*
 * descriptor_files.c - regular files and directories: opened again, for an offset of their own.
 *
 * A runtime that seeks and then reads, under a lock of its own, would otherwise read at the offset
 * that another clone has just set.
 */
#include "guest/clone/descriptors.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the flags of a description, those that matter to a second open. */
#define FLAGS_KEPT                                                                                 \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_SYNC | O_DSYNC | O_NOATIME | O_DIRECTORY)

static int file_open_under(const char *process, const struct descriptor *d)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/fd/%d", process, d->number);
	fd = open(path, (d->status & FLAGS_KEPT) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The shorter path is the faster one, but leads nowhere when the first thread has ended. */
static int file_open(const struct descriptor *d)
{
	int fd = file_open_under("self", d);

	return fd == -ENOENT ? file_open_under("thread-self", d) : fd;
}

/*
 * In a clone with mounts of its own the file is opened by its path: through /proc it would stay on the
 * mount of the template, which is detached when that one ends. Files on a detached mount have no way to
 * the root that Landlock looks for.
 */
static int file_open_here(const struct descriptor *d)
{
	_cleanup_close_ int fd = -1;
	struct stat status;

	if (!d->file.path)
		return -ENOENT;
	fd = open(d->file.path, (d->status & FLAGS_KEPT) | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (status.st_ino != d->inode || status.st_dev != d->device)
		return -ENOENT;
	return take_fd(&fd);
}

/* Where it is, as a path that the clones of this process are to open. NULL if that cannot be told. */
static const char *file_path(struct survey *s, const struct descriptor *d)
{
	char link[64], path[PATH_MAX], *kept;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", d->number);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || path[0] != '/')
		return NULL;
	kept = arena_alloc(&s->t->arena, (size_t)n + 1);
	if (kept)
		memcpy(kept, path, (size_t)n);
	return kept;
}

/* What cannot be opened a second time (another user's, a lease) is found out here, not in a clone.
 */
static int file_survey(struct survey *s, struct descriptor *d)
{
	int fd = file_open(d);

	if (fd < 0) {
		descriptor_note(s, d,
			"a file that cannot be opened again (%s); all clones share its offset",
			strerrordesc_np(-fd));
		d->kind = NULL;
		return 0;
	}
	fd_close(fd);
	d->file.offset = lseek(d->number, 0, SEEK_CUR);
	d->file.path = file_path(s, d);
	return 0;
}

static int file_remake(const struct descriptor *d)
{
	int fd = file_open_here(d);

	if (fd < 0)
		fd = file_open(d);
	if (fd < 0)
		return fd;
	if (d->file.offset > 0 && lseek(fd, d->file.offset, SEEK_SET) < 0) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	return descriptor_place(d, fd);
}

const struct descriptor_kind file_kind = { file_survey, file_remake };
