/*
 * features.c - see features.h. A probe tries the thing itself wherever it can be undone: versions lie
 * on patched kernels, and files of /proc on containers.
 */
#include "supervisor/host/features.h"

#include "base/fd.h"
#include "supervisor/host/egress.h"
#include "supervisor/host/subordinate_ids.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether `try` succeeds in a child that then ends; the child has a copy of everything. */
static bool child_can(bool (*try)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(try() ? 0 : 1);
	if (pid < 0)
		return false;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static enum feature_state present_if(bool present)
{
	return present ? FEATURE_PRESENT : FEATURE_ABSENT;
}

static bool try_user_namespace(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
}

static enum feature_state probe_user_namespaces(char *detail, size_t size)
{
	(void)detail;
	(void)size;
	return present_if(child_can(try_user_namespace));
}

static bool try_namespaces(void)
{
	if (geteuid() != 0 && unshare(CLONE_NEWUSER) < 0)
		return false;
	return unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET |
		       CLONE_NEWCGROUP) == 0;
}

static enum feature_state probe_namespaces(char *detail, size_t size)
{
	(void)detail;
	(void)size;
	return present_if(child_can(try_namespaces));
}

/* A fresh /proc is refused where parts of the host's are masked, as in containers. */
static bool try_proc(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		bool mounted =
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;

		_exit(mounted ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static enum feature_state probe_proc(char *detail, size_t size)
{
	(void)detail;
	(void)size;
	return present_if(child_can(try_proc));
}

static bool try_mount_setattr(void)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 && unshare(CLONE_NEWNS) < 0)
		return false;
	if (mount("probe", "/tmp", "tmpfs", 0, NULL) < 0)
		return false;
	return syscall(SYS_mount_setattr, AT_FDCWD, "/tmp", AT_RECURSIVE, &attributes,
		       sizeof(attributes)) == 0;
}

static enum feature_state probe_mount_setattr(char *detail, size_t size)
{
	(void)detail;
	(void)size;
	return present_if(child_can(try_mount_setattr));
}

static enum feature_state probe_pidfd(char *detail, size_t size)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	(void)detail;
	(void)size;
	return present_if(fd >= 0);
}

static enum feature_state probe_seccomp(char *detail, size_t size)
{
	const uint32_t action = SECCOMP_RET_ERRNO;

	(void)detail;
	(void)size;
	return present_if(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0);
}

static enum feature_state probe_landlock(char *detail, size_t size)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1)
		return FEATURE_ABSENT;
	snprintf(
		detail, size, "version %ld%s", abi, abi < 6 ? ", without scopes (Linux 6.12)" : "");
	return abi < 6 ? FEATURE_PARTIAL : FEATURE_PRESENT;
}

