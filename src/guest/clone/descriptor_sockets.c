/*
 * descriptor_sockets.c - sockets.
 *
 * A pair whose two ends are both in this process is made again with the bytes it holds. What leads
 * to another process cannot be had twice: two clones would read each other's replies. The clone
 * gets an end whose peer is closed, so that the runtime sees an orderly end of file and drops it. A
 * socket that is neither connected nor listening is replaced by a new one of its kind.
 */
#include "guest/clone/descriptors.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX ((size_t)1 << 20)
#define TCP_STATE_CLOSED 7
#define NAME_PREFIX "polyvisor-clone/" /* of an abstract name, behind its first zero byte */

static int socket_number(const struct descriptor *d, int option)
{
	int value = 0;
	socklen_t size = sizeof(value);

	return getsockopt(d->number, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static bool is_connected(const struct descriptor *d)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	struct tcp_info info;

	if (getpeername(d->number, (struct sockaddr *)&peer, &size) == 0)
		return true;
	if (d->socket.protocol != IPPROTO_TCP)
		return false;
	size = sizeof(info);
	return getsockopt(d->number, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       info.tcpi_state != TCP_STATE_CLOSED;
}

/* The credentials of the peer are those of whoever called socketpair() or connect(). */
static bool is_of_this_process(const struct descriptor *d)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(d->number, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.pid == getpid();
}

static bool may_be_pair(const struct descriptor *d)
{
	return d->kind == &socket_kind && socket_number(d, SO_DOMAIN) == AF_UNIX &&
	       socket_number(d, SO_ACCEPTCONN) == 0 && is_connected(d) && is_of_this_process(d);
}

static int name_give(int fd, unsigned long long salt, int number)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int length = snprintf(
		name.sun_path + 1, sizeof(name.sun_path) - 1, NAME_PREFIX "%llx/%d", salt, number);

	return bind(fd, (struct sockaddr *)&name,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length));
}

static bool has_name(const struct descriptor *d, const struct sockaddr_un *wanted, socklen_t size)
{
	struct sockaddr_un name;
	socklen_t size_of_name = sizeof(name);

	return getsockname(d->number, (struct sockaddr *)&name, &size_of_name) == 0 &&
	       size_of_name == size && memcmp(&name, wanted, size) == 0;
}

static struct descriptor *peer_by_name(struct survey *s, const struct descriptor *d)
{
	struct sockaddr_un name = { 0 };
	socklen_t size = sizeof(name);

