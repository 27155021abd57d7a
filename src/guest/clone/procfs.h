/*
 * procfs.h - reading /proc without malloc, stdio or opendir, all of which take locks that a parked
 * thread may hold.
 *
 * Memory and descriptors are read under /proc/thread-self: /proc/self is the first thread, and
 * shows nothing of either once that one has ended.
 */
#pragma once

#include "base/macros.h"
#include "guest/clone/arena.h"

#include <stdbool.h>
#include <sys/types.h>

/* Reads up to size - 1 bytes and ends them with a NUL. The number of bytes, or -errno. */
ssize_t procfs_read(const char *path, char *buffer, size_t size) MUST_CHECK;

/* Reads a whole file into the arena. */
int procfs_read_all(struct arena *a, const char *path, char **ret_text) MUST_CHECK;

/* Calls back with every numeric name in a directory, until the callback returns non-zero, which is
 * then returned. The descriptor of the directory itself is passed along, to be left out. */
int procfs_each_number(const char *path, int (*each)(void *data, int number, int directory),
	void *data) MUST_CHECK;

/* Lines of a large file, one at a time, each without its newline. */
struct procfs_lines {
	int fd;
	char *buffer;
	size_t size, used, next;
	bool at_end;
};

int procfs_lines_open(struct procfs_lines *l, struct arena *a, const char *path) MUST_CHECK;
char *procfs_lines_next(struct procfs_lines *l); /* NULL at the end */
void procfs_lines_close(struct procfs_lines *l);
#define _cleanup_lines_ _cleanup_(procfs_lines_close)

/* Reads /proc/self/task/TID/name; "" if it cannot be read. */
void procfs_thread_text(pid_t tid, const char *name, char *text, size_t size);

/* The state of a thread of this process as /proc/self/task/TID/stat has it, or 'X' if it is gone.
 */
char procfs_thread_state(pid_t tid);

/* The text behind "key" at the start of a line of `text`, blanks skipped, or NULL. */
const char *procfs_field(const char *text, const char *key);
