/*
 * channel.c - see channel.h.
 */
#include "supervisor/launch/channel.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHANNEL_READ (64 * 1024)  /* read at once; a short frame needs one system call */
#define CHANNEL_READS_PER_TURN 8  /* a guest that floods the channel waits for the others */
#define CHANNEL_KEEP (256 * 1024) /* a larger buffer is given back after its frame */

static void channel_ready(struct loop_source *source, uint32_t events);

int channel_init(struct channel *c, struct loop *loop, int socket, bool stream, size_t payload_max,
	const struct channel_events *events)
{
	int r;

	*c = (struct channel){
		.loop = loop, .events = events, .stream = stream, .payload_max = payload_max
	};
	fd_refuse_descriptors(socket);
	r = fd_set_nonblocking(socket, true);
	if (r == 0)
		r = loop_add(loop, &c->source, socket, EPOLLIN, channel_ready);
	if (r < 0) {
		c->source.fd = -1;
		fd_close(socket);
	}
	return r;
}

void channel_done(struct channel *c)
{
	if (!c->source.added)
		return;
	loop_remove(c->loop, &c->source);
	c->source.fd = fd_close(c->source.fd);
	c->generation++;
	if (!c->delivering)
		buffer_done(&c->in);
	buffer_done(&c->out);
}

int channel_expect_sender(struct channel *c, bool on)
{
	int value = on;

	return setsockopt(c->source.fd, SOL_SOCKET, SO_PASSCRED, &value, sizeof(value)) < 0 ? -errno
											    : 0;
}

static void channel_end(struct channel *c, int reason)
{
	c->events->closed(c, reason);
}

/* 1 and the frame, 0 when more bytes are needed, -EBADMSG. */
static int channel_parse(struct channel *c, const char *data, size_t size, size_t *ret_used,
	struct channel_frame *ret)
{
	struct wire_header h;

	if (size < WIRE_HEADER_SIZE)
		return c->stream ? 0 : -EBADMSG;
	if (wire_decode_header(data, &h) < 0 || h.size - h.fields_size > c->payload_max)
		return -EBADMSG;
	if (size - WIRE_HEADER_SIZE < h.size)
		return c->stream ? 0 : -EBADMSG;
	ret->header = h;
	ret->fields = data + WIRE_HEADER_SIZE;
	ret->payload = ret->fields + h.fields_size;
	ret->payload_size = h.size - h.fields_size;
	*ret_used = WIRE_HEADER_SIZE + h.size;
	return wire_check_fields(ret->fields, h.fields_size) < 0 ? -EBADMSG : 1;
}

/* Delivers all whole frames in data. Returns the bytes used, or -EBADMSG, or -EPIPE when a callback
 * ended the channel. */
static ssize_t channel_deliver(struct channel *c, const char *data, size_t size, pid_t sender)
{
	uint32_t generation = c->generation;
	size_t used = 0, n;

	for (;;) {
		struct channel_frame frame = { .sender = sender };
		int r = channel_parse(c, data + used, size - used, &n, &frame);

		if (r <= 0)
			return r < 0 ? r : (ssize_t)used;
		c->delivering = true;
		c->events->frame(c, &frame);
		c->delivering = false;
		if (c->generation != generation) {
			buffer_done(&c->in);
			return -EPIPE;
		}
		used += n;
		if (used == size || !c->stream)
			return (ssize_t)size;
	}
}

/* A frame that is too long for one read is collected in `in`, which is made as large as its header
 * says at once. */
static int channel_collect(struct channel *c, const char *data, size_t size)
{
	struct wire_header h;

	buffer_append(&c->in, data, size);
	if (c->in.size >= WIRE_HEADER_SIZE && wire_decode_header(c->in.data, &h) == 0 &&
		h.size - h.fields_size <= c->payload_max &&
		WIRE_HEADER_SIZE + (size_t)h.size > c->in.size)
		buffer_reserve(&c->in, WIRE_HEADER_SIZE + (size_t)h.size - c->in.size);
	return c->in.failed ? -ENOMEM : 0;
}

static int channel_take(struct channel *c, const char *data, size_t size, pid_t sender)
{
	ssize_t used;
	int r;

	if (c->in.size == 0) {
		used = channel_deliver(c, data, size, sender);
		if (used < 0 || (size_t)used == size)
			return used < 0 ? (int)used : 0;
		return channel_collect(c, data + used, size - (size_t)used);
	}
	r = channel_collect(c, data, size);
	if (r < 0)
		return r;
	used = channel_deliver(c, c->in.data, c->in.size, sender);
	if (used < 0)
		return (int)used;
	buffer_consume(&c->in, (size_t)used);
	if (c->in.size == 0 && c->in.capacity > CHANNEL_KEEP)
		buffer_done(&c->in);
	return 0;
}