	if (getpeername(d->number, (struct sockaddr *)&name, &size) < 0 || name.sun_path[0])
		return NULL;
	if (strncmp(name.sun_path + 1, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
		return NULL;
	for (size_t i = 0; i < s->count; i++)
		if (s->all[i].kind == &socket_kind && has_name(&s->all[i], &name, size))
			return &s->all[i];
	return NULL;
}

/*
 * Which ends belong together is nowhere to be read without netlink, which sandboxes deny. But a
 * nameless socket can be given a name even when it is connected, and its peer can ask for it. One
 * that has a name already is found from the other side.
 */
static void match_all(struct survey *s)
{
	unsigned long long salt = 0;

	s->sockets_matched = true;
	(void)!getrandom(&salt, sizeof(salt), GRND_NONBLOCK);
	for (size_t i = 0; i < s->count; i++)
		if (may_be_pair(&s->all[i]))
			(void)!name_give(s->all[i].number, salt, s->all[i].number);
	for (size_t i = 0; i < s->count; i++) {
		struct descriptor *d = &s->all[i], *other;

		other = may_be_pair(d) ? peer_by_name(s, d) : NULL;
		if (!other)
			continue;
		d->other = other;
		other->other = d;
	}
}

/*
 * Looks at all messages without taking any: with a peek offset, each look begins behind the last.
 * A stream is one long message.
 */
static int content_peek(struct survey *s, struct descriptor *d, char *buffer)
{
	int before = socket_number(d, SO_PEEK_OFF), zero = 0, r = 0;

	if (setsockopt(d->number, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) < 0)
		return -errno;
	while (r == 0) {
		struct iovec vector = { buffer, MESSAGE_MAX };
		struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
		ssize_t n = recvmsg(d->number, &message, MSG_PEEK | MSG_DONTWAIT);

		if (n <= 0)
			break;
		if (message.msg_flags & MSG_CTRUNC)
			descriptor_note(s, d,
				"one end of a socket pair with descriptors under way, "
				"which clones will not receive");
		r = content_append(s, d, buffer, (size_t)n);
	}
	setsockopt(d->number, SOL_SOCKET, SO_PEEK_OFF, &before, sizeof(before));
	return r;
}

static int pair_survey_content(struct survey *s, struct descriptor *d)
{
	int waiting = 0, r;
	char *buffer;

	if (ioctl(d->number, FIONREAD, &waiting) < 0 || waiting == 0)
		return 0;
	buffer = mmap(NULL, MESSAGE_MAX, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buffer == MAP_FAILED)
		return -ENOMEM;
	r = content_peek(s, d, buffer);
	munmap(buffer, MESSAGE_MAX);
	return r;
}

static const struct {
	int option;
	uint32_t size;
} options[SOCKET_OPTIONS_MAX] = {
	{ SO_PASSCRED, sizeof(int) },
	{ SO_SNDBUF, sizeof(int) },
	{ SO_RCVBUF, sizeof(int) },
	{ SO_RCVTIMEO, sizeof(struct timeval) },
	{ SO_SNDTIMEO, sizeof(struct timeval) },
};

/* Those options in which an end differs from one just made. */
static void pair_survey_options(struct descriptor *d, int fresh)
{
	for (size_t i = 0; i < array_size(options) && options[i].size; i++) {
		struct socket_option own = { options[i].option, options[i].size, { 0 } },
				     usual = own;
		socklen_t size = own.size, usual_size = own.size;

		if (getsockopt(d->number, SOL_SOCKET, own.name, &own.value, &size) < 0 ||
			getsockopt(fresh, SOL_SOCKET, own.name, &usual.value, &usual_size) < 0)
			continue;
		if (memcmp(&own.value, &usual.value, size) == 0)
			continue;
		/* The kernel reports twice what was asked for. */
		if (own.name == SO_SNDBUF || own.name == SO_RCVBUF)
			own.value.number /= 2;
		d->socket.options[d->socket.option_count++] = own;
	}
}

static int pair_survey(struct survey *s, struct descriptor *d)
{
	struct pollfd poll_of_end = { .fd = d->number, .events = POLLRDHUP };
	int ends[2];

	d->socket.form = SOCKET_PAIR;
	if (socketpair(AF_UNIX, d->socket.type | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pair_survey_options(d, ends[0]);
	fd_close(ends[0]);
	fd_close(ends[1]);
	if (poll(&poll_of_end, 1, 0) > 0)
		d->socket.end_of_file = poll_of_end.revents & (POLLRDHUP | POLLHUP);
	return pair_survey_content(s, d);
}

static void address_print(const struct sockaddr_storage *address, char *text, size_t size)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	const struct sockaddr_un *local = (const void *)address;
	char number[INET6_ADDRSTRLEN] = "";

	if (address->ss_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, number, sizeof(number));
		snprintf(text, size, "%s:%d", number, ntohs(in->sin_port));
	} else if (address->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, number, sizeof(number));
		snprintf(text, size, "[%s]:%d", number, ntohs(in6->sin6_port));
	} else if (address->ss_family == AF_UNIX && local->sun_path[0]) {
		snprintf(text, size, "%s", local->sun_path);
	} else {
		snprintf(text, size, "another process");
	}
}

static void lost_note(struct survey *s, const struct descriptor *d, bool listening)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address) - 1;
	char text[sizeof(struct sockaddr_un) + 16];
	int r = listening ? getsockname(d->number, (struct sockaddr *)&address, &size)
			  : getpeername(d->number, (struct sockaddr *)&address, &size);

	if (r < 0)
		address.ss_family = AF_UNSPEC;
	address_print(&address, text, sizeof(text));
	descriptor_note(s, d,
		listening ? "a socket that listens on %s; in clones nobody connects to it, so open "
			    "it "
			    "in the handler or in an after-restore hook"
			  : "a connection to %s; in clones it reads end of file, so open it in the "
			    "handler or in an after-restore hook",
		text);
}

