/*
 * berth.c - see berth.h.
 */
#include "supervisor/launch/berth.h"

#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static void berth_close_socket(struct berth *berth)
{
	loop_remove(berth->loop, &berth->socket);
	berth->socket.fd = fd_close(berth->socket.fd);
}

struct berth *berth_free(struct berth *berth)
{
	if (!berth)
		return NULL;
	processes_spawn_cancel(&berth->spawn);
	loop_defer_cancel(berth->loop, &berth->ending);
	process_abandon(&berth->process);
	berth_close_socket(berth);
	fd_close(berth->pid_namespace);
	fd_close(berth->mount_namespace);
	free(berth);
	return NULL;
}

void berth_let_go(struct berth *berth)
{
	berth->pid_namespace = fd_close(berth->pid_namespace);
	berth->mount_namespace = fd_close(berth->mount_namespace);
}

void berth_end(struct berth *berth)
{
	process_kill(&berth->process);
}

static void berth_tell_ended(struct loop_deferred *deferred)
{
	struct berth *berth = container_of(deferred, struct berth, ending);

	berth->ended(berth);
}

/* At the end of the turn: what its isolate sent before is read by then. */
static void berth_end_later(struct berth *berth)
{
	loop_defer(berth->loop, &berth->ending, berth_tell_ended);
}

static void berth_exited(struct process *process, int status)
{
	struct berth *berth = container_of(process, struct berth, process);

	(void)status;
	berth_end_later(berth);
}

static int berth_take(struct berth *berth, struct fd_message *message)
{
	if (message->fd_count != 2 || !message->has_credentials)
		return -EBADMSG;
	berth->pid_namespace = message->fds[0];
	berth->mount_namespace = message->fds[1];
	message->fd_count = 0;
	return process_adopt(
		berth->processes, &berth->process, message->credentials.pid, berth_exited);
}

/* The namespaces, or the sentence of the step that failed. */
static void berth_socket_ready(struct loop_source *source, uint32_t events)
{
	struct berth *berth = container_of(source, struct berth, socket);
	struct fd_message message = { 0 };
	char text[ERR_TEXT_MAX];
	int r;

	(void)events;
	r = fd_receive(source->fd, text, sizeof(text) - 1, MSG_DONTWAIT, &message);
	if (r == -EAGAIN)
		return;
	if (r == 0 && message.size > 0 && message.fd_count == 0) {
		text[message.size] = '\0';
		r = err_set(&berth->failure, -ECHILD, "%s", text);
	} else if (r == 0) {
		r = message.size > 0 ? berth_take(berth, &message) : -ECHILD;
	}
	fd_message_done(&message);
	berth_close_socket(berth);
	if (r == 0)
		return;
	if (!berth->failure.code)
		err_errno(&berth->failure, r, "a berth was not handed over");
	berth_end_later(berth);
}

/* The spawner's answer is about the first of three processes; the berth itself hands over. */
static void berth_spawned(struct spawn *spawn, pid_t pid)
{
	struct berth *berth = container_of(spawn, struct berth, spawn);

	if (pid > 0)
		return;
	err_errno(&berth->failure, pid, "a berth cannot be started");
	berth_close_socket(berth);
	berth_end_later(berth);
}

static int berth_spawn(struct berth *berth, struct function_template *t,
	const struct guest_spec *spec, int tmp, int socket)
{
	struct spawn_request *request = processes_request(berth->processes, SPAWN_BERTH);
	int fds[FD_PASS_MAX] = { socket, tmp, t->init->pid_namespace, t->process.pidfd,
		spec->system_calls };
	size_t count = 5;

	if (spec->network >= 0)
		fds[count++] = spec->network;
	for (uint32_t i = 0; i < spec->group.count; i++)
		fds[count++] = spec->group.fds[i];
	request->envelope = (struct spawn_envelope){
		.confined = true,
		.processes = spec->processes,
		.groups = spec->group.count,
		.groups_directory = spec->group.directory,
	};
	return processes_spawn(berth->processes, &berth->spawn, fds, count, berth_spawned);
}

static int berth_open_socket(struct berth *berth, int *ret_theirs)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	const int on = 1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	if (setsockopt(ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	r = loop_add(berth->loop, &berth->socket, ours, EPOLLIN, berth_socket_ready);
	if (r < 0)
		return r;
	take_fd(&ours);
	*ret_theirs = take_fd(&theirs);
	return 0;
}

int berth_make(struct function_template *t, const struct guest_spec *spec, int tmp, void *owner,
	berth_ended_fn ended, struct berth **ret)
{
	_cleanup_close_ int theirs = -1;
	struct berth *berth = calloc(1, sizeof(*berth));
	int r;

	if (!berth)
		return -ENOMEM;
	berth->loop = t->loop;
	berth->processes = t->processes;
	berth->process.pidfd = berth->socket.fd = -1;
	berth->pid_namespace = berth->mount_namespace = -1;
	berth->owner = owner;
	berth->ended = ended;
	r = berth_open_socket(berth, &theirs);
	if (r == 0)
		r = berth_spawn(berth, t, spec, tmp, theirs);
	if (r < 0) {
		berth_free(berth);
		return r;
	}
	*ret = berth;
	return 0;
}
