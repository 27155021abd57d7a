/*
 * child_isolate.c - an isolate that is made by exec: the same envelope as a clone's (guest/envelope.c),
 * entered by a process that becomes the language's runtime in the end.
 */
#include "supervisor/launch/child.h"

#include "envelope/namespaces.h"
#include "envelope/privileges.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The descriptors of a SPAWN_ISOLATE request. */
enum {
	ISOLATE_CHANNEL,
	ISOLATE_CONSOLE,
	ISOLATE_TMP,
	ISOLATE_PID_NAMESPACE,
	ISOLATE_MOUNT_NAMESPACE,
	ISOLATE_MAPPING,
	ISOLATE_SYSTEM_CALLS,
	ISOLATE_NETWORK,
};

pid_t child_clone(uint64_t flags, int cgroup)
{
	struct clone_args args = { .flags = CLONE_PARENT | flags };

	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int child_enter_groups(struct child *child, int *ret_cgroup)
{
	const struct spawn_envelope *envelope = &child->request->envelope;

	*ret_cgroup = -1;
	if (envelope->groups > child->message.fd_count)
		return -EBADMSG;
	for (uint32_t i = 0; i < envelope->groups; i++) {
		int fd = child->message.fds[--child->message.fd_count];

		if (envelope->groups_directory)
			*ret_cgroup = fd;
		else if (write(fd, "0", 1) < 0)
			return -errno;
	}
	return 0;
}

int child_fd(const struct child *child, size_t index)
{
	return index < child->message.fd_count ? child->message.fds[index] : -1;
}

static int isolate_be_mapped(int socket)
{
	unsigned char frame[WIRE_HEADER_SIZE];
	struct wire_header header = { 0 };
	struct wire_writer w;
	size_t size;
	int r;

	wire_begin(&w, frame, sizeof(frame), WIRE_MAP_ME, 0);
	r = wire_end(&w, 0, &size);
	if (r == 0)
		r = fd_send(socket, frame, size, NULL, 0);
	if (r == 0)
		r = fd_read_exactly(socket, frame, size);
	if (r == 0)
		r = wire_decode_header(frame, &header);
	return r < 0 ? r : header.type == WIRE_MAPPED ? 0 : -EBADMSG;
}

static int isolate_confine(const struct child *child, int *ret_ruleset, struct err *e)
{
	const struct spawn_envelope *envelope = &child->request->envelope;
	uint64_t processes = (uint64_t)envelope->processes * (envelope->isolates + 1);
	bool own_network = child_fd(child, ISOLATE_NETWORK) < 0;
	int r = namespaces_own(own_network);

	if (r < 0)
		return err_errno(e, r, "cannot make the namespaces of an isolate");
	r = isolate_be_mapped(child_fd(child, ISOLATE_MAPPING));
	if (r < 0)
		return err_errno(e, r, "the ids of an isolate cannot be mapped");
	r = namespaces_furnish(own_network, envelope->isolates * 2 + 1024);
	if (r == 0)
		r = limits_set(processes, envelope->descriptors);
	if (r == 0)
		r = privileges_drop();
	if (r == 0)
		r = landlock_make(ret_ruleset);
	if (r == 0)
		r = seccomp_install(child_fd(child, ISOLATE_SYSTEM_CALLS));
	return r < 0 ? err_errno(e, r, "an isolate cannot be confined") : 0;
}

static int isolate_mount(int tmp, struct err *e)
{
	if (syscall(SYS_move_mount, tmp, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_errno(e, -errno, "cannot mount /tmp of an isolate");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_errno(e, -errno, "cannot mount /proc of an isolate");
	return 0;
}

/* PID 1 of its own namespace; gives up what it needed to get here. */
static int isolate_settle(const struct child *child, int ruleset, struct err *e)
{
	const struct spawn_envelope *envelope = &child->request->envelope;
	int r = isolate_mount(child_fd(child, ISOLATE_TMP), e);

	if (r < 0 || !envelope->confined)
		return r;
	if (envelope->processes)
		r = namespaces_limit_tasks(envelope->processes);
	if (r == 0)
		r = landlock_enter(ruleset);
	if (r == 0)
		r = capabilities_set(0);
	return r < 0 ? err_errno(e, r, "an isolate cannot give up its privileges") : 0;
}

/* In the function's pid namespace, whose init is somebody else. */
static _Noreturn void isolate_from_inside(struct child *child)
{
	int console = child_fd(child, ISOLATE_CONSOLE), ruleset = -1;
	bool confined = child->request->envelope.confined;
	struct err e = { 0 };
	pid_t pid;
	int r;

	r = namespaces_join(
		child_fd(child, ISOLATE_MOUNT_NAMESPACE), child_fd(child, ISOLATE_NETWORK));
	if (r < 0)
		err_errno(&e, r, "cannot enter the namespaces of a function");
	else if (confined)
		r = isolate_confine(child, &ruleset, &e);
	if (r < 0)
		child_fail(console, &e);
	pid = child_clone(CLONE_NEWPID | CLONE_NEWNS, -1);
	if (pid > 0)
		_exit(0);
	if (pid < 0) {
		err_errno(&e, -errno, "cannot make the namespaces of an isolate");
		child_fail(console, &e);
	}
	if (!confined && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		child_fail(console, &e);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (isolate_settle(child, ruleset, &e) < 0 || chdir("/var/task") < 0 || setsid() < 0)
		child_fail(console, &e);
	child_exec(child);
}

/*
 * Three processes, since a pid namespace is entered by children only and a member of the function's
 * namespace must make the isolate's: this one, one inside the function's namespaces, the isolate. The
 * first two end at once; all are children of the supervisor.
 */
_Noreturn void child_run_isolate(struct child *child)
{
	struct err e = { 0 };
	int cgroup = -1, r = child_enter_groups(child, &cgroup);
	pid_t pid;

	if (r < 0) {
		err_errno(&e, r, "cannot enter the control groups of a function");
		child_fail(child_fd(child, ISOLATE_CONSOLE), &e);
	}
	if (setns(child_fd(child, ISOLATE_PID_NAMESPACE), CLONE_NEWPID) < 0) {
		err_errno(&e, -errno, "cannot enter the pid namespace of a function");
		child_fail(child_fd(child, ISOLATE_CONSOLE), &e);
	}
	pid = child_clone(0, cgroup);
	if (pid == 0)
		isolate_from_inside(child);
	_exit(pid < 0);
}
