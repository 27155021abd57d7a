/*
 * root_copy.c - see root_copy.h. Runs in the spawner, before any tenant's code exists.
 */
#include "supervisor/launch/root_copy.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static void dir_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int copy_content(int from, int to, size_t size)
{
	while (size > 0) {
		ssize_t n = sendfile(to, from, NULL, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0; /* it became shorter */
		size -= (size_t)n;
	}
	return 0;
}

static int copy_file(const char *source, const char *target, const struct stat *st, size_t *room)
{
	_cleanup_close_ int from = -1, to = -1;

	if ((uint64_t)st->st_size > *room)
		return -EFBIG;
	*room -= (size_t)st->st_size;
	from = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return -errno;
	to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 0755);
	if (to < 0)
		return -errno;
	return copy_content(from, to, (size_t)st->st_size);
}

static int copy_link(const char *source, const char *target)
{
	char text[PATH_MAX];
	ssize_t n = readlink(source, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return symlink(text, target) < 0 ? -errno : 0;
}

static int copy_any(const char *source, const char *target, size_t *room);

static int copy_entry(const char *source, const char *target, const char *name, size_t *room)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (snprintf(from, sizeof(from), "%s/%s", source, name) >= (int)sizeof(from) ||
		snprintf(to, sizeof(to), "%s/%s", target, name) >= (int)sizeof(to))
		return -ENAMETOOLONG;
	return copy_any(from, to, room);
}

static int copy_folder(const char *source, const char *target, size_t *room)
{
	_cleanup_(dir_close) DIR *dir = opendir(source);
	struct dirent *found;
	int r = 0;

	if (!dir || (mkdir(target, 0755) < 0 && errno != EEXIST))
		return -errno;
	while (r == 0 && (found = readdir(dir)))
		r = copy_entry(source, target, found->d_name, room);
	return r;
}

static int copy_any(const char *source, const char *target, size_t *room)
{
	struct stat st;

	if (lstat(source, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return copy_link(source, target);
	if (S_ISDIR(st.st_mode) && (st.st_mode & 05) == 05)
		return copy_folder(source, target, room);
	if (S_ISREG(st.st_mode) && (st.st_mode & 04))
		return copy_file(source, target, &st, room);
	return 0;
}

int root_copy(const char *source, const char *target, size_t *room)
{
	char resolved[PATH_MAX];

	/* A link that is named itself, such as /etc/localtime, stands for what it points at. */
	if (!realpath(source, resolved))
		return -errno;
	return copy_any(resolved, target, room);
}