static int socket_survey(struct survey *s, struct descriptor *d)
{
	bool listening;

	if (!s->sockets_matched)
		match_all(s);
	d->socket.domain = socket_number(d, SO_DOMAIN);
	d->socket.type = socket_number(d, SO_TYPE);
	d->socket.protocol = socket_number(d, SO_PROTOCOL);
	if (d->other)
		return pair_survey(s, d);
	listening = socket_number(d, SO_ACCEPTCONN) == 1;
	if (listening)
		d->socket.form = SOCKET_LISTENING;
	else
		d->socket.form = is_connected(d) ? SOCKET_CLOSED : SOCKET_FRESH;
	if (d->socket.form != SOCKET_FRESH)
		lost_note(s, d, listening);
	return 0;
}

static int options_restore(const struct descriptor *d, int fd)
{
	for (size_t i = 0; i < d->socket.option_count; i++) {
		const struct socket_option *o = &d->socket.options[i];

		if (setsockopt(fd, SOL_SOCKET, o->name, &o->value, o->size) < 0)
			return -errno;
	}
	return 0;
}

/* Fills one end of a new pair: what it will read comes through the other. */
static int pair_fill(const struct descriptor *d, int fd, int other_fd)
{
	for (const struct content *c = d->content; c; c = c->next) {
		ssize_t n = send(other_fd, c->data, c->size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n != (ssize_t)c->size)
			return n < 0 ? -errno : -ENOBUFS;
	}
	if (d->socket.end_of_file && shutdown(other_fd, SHUT_WR) < 0)
		return -errno;
	return descriptor_set_status(d, fd, 0);
}

static int pair_remake(const struct descriptor *d)
{
	const struct descriptor *other = d->other;
	int ends[2], r;

	if (other < d)
		return 0; /* made with it */
	if (socketpair(AF_UNIX, d->socket.type | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	r = options_restore(d, ends[0]);
	if (r == 0)
		r = options_restore(other, ends[1]);
	if (r == 0)
		r = pair_fill(d, ends[0], ends[1]);
	if (r == 0)
		r = pair_fill(other, ends[1], ends[0]);
	if (r < 0) {
		fd_close(ends[0]);
		fd_close(ends[1]);
		return r;
	}
	return descriptor_place_both(d, ends[0], other, ends[1]);
}

static int end_place(const struct descriptor *d, int fd)
{
	int r = descriptor_set_status(d, fd, 0);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return descriptor_place(d, fd);
}

static int closed_remake(const struct descriptor *d)
{
	int type = d->socket.type, ends[2];

	if (type != SOCK_STREAM && type != SOCK_SEQPACKET)
		type = SOCK_DGRAM;
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	fd_close(ends[1]);
	return end_place(d, ends[0]);
}

/* Listens under a name that nobody knows. */
static int listening_remake(const struct descriptor *d)
{
	int type = d->socket.type == SOCK_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM, fd, r = 0;
	unsigned long long salt = 0;

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)!getrandom(&salt, sizeof(salt), GRND_NONBLOCK);
	if (name_give(fd, salt, d->number) < 0 || listen(fd, 0) < 0) {
		r = -errno;
		fd_close(fd);
		return r;
	}
	return end_place(d, fd);
}

static int socket_remake(const struct descriptor *d)
{
	int fd;

	if (d->socket.form == SOCKET_PAIR)
		return pair_remake(d);
	if (d->socket.form == SOCKET_CLOSED)
		return closed_remake(d);
	if (d->socket.form == SOCKET_LISTENING)
		return listening_remake(d);
	fd = socket(d->socket.domain, d->socket.type | SOCK_CLOEXEC, d->socket.protocol);
	return fd < 0 ? -errno : end_place(d, fd);
}

const struct descriptor_kind socket_kind = { socket_survey, socket_remake };
