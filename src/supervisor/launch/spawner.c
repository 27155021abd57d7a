/*
 * spawner.c - see spawner.h.
 */
#include "supervisor/launch/spawner.h"

#include "base/fd.h"
#include "supervisor/host/precedence.h"
#include "supervisor/launch/child.h"
#include "supervisor/launch/network_helper.h"

#include <errno.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int spawn_request_add(struct spawn_request *request, const char *text)
{
	size_t size = strlen(text) + 1;

	if (size > sizeof(request->strings) - request->strings_size)
		return -E2BIG;
	memcpy(request->strings + request->strings_size, text, size);
	request->strings_size += (uint32_t)size;
	return 0;
}

static const struct {
	uint64_t flags;
	size_t fds_least, fds_most;
	void (*run)(struct child *child);
} spawn_kinds[] = {
	[SPAWN_INIT] = { CLONE_NEWPID | CLONE_NEWNS, 1, 1, child_run_init },
	[SPAWN_RUNTIME] = { CLONE_NEWNS, 2, 2, child_run_runtime },
	[SPAWN_ISOLATE] = { 0, 5, FD_PASS_MAX, child_run_isolate },
	[SPAWN_BERTH] = { 0, 5, FD_PASS_MAX, child_run_berth },
	[SPAWN_NETWORK] = { CLONE_NEWPID | CLONE_NEWNS, 1, 1, network_helper_run },
};

static pid_t spawner_clone(uint64_t flags)
{
	struct clone_args args = { .flags = CLONE_PARENT | flags };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static bool spawner_accepts(const struct child *child)
{
	enum spawn_kind kind = child->request->kind;

	return kind >= SPAWN_INIT && kind <= SPAWN_NETWORK &&
	       child->message.fd_count >= spawn_kinds[kind].fds_least &&
	       child->message.fd_count <= spawn_kinds[kind].fds_most;
}

static void spawner_serve(struct child *child, int socket)
{
	struct spawn_request *request = child->request;
	struct spawn_reply reply = { .sequence = request->sequence, .error = -EINVAL };
	pid_t pid;

	if (spawner_accepts(child)) {
		pid = spawner_clone(spawn_kinds[request->kind].flags);
		if (pid == 0) {
			fd_close(socket);
			spawn_kinds[request->kind].run(child);
		}
		reply.error = pid < 0 ? -errno : 0;
		reply.pid = pid;
	}
	if (fd_send(socket, &reply, sizeof(reply), NULL, 0) < 0)
		_exit(1);
}

static void spawner_close_others(int socket, int supervisor_pidfd)
{
	int low = min_of(socket, supervisor_pidfd), high = max_of(socket, supervisor_pidfd);

	syscall(SYS_close_range, high + 1, ~0U, 0);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	if (low > 3)
		syscall(SYS_close_range, 3, low - 1, 0);
}

static int spawner_prepare(const struct root_spec *root, struct err *e)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "polyvisor-spawn");
	precedence_take();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* What functions are made of keeps no group of whoever started the supervisor: once in a user
	 * namespace they could not give them up any more. Refused where there is no right to, and then
	 * they are that user's own. */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return err_errno(e, -errno, "cannot give up the supplementary groups");
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(e, -errno, "cannot make a mount namespace (root is needed)");
	return root_prepare(root, e);
}

_Noreturn void spawner_main(int socket, int supervisor_pidfd, const struct root_spec *root)
{
	/* Static, since it is too large for a stack and the spawner allocates nothing. */
	static struct spawn_request request;
	struct spawn_reply ready = { 0 };
	struct err e = { 0 };

	spawner_close_others(socket, supervisor_pidfd);
	ready.error = spawner_prepare(root, &e);
	if (ready.error < 0)
		dprintf(STDERR_FILENO, "polyvisor: %s\n", e.text);
	if (fd_send(socket, &ready, sizeof(ready), NULL, 0) < 0 || ready.error < 0)
		_exit(1);
	for (;;) {
		struct child child = {
			.request = &request, .supervisor_pidfd = supervisor_pidfd, .root = root
		};

		if (fd_receive(socket, &request, sizeof(request), 0, &child.message) < 0 ||
			child.message.size < (ssize_t)offsetof(struct spawn_request, strings))
			_exit(0);
		spawner_serve(&child, socket);
		fd_message_done(&child.message);
	}
}
