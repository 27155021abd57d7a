/*
 * procfs.c - reading /proc with plain system calls and memory of the arena.
 */
#include "guest/clone/procfs.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_BUFFER ((size_t)32 << 10)

ssize_t procfs_read(const char *path, char *buffer, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;

	if (fd < 0)
		return -errno;
	while (used < size - 1) {
		ssize_t n = read(fd, buffer + used, size - 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	buffer[used] = '\0';
	return (ssize_t)used;
}

int procfs_read_all(struct arena *a, const char *path, char **ret_text)
{
	for (size_t size = 4096;; size *= 4) {
		char *text = arena_alloc(a, size);
		ssize_t n;

		if (!text)
			return -ENOMEM;
		n = procfs_read(path, text, size);
		if (n < 0)
			return (int)n;
		if ((size_t)n < size - 1) {
			*ret_text = text;
			return 0;
		}
	}
}

int procfs_each_number(
	const char *path, int (*each)(void *data, int number, int directory), void *data)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char buffer[4096] __attribute__((aligned(8)));

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = getdents64(fd, buffer, sizeof(buffer));

		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(buffer + at);
			int r = 0;

			if (entry->d_name[0] != '.')
				r = each(data, atoi(entry->d_name), fd);
			if (r != 0)
				return r;
			at += entry->d_reclen;
		}
	}
}

int procfs_lines_open(struct procfs_lines *l, struct arena *a, const char *path)
{
	*l = (struct procfs_lines){ .fd = -1, .size = LINES_BUFFER };
	l->buffer = arena_alloc(a, l->size);
	if (!l->buffer)
		return -ENOMEM;
	l->fd = open(path, O_RDONLY | O_CLOEXEC);
	return l->fd < 0 ? -errno : 0;
}

void procfs_lines_close(struct procfs_lines *l)
{
	l->fd = fd_close(l->fd);
}

static void lines_fill(struct procfs_lines *l)
{
	ssize_t n;

	memmove(l->buffer, l->buffer + l->next, l->used - l->next);
	l->used -= l->next;
	l->next = 0;
	n = read(l->fd, l->buffer + l->used, l->size - 1 - l->used);
	if (n > 0)
		l->used += (size_t)n;
	else
		l->at_end = n == 0 || errno != EINTR;
}

char *procfs_lines_next(struct procfs_lines *l)
{
	for (;;) {
		char *line = l->buffer + l->next;
		char *end = memchr(line, '\n', l->used - l->next);

		if (end) {
			*end = '\0';
			l->next = (size_t)(end + 1 - l->buffer);
			return line;
		}
		if (l->at_end || (l->next == 0 && l->used == l->size - 1))
			return NULL;
		lines_fill(l);
	}
}

void procfs_thread_text(pid_t tid, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
	if (procfs_read(path, text, size) < 0)
		text[0] = '\0';
}

char procfs_thread_state(pid_t tid)
{
	char text[512];
	const char *end;

	procfs_thread_text(tid, "stat", text, sizeof(text));
	end = strrchr(text, ')'); /* of the name, which may contain anything */
	return end && end[1] ? end[2] : 'X';
}

const char *procfs_field(const char *text, const char *key)
{
	size_t length = strlen(key);

	while (text && *text) {
		if (strncmp(text, key, length) == 0)
			return text + length + strspn(text + length, " \t");
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return NULL;
}
