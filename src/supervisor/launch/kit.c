/*
 * kit.c - see kit.h.
 */
#include "supervisor/launch/kit.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Enough for any program, and a bound on the kernel memory that empty files could take. */
#define KIT_TMP_INODES "65536"

static int fs_option(int fs, const char *name, const char *value)
{
	return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, name, value, 0) < 0 ? -errno : 0;
}

int kit_mount_tmp(uint32_t tmp_mb, uid_t uid)
{
	_cleanup_close_ int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	char size[16], owner[16];
	int mount, r;

	if (fs < 0)
		return -errno;
	snprintf(size, sizeof(size), "%um", tmp_mb);
	snprintf(owner, sizeof(owner), "%u", uid);
	r = fs_option(fs, "size", size);
	if (r == 0)
		r = fs_option(fs, "nr_inodes", KIT_TMP_INODES);
	if (r == 0)
		r = fs_option(fs, "mode", "0700");
	if (r == 0)
		r = fs_option(fs, "uid", owner);
	if (r == 0)
		r = fs_option(fs, "gid", owner);
	if (r < 0)
		return r;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	mount = (int)syscall(
		SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return mount < 0 ? -errno : mount;
}

int kit_make(struct kit *kit, uint32_t tmp_mb, uid_t uid)
{
	_cleanup_close_ int channel = -1, guest_channel = -1, console = -1, guest_console = -1;
	int pair[2], tmp = kit->has_tmp ? kit->tmp : -1;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	channel = pair[0];
	guest_channel = pair[1];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	console = pair[0];
	guest_console = pair[1];
	if (tmp < 0)
		tmp = kit_mount_tmp(tmp_mb, uid);
	if (tmp < 0)
		return tmp;
	*kit = (struct kit){
		.ready = true,
		.channel = take_fd(&channel),
		.guest_channel = take_fd(&guest_channel),
		.console = take_fd(&console),
		.guest_console = take_fd(&guest_console),
		.has_tmp = true,
		.tmp = tmp,
		.cgroup = -1,
	};
	return 0;
}

void kit_done_but_tmp(struct kit *kit)
{
	if (!kit->ready)
		return;
	fd_close(kit->channel);
	fd_close(kit->guest_channel);
	fd_close(kit->console);
	fd_close(kit->guest_console);
	kit->ready = false;
}

void kit_done(struct kit *kit)
{
	kit_done_but_tmp(kit);
	if (kit->has_tmp)
		fd_close(kit->tmp);
	kit->has_tmp = false;
}