/* One read. 1: there may be more, 0: nothing more now, negative: the channel is at its end. */
static int channel_read(struct channel *c)
{
	char data[CHANNEL_READ];
	struct fd_message message;
	bool unwanted;
	int r = fd_receive(c->source.fd, data, sizeof(data), MSG_DONTWAIT, &message);

	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	/* Guests have no business sending descriptors; holding them would exhaust ours. */
	unwanted = message.fd_count > 0 || message.truncated;
	fd_message_done(&message);
	if (unwanted)
		return -EBADMSG;
	if (message.size == 0)
		return -ENODATA;
	r = channel_take(c, data, (size_t)message.size,
		message.has_credentials ? message.credentials.pid : 0);
	if (r < 0)
		return r;
	return !c->stream || message.size == sizeof(data);
}

static void channel_read_some(struct channel *c, int reads)
{
	int r = 1;

	for (int i = 0; i < reads && r > 0 && !c->held; i++)
		r = channel_read(c);
	if (r < 0 && r != -EPIPE)
		channel_end(c, r == -ENODATA || r == -ECONNRESET ? 0 : r);
}

static int channel_watch(struct channel *c)
{
	return loop_modify(
		c->loop, &c->source, (c->held ? 0 : EPOLLIN) | (c->out.size > 0 ? EPOLLOUT : 0));
}

void channel_hold(struct channel *c, bool on)
{
	if (!channel_is_open(c) || c->held == on)
		return;
	c->held = on;
	/* Without the memory for it the peer is read on: what it may send is bounded by others. */
	if (channel_watch(c) < 0)
		c->held = false;
}

static int channel_write_some(struct channel *c)
{
	ssize_t n = send(c->source.fd, c->out.data, c->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if ((size_t)n < c->out.size) {
		buffer_consume(&c->out, (size_t)n);
		return 0;
	}
	buffer_done(&c->out);
	return channel_watch(c);
}

static void channel_ready(struct loop_source *source, uint32_t events)
{
	struct channel *c = container_of(source, struct channel, source);

	/* A failed write is seen by the read that follows: the peer is gone. */
	if ((events & EPOLLOUT) && channel_write_some(c) < 0)
		events |= EPOLLHUP;
	/* Of a peer that is gone there is only what the socket holds. */
	if (events & (EPOLLHUP | EPOLLERR))
		c->held = false;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		channel_read_some(c, CHANNEL_READS_PER_TURN);
}

void channel_drain(struct channel *c)
{
	/* The sender is dead, so what it left is bounded by the socket's buffer. */
	c->held = false;
	if (channel_is_open(c))
		channel_read_some(c, 4096);
}

static int channel_queue(struct channel *c, const struct iovec *parts, size_t sent)
{
	for (int i = 0; i < 2; i++) {
		size_t skip = min_of(sent, parts[i].iov_len);

		buffer_append(
			&c->out, (const char *)parts[i].iov_base + skip, parts[i].iov_len - skip);
		sent -= skip;
	}
	if (c->out.failed)
		return -ENOMEM;
	return channel_watch(c);
}

int channel_send(struct channel *c, const void *frame, size_t frame_size, const void *payload,
	size_t payload_size)
{
	struct iovec parts[2] = {
		{ .iov_base = (void *)frame, .iov_len = frame_size },
		{ .iov_base = (void *)payload, .iov_len = payload_size },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n = 0;

	if (c->out.size == 0) {
		n = sendmsg(c->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		n = max_of(n, (ssize_t)0);
	}
	if ((size_t)n == frame_size + payload_size)
		return 0;
	return c->stream ? channel_queue(c, parts, (size_t)n) : -EAGAIN;
}

int channel_send_fds(
	struct channel *c, const void *frame, size_t frame_size, const int *fds, size_t fd_count)
{
	return fd_send(c->source.fd, frame, frame_size, fds, fd_count);
}

int channel_send_plain(struct channel *c, enum wire_type type, uint32_t sequence)
{
	unsigned char frame[WIRE_HEADER_SIZE];
	struct wire_writer w;
	size_t size;
	int r;

	wire_begin(&w, frame, sizeof(frame), type, sequence);
	r = wire_end(&w, 0, &size);
	return r < 0 ? r : channel_send(c, frame, size, NULL, 0);
}
