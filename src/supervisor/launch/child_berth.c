/*
 * child_berth.c - a berth: the namespaces of an isolate that is not there yet, and the init in them.
 *
 * Its mounts are a copy of the function template's, which are the tenant's to change. So every path that
 * is relied on begins at a descriptor of before they are entered, and nobody can trace the init: it
 * shares a user with the isolate that is to come, and is under no filter until it has nothing left to do.
 */
#include "supervisor/launch/child.h"

#include "envelope/namespaces.h"
#include "envelope/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The descriptors of a SPAWN_BERTH request. */
enum {
	BERTH_SOCKET,
	BERTH_TMP,
	BERTH_PID_NAMESPACE,
	BERTH_TEMPLATE,
	BERTH_SYSTEM_CALLS,
	BERTH_NETWORK,
};

static _Noreturn void berth_fail(const struct child *child, int r, const char *what)
{
	struct err e = { 0 };

	err_errno(&e, r, "%s", what);
	(void)!fd_send(child->message.fds[BERTH_SOCKET], e.text, strlen(e.text), NULL, 0);
	_exit(CHILD_FAILED);
}

/* The network as well, since /proc tells every process's to whoever sees the process. */
static int berth_join(const struct child *child)
{
	int network = child_fd(child, BERTH_NETWORK);
	int r = network < 0 ? 0 : namespaces_join_network(network);
	int joined = CLONE_NEWUSER | CLONE_NEWNS | (network < 0 ? CLONE_NEWNET : 0);

	if (r < 0)
		return r;
	return setns(child_fd(child, BERTH_TEMPLATE), joined) < 0 ? -errno : 0;
}

/* The isolate does not see its init, and so nothing that /proc tells of it. */
#define BERTH_PROC "hidepid=invisible"

static int berth_furnish(const struct child *child)
{
	uint32_t processes = child->request->envelope.processes;

	if (syscall(SYS_move_mount, child_fd(child, BERTH_TMP), "", AT_FDCWD, "/tmp",
		    MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, BERTH_PROC) < 0)
		return -errno;
	/* The init has one of the numbers. */
	return processes ? namespaces_limit_tasks(processes + 1) : 0;
}

static int berth_hand_over(const struct child *child, int proc)
{
	_cleanup_close_ int pid = openat(proc, "self/ns/pid", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int mounts = openat(proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	const int fds[] = { pid, mounts };

	if (pid < 0 || mounts < 0)
		return -errno;
	return fd_send(child_fd(child, BERTH_SOCKET), "b", 1, fds, array_size(fds));
}

static _Noreturn void berth_wait(const struct child *child, int proc)
{
	int r = berth_furnish(child);

	if (r < 0)
		berth_fail(child, r, "a berth cannot be furnished");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "polyvisor-berth");
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps orphans */
	r = setsid() < 0 ? -errno : capabilities_set(0);
	if (r == 0)
		r = seccomp_install(child_fd(child, BERTH_SYSTEM_CALLS));
	if (r == 0)
		r = berth_hand_over(child, proc);
	if (r < 0)
		berth_fail(child, r, "a berth cannot be handed over");
	syscall(SYS_close_range, 0, ~0U, 0);
	for (;;)
		pause();
}

/* In the function's pid namespace, as the one above the berth's. */
static _Noreturn void berth_from_inside(struct child *child)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = proc < 0 ? -errno : berth_join(child);
	pid_t pid;

	if (r < 0)
		berth_fail(child, r, "a berth cannot enter the namespaces of its function");
	r = privileges_keep((uint64_t)1 << CAP_SYS_ADMIN);
	if (r < 0)
		berth_fail(child, r, "a berth cannot give up its privileges");
	pid = child_clone(CLONE_NEWPID | CLONE_NEWNS, -1);
	if (pid == 0)
		berth_wait(child, proc);
	if (pid < 0)
		berth_fail(child, -errno, "the namespaces of a berth cannot be made");
	_exit(0);
}

_Noreturn void child_run_berth(struct child *child)
{
	int cgroup = -1, r = child_enter_groups(child, &cgroup);
	pid_t pid;

	if (r == 0 && prctl(PR_SET_DUMPABLE, 0) < 0)
		r = -errno;
	if (r == 0 && setns(child_fd(child, BERTH_PID_NAMESPACE), CLONE_NEWPID) < 0)
		r = -errno;
	if (r < 0)
		berth_fail(child, r, "a berth cannot enter its function");
	pid = child_clone(0, cgroup);
	if (pid == 0)
		berth_from_inside(child);
	_exit(pid < 0);
}
