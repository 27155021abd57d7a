/*
 * processes.c - see processes.h.
 */
#include "supervisor/launch/processes.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS_BUCKETS 1024 /* a power of two; thousands of children are usual */

struct processes {
	struct loop *loop;
	const struct root_spec *root;
	struct list buckets[PROCESS_BUCKETS]; /* of struct process, by pid */
	struct loop_source children;          /* signalfd of SIGCHLD */
	struct loop_deferred reap;
	struct process spawner;
	struct loop_source spawner_replies;
	struct list spawns; /* requests without a reply, in order */
	uint32_t sequence;
	struct spawn_request request;
};

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static struct list *process_bucket(struct processes *p, pid_t pid)
{
	return &p->buckets[(unsigned)pid % PROCESS_BUCKETS];
}

static struct process *process_find(struct processes *p, pid_t pid)
{
	struct list *bucket = process_bucket(p, pid);
	struct process *process;

	list_for_each (process, bucket, link)
		if (process->pid == pid)
			return process;
	return NULL;
}

static void process_forget(struct process *process)
{
	list_remove(&process->link);
	process->pidfd = fd_close(process->pidfd);
	process->pid = 0;
}

/* Fails unless the process is a child of ours, whatever its number says. */
static int pidfd_open_child(pid_t pid, int *ret_pidfd)
{
	_cleanup_close_ int pidfd = pid > 1 ? pidfd_open(pid) : -1;
	siginfo_t info;

	if (pid <= 1)
		return -ECHILD;
	if (pidfd < 0 ||
		waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		return -errno;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

int process_is_child(struct processes *p, pid_t pid)
{
	_cleanup_close_ int pidfd = -1;

	(void)p;
	return pidfd_open_child(pid, &pidfd);
}

int process_adopt(struct processes *p, struct process *process, pid_t pid, process_exited_fn exited)
{
	_cleanup_close_ int pidfd = -1;
	int r = pidfd_open_child(pid, &pidfd);

	if (r < 0)
		return r;
	/* A template may say that it is an isolate of its own: its end would be told to one of them
	 * only. */
	if (process_find(p, pid))
		return -EEXIST;
	process->pid = pid;
	process->pidfd = take_fd(&pidfd);
	process->exited = exited;
	list_append(process_bucket(p, pid), &process->link);
	return 0;
}

void process_kill(struct process *process)
{
	if (process->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
}

void process_abandon(struct process *process)
{
	if (process->pid == 0)
		return;
	process_kill(process);
	process_forget(process);
}

static int process_status(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED ? info->si_status << 8 : info->si_status & 0x7f;
}

/*
 * A template can make children that nobody asked for, so every child is waited for: those of this
 * thread, since the worker waits for its own. Done at the end of a turn: what a process sent before
 * it died has been read by then.
 */
static void processes_reap(struct loop_deferred *deferred)
{
	struct processes *p = container_of(deferred, struct processes, reap);

	for (;;) {
		siginfo_t info = { 0 };
		struct process *process;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL | __WNOTHREAD) < 0 ||
			info.si_pid == 0)
			return;
		process = process_find(p, info.si_pid);
		if (!process)
			continue;
		process_forget(process);
		process->exited(process, process_status(&info));
	}
}

static void processes_children_ready(struct loop_source *source, uint32_t events)
{
	struct processes *p = container_of(source, struct processes, children);
	struct signalfd_siginfo info[16];

	(void)events;
	while (read(source->fd, info, sizeof(info)) > 0)
		continue;
	loop_defer(p->loop, &p->reap, processes_reap);
}

static void spawn_finish(struct spawn *spawn, pid_t pid)
{
	spawn_done_fn done = spawn->done;

	list_remove(&spawn->link);
	spawn->done = NULL;
	done(spawn, pid);
}

static void processes_reply_ready(struct loop_source *source, uint32_t events)
{
	struct processes *p = container_of(source, struct processes, spawner_replies);
	struct spawn_reply reply;
	struct spawn *spawn;

	(void)events;
	while (recv(source->fd, &reply, sizeof(reply), MSG_DONTWAIT) == sizeof(reply)) {
		list_for_each (spawn, &p->spawns, link)
			if (spawn->sequence == reply.sequence)
				break;
		if (&spawn->link != &p->spawns)
			spawn_finish(spawn, reply.error < 0 ? reply.error : reply.pid);
	}
}

/* Waits for the first reply, at the start and after the spawner was lost: some milliseconds. */
static int spawner_wait_ready(int socket, struct err *e)
{
	struct spawn_reply ready;
	ssize_t n;

	do {
		n = recv(socket, &ready, sizeof(ready), 0);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(ready))
		return err_set(e, -ECHILD, "the spawner ended before it was ready");
	if (ready.error < 0)
		return err_errno(
			e, ready.error, "the spawner could not prepare the root of functions");
	return 0;
}

static void spawner_exited(struct process *process, int status);

static int spawner_start(struct processes *p, struct err *e)
{
	_cleanup_close_ int self = pidfd_open(getpid());
	_cleanup_close_ int ours = -1;
	int pair[2];
	pid_t pid;
	int r;

	if (self < 0)
		return err_errno(e, -errno, "cannot open a pidfd (Linux 5.3 is needed)");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, -errno, "cannot make a socket for the spawner");
	ours = pair[0];
	pid = fork();
	if (pid == 0)
		spawner_main(pair[1], self, p->root);
	fd_close(pair[1]);
	if (pid < 0)
		return err_errno(e, -errno, "cannot fork the spawner");
	r = process_adopt(p, &p->spawner, pid, spawner_exited);
	if (r < 0)
		return err_errno(e, r, "cannot take charge of the spawner");
	r = spawner_wait_ready(ours, e);
	if (r < 0)
		return r;
	r = fd_set_nonblocking(ours, true);
	if (r == 0)
		r = loop_add(p->loop, &p->spawner_replies, ours, EPOLLIN, processes_reply_ready);
	if (r < 0)
		return err_errno(e, r, "cannot watch the spawner");
	take_fd(&ours);
	return 0;
}