/* In a pid namespace of its own the number is its own, from Linux 6.14 on. */
static bool try_pid_max(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		_cleanup_close_ int fd = -1;

		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("proc", "/proc", "proc", 0, NULL) < 0)
			_exit(1);
		fd = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC);
		_exit(fd >= 0 && write(fd, "400", 3) == 3 ? 0 : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static enum feature_state probe_pid_max(char *detail, size_t size)
{
	(void)detail;
	(void)size;
	return present_if(child_can(try_pid_max));
}

static enum feature_state probe_huge_pages(char *detail, size_t size)
{
	_cleanup_free_ char *text = NULL;

	if (fd_read_file("/sys/kernel/mm/transparent_hugepage/enabled", 256, &text, NULL) < 0)
		return FEATURE_ABSENT;
	text[strcspn(text, "\n")] = '\0';
	snprintf(detail, size, "%s", text);
	return present_if(!strstr(text, "[never]"));
}

/* Both let one tenant learn what pages another has. */
static enum feature_state probe_page_privacy(char *detail, size_t size)
{
	_cleanup_free_ char *ksm = NULL, *swaps = NULL;
	bool merging = fd_read_file("/sys/kernel/mm/ksm/run", 16, &ksm, NULL) == 0 && *ksm == '1';
	bool swapping = fd_read_file("/proc/swaps", 4096, &swaps, NULL) == 0 &&
			strchr(swaps, '\n') && strchr(swaps, '\n')[1];

	snprintf(detail, size, "%s%s", merging ? "page merging (KSM) is on " : "",
		swapping ? "swap is on" : "");
	return merging || swapping ? FEATURE_PARTIAL : FEATURE_PRESENT;
}

static enum feature_state probe_root(char *detail, size_t size)
{
	snprintf(detail, size, "uid %u", geteuid());
	return present_if(geteuid() == 0);
}

/* Of the default range: the supervisor warns by itself of another one that it is given. */
static enum feature_state probe_user_ids(char *detail, size_t size)
{
	char owner[64];

	if (!subordinate_ids_overlap(SUBORDINATE_IDS, FUNCTION_UIDS_FIRST, FUNCTION_UIDS_COUNT,
		    owner, sizeof(owner)))
		return FEATURE_PRESENT;
	snprintf(detail, size, "%s gives %s ids from %u on; use --first-uid", SUBORDINATE_IDS,
		owner, FUNCTION_UIDS_FIRST);
	return FEATURE_PARTIAL;
}

static enum feature_state probe_egress(char *detail, size_t size)
{
	struct egress_tools tools;
	struct err e = { 0 };
	int r = egress_find(&tools, &e);

	snprintf(detail, size, "%s", e.text);
	return present_if(r == 0);
}

static const struct feature features[] = {
	{ "pidfd", "processes are signalled without being mistaken for others",
		"nothing runs (Linux 5.3)", FEATURE_REQUIRED, probe_pidfd },
	{ "namespaces", "functions have processes, mounts, a network and a host name of their own",
		"nothing runs: start as root, or allow user namespaces", FEATURE_REQUIRED,
		probe_namespaces },
	{ "mount_setattr", "a function's root is read-only, whatever is mounted below it",
		"nothing runs (Linux 5.12)", FEATURE_REQUIRED, probe_mount_setattr },
	{ "user-namespaces", "a function's root is nobody outside",
		"functions cannot be confined; nothing runs but with --envelope off",
		FEATURE_REQUIRED, probe_user_namespaces },
	{ "proc", "an isolate sees its own processes only",
		"isolates cannot be made: parts of the host's /proc are masked, as in containers",
		FEATURE_REQUIRED, probe_proc },
	{ "seccomp", "functions reach a part of the kernel only", "functions cannot be confined",
		FEATURE_REQUIRED, probe_seccomp },
	{ "landlock", "isolates cannot signal, or connect to abstract sockets of, their siblings",
		"isolates of one function can reach each other's abstract sockets", FEATURE_STRICT,
		probe_landlock },
	{ "pid-max", "each isolate has a limit of tasks of its own",
		"a fork bomb is bounded by the function's limit only (Linux 6.14)", FEATURE_STRICT,
		probe_pid_max },
	{ "root", "every function has a user id of its own",
		"all functions are the supervisor's user, apart by namespaces only", FEATURE_STRICT,
		probe_root },
	{ "user-ids", "the user ids of functions are nobody else's",
		"whoever was given ids of that range may signal functions", FEATURE_USEFUL,
		probe_user_ids },
	{ "page-privacy", "no other program learns what pages a function has",
		"page merging or swap may tell tenants of each other's memory", FEATURE_STRICT,
		probe_page_privacy },
	{ "egress", "functions reach out, but neither this machine nor each other",
		"functions have no network but by network=host", FEATURE_USEFUL, probe_egress },
	{ "huge-pages", "heaps of runtimes are cloned in large pages",
		"launches of Java take longer", FEATURE_USEFUL, probe_huge_pages },
};

const struct feature *features_table(size_t *ret_count)
{
	*ret_count = array_size(features);
	return features;
}
