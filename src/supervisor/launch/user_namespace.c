/*
 * user_namespace.c - see user_namespace.h. Three short writes into /proc, once per function.
 */
#include "supervisor/launch/user_namespace.h"

#include "base/fd.h"
#include "envelope/privileges.h"
#include "supervisor/launch/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int proc_write(pid_t pid, const char *name, const char *text)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

int user_namespace_map(struct processes *processes, pid_t pid, uid_t uid)
{
	char map[48];
	int r = process_is_child(processes, pid);

	/* A child that is not reaped keeps its number, so the path is its own from here on. */
	if (r < 0)
		return r;
	snprintf(map, sizeof(map), "%u %u 1", ENVELOPE_UID, uid);
	r = proc_write(pid, "setgroups", "deny");
	if (r == 0)
		r = proc_write(pid, "uid_map", map);
	return r < 0 ? r : proc_write(pid, "gid_map", map);
}
