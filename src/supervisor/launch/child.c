/*
 * child.c - see child.h.
 */
#include "supervisor/launch/child.h"

#include "base/err.h"
#include "envelope/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INIT_LAST_PID "10000"
#define CHILD_CHANNEL 3 /* where a guest finds the socket to the supervisor */

_Noreturn void child_fail(int console, const struct err *e)
{
	dprintf(console, "polyvisor: %s\n", e->text);
	_exit(CHILD_FAILED);
}

/* The namespaces are handed out by the init itself, so the supervisor opens nothing in /proc. */
static int init_send_namespaces(int socket)
{
	_cleanup_close_ int pid = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int mount = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	const int fds[] = { pid, mount };

	if (pid < 0 || mount < 0)
		return -errno;
	return fd_send(socket, "n", 1, fds, array_size(fds));
}

/*
 * A parent-death signal alone would leak: a supervisor that died before the prctl is never noticed,
 * and getppid() is 0 in a pid namespace either way. So the init polls the supervisor's pidfd as
 * well.
 */
/*
 * Templates are to have thread ids that do not occur by accident in memory, where held mutexes are
 * searched for by them (guest/clone/mutexes.c). Without the right to, or with fewer ids than that,
 * the search is a little less sure.
 */
static void init_count_on(void)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, INIT_LAST_PID, strlen(INIT_LAST_PID)) < 0)
		return;
}

static _Noreturn void init_wait(int supervisor_pidfd)
{
	struct pollfd watched = { .fd = supervisor_pidfd, .events = POLLIN };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN); /* the kernel reaps orphans */
	while (poll(&watched, 1, -1) != 1)
		continue;
	_exit(0);
}

_Noreturn void child_run_init(struct child *child)
{
	int socket = child->message.fds[0];
	struct err e = { 0 };
	const char *code = child->request->strings;
	const char *resolver = child->request->argument_count > 1 ? code + strlen(code) + 1 : NULL;
	int r = root_enter(child->root, code, resolver, &e);

	init_count_on();
	if (r == 0)
		r = init_send_namespaces(socket);
	if (r < 0) {
		if (fd_send(socket, e.text, strlen(e.text) + 1, NULL, 0) < 0)
			_exit(CHILD_FAILED);
		_exit(CHILD_FAILED);
	}
	if (dup2(child->supervisor_pidfd, 0) < 0)
		_exit(CHILD_FAILED);
	syscall(SYS_close_range, 1, ~0U, 0);
	prctl(PR_SET_NAME, "polyvisor-init");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (capabilities_set(0) < 0)
		_exit(CHILD_FAILED);
	prctl(PR_SET_DUMPABLE, 0);
	init_wait(0);
}

/*
 * io_uring's rings are shared mappings, which a clone cannot have of its own: refused before the
 * runtime starts, as if the kernel did not know it, and runtimes fall back to epoll.
 */
static int child_refuse_io_uring(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = array_size(program), .filter = program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return -errno;
	return 0;
}

/* Puts descriptors at 0..3 and marks everything above close-on-exec. */
static int child_place_descriptors(int channel, int console)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int high = fcntl(channel, F_DUPFD_CLOEXEC, 16);

	if (null < 0 || high < 0)
		return -errno;
	if (dup2(null, 0) < 0 || dup2(console, 1) < 0 || dup2(console, 2) < 0 ||
		dup2(high, CHILD_CHANNEL) < 0)
		return -errno;
	return syscall(SYS_close_range, CHILD_CHANNEL + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno
											 : 0;
}

/* Fills argv and environment with pointers into the strings of the request. */
static int child_unpack(struct spawn_request *request, char **argv, size_t argv_max,
	char **environment, size_t environment_max)
{
	char *p = request->strings, *end = p + request->strings_size;

	if (request->argument_count >= argv_max || request->environment_count >= environment_max ||
		request->strings_size == 0 || end[-1] != '\0')
		return -E2BIG;
	for (uint32_t i = 0; i < request->argument_count && p < end; i++, p += strlen(p) + 1)
		argv[i] = p;
	for (uint32_t i = 0; i < request->environment_count && p < end; i++, p += strlen(p) + 1)
		environment[i] = p;
	return p == end ? 0 : -EINVAL;
}

_Noreturn void child_exec(struct child *child)
{
	static char *argv[256], *environment[1024];
	int console = child->message.fds[1];
	struct err e = { 0 };
	sigset_t none;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = child_unpack(
		child->request, argv, array_size(argv), environment, array_size(environment));
	if (r < 0) {
		err_errno(&e, r, "cannot unpack the command line of a runtime");
		child_fail(console, &e);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	r = child_refuse_io_uring();
	if (r == 0)
		r = child_place_descriptors(child->message.fds[0], console);
	if (r < 0) {
		err_errno(&e, r, "cannot prepare the process of %s", argv[0]);
		child_fail(console, &e);
	}
	execve(argv[0], argv, environment);
	err_errno(&e, -errno, "cannot execute %s", argv[0]);
	child_fail(STDERR_FILENO, &e);
}

_Noreturn void child_run_runtime(struct child *child)
{
	struct err e = { 0 };

	if (root_enter(child->root, NULL, NULL, &e) < 0)
		child_fail(child->message.fds[1], &e);
	child_exec(child);
}
