/*
 * listener.c - the listening socket. It accepts connections itself and hands them to libmicrohttpd,
 * which would turn in circles when descriptors are out and cannot be told to stop accepting.
 */
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/front/access.h"
#include "supervisor/front/front_state.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_BATCH 64 /* connections in one turn of the loop */
#define BACKLOG 1024
#define RETRY_AFTER (100 * USEC_PER_MSEC) /* when descriptors or memory are out */

#define UNIX_PREFIX "unix:"

static void listener_retry(struct loop_timer *timer)
{
	listener_resume(container_of(timer, struct front, listener.retry));
}

static void listener_pause(struct front *front)
{
	loop_remove(front->supervisor->loop, &front->listener.source);
	front->listener.paused = true;
}

/* Out of descriptors or memory: what waits in the backlog is taken when there are some again. */
static void listener_pause_for_a_moment(struct front *front, int error)
{
	log_warning("cannot accept a connection: %s; trying again", strerror(error));
	listener_pause(front);
	if (loop_timer_set(front->supervisor->loop, &front->listener.retry,
		    usec_monotonic() + RETRY_AFTER, listener_retry) < 0)
		log_error("cannot set a timer: the next connection to end resumes accepting");
}

/* True when there may be another. */
static bool listener_accept(struct front *front)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int one = 1;
	int fd = accept4(front->listener.fd, (struct sockaddr *)&address, &size,
		SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			listener_pause_for_a_moment(front, errno);
		return errno == ECONNABORTED || errno == EINTR;
	}
	if (address.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* Takes the descriptor over, also when it fails. */
	MHD_add_connection(front->daemon, fd, (struct sockaddr *)&address, size);
	return true;
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct front *front = container_of(source, struct front, listener.source);

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH && !front->listener.paused; i++) {
		if (front->connection_count >= front->connection_max)
			listener_pause(front);
		else if (!listener_accept(front))
			break;
	}
	front_wake(front);
}

void listener_resume(struct front *front)
{
	struct listener *listener = &front->listener;

	if (!listener->paused || listener->fd < 0 ||
		front->connection_count >= front->connection_max)
		return;
	loop_timer_cancel(front->supervisor->loop, &listener->retry);
	listener->paused = false;
	if (loop_add(front->supervisor->loop, &listener->source, listener->fd, EPOLLIN,
		    listener_ready) < 0)
		listener_pause_for_a_moment(front, ENOMEM);
}

/* A socket left by a supervisor that was killed answers nobody, and its name is in the way. */
static int unix_remove_stale(const struct sockaddr_un *address, socklen_t size)
{
	_cleanup_close_ int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat stat;

	if (probe < 0)
		return -errno;
	if (lstat(address->sun_path, &stat) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(stat.st_mode) ||
		connect(probe, (const struct sockaddr *)address, size) == 0 ||
		errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

static int listen_unix(struct listener *listener, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
	int r;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	r = unix_remove_stale(&address, size);
	if (r < 0)
		return r;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&address, size) < 0)
		return -errno;
	listener->unix_path = strdup(path);
	/* Who may use the API is who may open the socket. */
	if (!listener->unix_path || chmod(path, 0600) < 0 || listen(listener->fd, BACKLOG) < 0)
		return -errno;
	snprintf(listener->address, sizeof(listener->address), UNIX_PREFIX "%s", path);
	return 0;
}

/* The address as it is now, with the port that the system chose for port 0. */
static int listener_describe(struct listener *listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	char host[96], port[16];

	if (getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	if (getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -EINVAL;
	snprintf(listener->address, sizeof(listener->address),
		address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
}

static int listen_at(struct listener *listener, const struct addrinfo *at)
{
	int one = 1;

	listener->fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0 ||
		setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(listener->fd, at->ai_addr, at->ai_addrlen) < 0 ||
		listen(listener->fd, BACKLOG) < 0)
		return -errno;
	return listener_describe(listener);
}

/* The resolver would take any number and cut it to sixteen bits. */
static bool is_port(const char *text)
{
	size_t size = strlen(text);

	return size >= 1 && size <= 5 && strspn(text, "0123456789") == size && atoi(text) <= 65535;
}

/* Splits ADDR:PORT, where ADDR may be in brackets. */
static int split_address(const char *where, char *host, size_t host_size, const char **ret_port)
{
	const char *colon = strrchr(where, ':');
	size_t size;

	if (!colon || colon == where || !is_port(colon + 1))
		return -EINVAL;
	*ret_port = colon + 1;
	if (*where == '[' && colon[-1] == ']') {
		where++;
		size = (size_t)(colon - 1 - where);
	} else {
		size = (size_t)(colon - where);
	}
	if (size >= host_size)
		return -EINVAL;
	memcpy(host, where, size);
	host[size] = '\0';
	return 0;
}

static int listen_tcp(struct front *front, const char *where, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
	const char *port;
	char host[256];
	int r = split_address(where, host, sizeof(host), &port);

	if (r < 0 || getaddrinfo(host, port, &hints, &list) != 0)
		return -EINVAL;
	r = access_check_address(front, list->ai_addr, e);
	if (r == 0)
		r = listen_at(&front->listener, list);
	freeaddrinfo(list);
	return r;
}

int listener_open(struct front *front, const char *where, struct err *e)
{
	struct listener *listener = &front->listener;
	bool is_unix = strncmp(where, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
	int r = is_unix ? listen_unix(listener, where + strlen(UNIX_PREFIX))
			: listen_tcp(front, where, e);

	if (r < 0 && e->code)
		return r;
	if (r == -EINVAL)
		return err_set(e, r,
			"Cannot listen at '%s': give ADDR:PORT, such as 127.0.0.1:8480, or "
			"unix:PATH.",
			where);
	if (r == -EADDRINUSE)
		return err_set(e, r,
			"Cannot listen at %s: another program does already; end it, or give "
			"another --listen.",
			where);
	if (r < 0)
		return err_errno(e, r, "Cannot listen at %s", where);
	listener->paused = true;
	listener_resume(front);
	return 0;
}

void listener_close(struct front *front)
{
	struct listener *listener = &front->listener;

	loop_timer_cancel(front->supervisor->loop, &listener->retry);
	loop_remove(front->supervisor->loop, &listener->source);
	listener->fd = fd_close(listener->fd);
	if (listener->unix_path)
		unlink(listener->unix_path);
	free(take_ptr(listener->unix_path));
}
