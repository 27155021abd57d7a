/*
 * init.c - see init.h.
 */
#include "supervisor/launch/init.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

void init_prepare(struct init *init, struct loop *loop, struct processes *processes)
{
	*init = (struct init){
		.loop = loop,
		.processes = processes,
		.process = PROCESS_INIT,
		.socket.fd = -1,
		.pid_namespace = -1,
		.mount_namespace = -1,
	};
}

static void init_close_socket(struct init *init)
{
	loop_remove(init->loop, &init->socket);
	init->socket.fd = fd_close(init->socket.fd);
}

void init_end(struct init *init)
{
	if (!init->loop)
		return;
	processes_spawn_cancel(&init->spawn);
	process_abandon(&init->process);
	init_close_socket(init);
	init->pid_namespace = fd_close(init->pid_namespace);
	init->mount_namespace = fd_close(init->mount_namespace);
}

static void init_failed(struct init *init, const struct err *e)
{
	init_done_fn done = init->done;

	init_end(init);
	done(init, e);
}

static void init_exited(struct process *process, int status)
{
	struct init *init = container_of(process, struct init, process);
	init_lost_fn lost = init->lost;
	struct err e = { 0 };

	if (init_is_up(init)) {
		init_end(init);
		lost(init);
		return;
	}
	err_set(&e, -ECHILD, "the init of the function ended with status %#x before it was up",
		(unsigned)status);
	init_failed(init, &e);
}

/* The namespaces, or the sentence of the step that failed. */
static void init_socket_ready(struct loop_source *source, uint32_t events)
{
	struct init *init = container_of(source, struct init, socket);
	struct fd_message message;
	struct err e = { 0 };
	char text[ERR_TEXT_MAX];
	int r;

	(void)events;
	r = fd_receive(source->fd, text, sizeof(text) - 1, MSG_DONTWAIT, &message);
	if (r == -EAGAIN)
		return;
	if (r == 0 && message.size > 0 && message.fd_count == 2) {
		init->pid_namespace = message.fds[0];
		init->mount_namespace = message.fds[1];
		init_close_socket(init);
		if (init->process.pid)
			init->done(init, NULL);
		return;
	}
	if (r < 0 || message.size <= 0) {
		/* Its end; the exit status comes next. */
		init_close_socket(init);
		return;
	}
	fd_message_done(&message);
	text[message.size] = '\0';
	err_set(&e, -EIO, "%s", text);
	init_failed(init, &e);
}

static void init_spawned(struct spawn *spawn, pid_t pid)
{
	struct init *init = container_of(spawn, struct init, spawn);
	struct err e = { 0 };
	int r = pid;

	if (pid > 0)
		r = process_adopt(init->processes, &init->process, pid, init_exited);
	if (r < 0) {
		err_errno(&e, r, "cannot start the init of a function");
		init_failed(init, &e);
		return;
	}
	if (init_is_up(init))
		init->done(init, NULL);
}

int init_start(struct init *init, const char *code, bool machine_names, init_done_fn done,
	init_lost_fn lost)
{
	struct spawn_request *request = processes_request(init->processes, SPAWN_INIT);
	_cleanup_close_ int ours = -1, theirs = -1;
	int pair[2], r;

	init->done = done;
	init->lost = lost;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	request->argument_count = 1 + machine_names;
	r = spawn_request_add(request, code);
	if (r == 0 && machine_names)
		r = spawn_request_add(request, "/etc/resolv.conf");
	if (r == 0)
		r = loop_add(init->loop, &init->socket, ours, EPOLLIN, init_socket_ready);
	if (r < 0)
		return r;
	take_fd(&ours);
	r = processes_spawn(init->processes, &init->spawn, &theirs, 1, init_spawned);
	if (r < 0)
		init_close_socket(init);
	return r;
}
