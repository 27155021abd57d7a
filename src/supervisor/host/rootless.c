/*
 * rootless.c - see rootless.h.
 */
#include "supervisor/host/rootless.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int self_write(const char *name, const char *text)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

int rootless_enter(struct err *e)
{
	char users[32], groups[32];
	int r;

	snprintf(users, sizeof(users), "0 %u 1", geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_errno(e, -errno,
			"cannot make a user namespace for an ordinary user (allow it with "
			"kernel.unprivileged_userns_clone=1, or start as root)");
	r = self_write("setgroups", "deny");
	if (r == 0)
		r = self_write("uid_map", users);
	if (r == 0)
		r = self_write("gid_map", groups);
	return r < 0 ? err_errno(e, r, "cannot map the user of the supervisor") : 0;
}