static void spawner_exited(struct process *process, int status)
{
	struct processes *p = container_of(process, struct processes, spawner);
	struct err e = { 0 };

	log_warning("the spawner ended with status %#x; starting another", (unsigned)status);
	loop_remove(p->loop, &p->spawner_replies);
	p->spawner_replies.fd = fd_close(p->spawner_replies.fd);
	while (!list_empty(&p->spawns))
		spawn_finish(list_first(&p->spawns, struct spawn, link), -ECHILD);
	if (spawner_start(p, &e) < 0)
		log_error("no process can be made any more: %s; restart polyvisor", e.text);
}

static int processes_watch_children(struct processes *p)
{
	sigset_t mask;
	int fd, r;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = loop_add(p->loop, &p->children, fd, EPOLLIN, processes_children_ready);
	if (r < 0)
		fd_close(fd);
	return r;
}

int processes_new(
	struct loop *loop, const struct root_spec *root, struct processes **ret, struct err *e)
{
	struct processes *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_errno(e, -ENOMEM, "cannot keep track of processes");
	p->loop = loop;
	p->root = root;
	p->children.fd = p->spawner_replies.fd = p->spawner.pidfd = -1;
	list_init(&p->spawns);
	for (size_t i = 0; i < PROCESS_BUCKETS; i++)
		list_init(&p->buckets[i]);
	r = spawner_start(p, e);
	if (r == 0) {
		r = processes_watch_children(p);
		if (r < 0)
			err_errno(e, r, "cannot watch for ended children");
	}
	if (r < 0) {
		processes_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct processes *processes_free(struct processes *p)
{
	if (!p)
		return NULL;
	process_abandon(&p->spawner);
	loop_remove(p->loop, &p->children);
	loop_remove(p->loop, &p->spawner_replies);
	loop_defer_cancel(p->loop, &p->reap);
	fd_close(p->children.fd);
	fd_close(p->spawner_replies.fd);
	free(p);
	return NULL;
}

struct spawn_request *processes_request(struct processes *p, enum spawn_kind kind)
{
	memset(&p->request, 0, offsetof(struct spawn_request, strings));
	p->request.kind = kind;
	return &p->request;
}

int processes_spawn(struct processes *p, struct spawn *spawn, const int *fds, size_t fd_count,
	spawn_done_fn done)
{
	int r;

	p->request.sequence = spawn->sequence = ++p->sequence;
	r = fd_send(
		p->spawner_replies.fd, &p->request, spawn_request_size(&p->request), fds, fd_count);
	if (r < 0)
		return r;
	spawn->done = done;
	list_append(&p->spawns, &spawn->link);
	return 0;
}

void processes_spawn_cancel(struct spawn *spawn)
{
	if (!spawn->done)
		return;
	list_remove(&spawn->link);
	spawn->done = NULL;
}
