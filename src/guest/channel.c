/*
 * channel.c - an isolate's side of its channel: events in, replies, errors and parts out.
 *
 * The memory of the event belongs to the handle: fields first, then the payload and a NUL that is
 * not counted. It is mapped rather than allocated, so that a huge event leaves nothing behind.
 */
#include "guest/handle.h"

#include "base/buffer.h"
#include "base/fd.h"
#include "wire/settings.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define CHANNEL_KEEP (256 * 1024)          /* memory that is kept from one event to the next */
#define CHANNEL_GRANULE ((size_t)65536)    /* memory grows by this */
#define CHANNEL_TYPE_MAX 127               /* bytes of an error type or a content type */
#define CHANNEL_INIT_ERROR_MAX (96 * 1024) /* a datagram has to hold it */

void channel_done(struct channel *channel)
{
	if (channel->data)
		munmap(channel->data, channel->capacity);
	*channel = (struct channel){ 0 };
}

/* Makes room for `size` bytes; of what is in it the first `kept` stay. */
static int channel_reserve(struct channel *channel, size_t size, size_t kept)
{
	size_t capacity = (size + CHANNEL_GRANULE - 1) / CHANNEL_GRANULE * CHANNEL_GRANULE;
	void *data;

	if (channel->capacity > CHANNEL_KEEP && capacity < channel->capacity) {
		munmap(channel->data, channel->capacity);
		channel->data = NULL;
		channel->capacity = 0;
	}
	if (capacity <= channel->capacity)
		return 0;
	data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return -errno;
	if (channel->data) {
		memcpy(data, channel->data, kept);
		munmap(channel->data, channel->capacity);
	}
	channel->data = data;
	channel->capacity = capacity;
	return 0;
}

/* Moves past the n bytes that were sent. */
static void channel_advance(struct msghdr *message, size_t n)
{
	while (message->msg_iovlen > 0 && n >= message->msg_iov->iov_len) {
		n -= message->msg_iov->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
	if (message->msg_iovlen > 0) {
		message->msg_iov->iov_base = (char *)message->msg_iov->iov_base + n;
		message->msg_iov->iov_len -= n;
	}
}

/* Ends the frame in w and sends it with its payload, in one call where the socket takes it. */
static int channel_send(
	struct pv_handle *handle, struct wire_writer *w, const void *payload, size_t payload_size)
{
	struct iovec parts[2] = { { 0 }, { (void *)payload, payload_size } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	size_t size;
	int r;

	r = wire_end(w, payload_size, &size);
	if (r < 0)
		return err_errno(
			&handle->error, r, "A message of %zu bytes cannot be sent", payload_size);
	parts[0] = (struct iovec){ w->data, size };
	while (message.msg_iovlen > 0) {
		ssize_t n = sendmsg(handle->fd, &message, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(&handle->error, -errno,
				"The supervisor did not take a message of %zu bytes", payload_size);
		channel_advance(&message, (size_t)n);
	}
	return 0;
}

int channel_read_role(int fd, struct role *role, struct wire_header *ret_header)
{
	struct wire_header header;
	int r;

	r = fd_read_exactly(fd, role->data, WIRE_HEADER_SIZE);
	if (r < 0)
		return r;
	r = wire_decode_header(role->data, &header);
	if (r < 0)
		return r;
	if (header.size > WIRE_FIELDS_MAX)
		return -EBADMSG;
	r = fd_read_exactly(fd, role->data + WIRE_HEADER_SIZE, header.size);
	if (r < 0)
		return r;
	return role_decode(role, WIRE_HEADER_SIZE + header.size, ret_header);
}

static int channel_ask(struct pv_handle *handle)
{
	unsigned char frame[WIRE_HEADER_SIZE];
	struct wire_writer w;
	int r;

	if (handle->channel.asked)
		return 0;
	wire_begin(&w, frame, sizeof(frame), WIRE_IDLE, 0);
	r = channel_send(handle, &w, NULL, 0);
	handle->channel.asked = r == 0;
	return r;
}

/*
 * Waits for a frame and takes its head, and of the rest what there is and the channel has memory for.
 *
 * It waits in poll: a read of a stream socket is woken too when the supervisor has taken the last
 * reply, which makes room to write, only to sleep again.
 */
static int channel_receive(struct pv_handle *handle, void *head, size_t *ret_rest)
{
	struct channel *channel = &handle->channel;
	struct pollfd readable = { .fd = handle->fd, .events = POLLIN };
	struct iovec parts[2] = { { head, WIRE_HEADER_SIZE },
		{ channel->data, channel->capacity } };
	ssize_t n;

	do
		n = poll(&readable, 1, -1) < 0 ? -1 : readv(handle->fd, parts, 2);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ENODATA;
	*ret_rest = (size_t)max_of(n - WIRE_HEADER_SIZE, (ssize_t)0);
	return n < WIRE_HEADER_SIZE ? fd_read_exactly(handle->fd, (char *)head + n,
					      (size_t)(WIRE_HEADER_SIZE - n))
				    : 0;
}

/* Reads an event into the channel's memory. 0, or -errno. */
static int channel_read_event(struct pv_handle *handle)
{
	struct channel *channel = &handle->channel;
	unsigned char frame[WIRE_HEADER_SIZE];
	struct wire_header header;
	size_t got;
	int r;

	r = channel_reserve(channel, CHANNEL_GRANULE, 0);
	if (r == 0)
		r = channel_receive(handle, frame, &got);
	if (r < 0)
		return r;
	r = wire_decode_header(frame, &header);
	if (r < 0 || header.type != WIRE_EVENT || got > header.size)
		return -EBADMSG;
	r = channel_reserve(channel, (size_t)header.size + 1, got);
	if (r < 0)
		return r;
	r = fd_read_exactly(handle->fd, channel->data + got, header.size - got);
	if (r < 0)
		return r;
	channel->data[header.size] = '\0';
	channel->fields_size = header.fields_size;
	channel->payload_size = header.size - header.fields_size;
	channel->sequence = header.sequence;
	return wire_check_fields(channel->data, channel->fields_size);
}

int pv_next(pv_handle *handle, const void **ret_event, size_t *ret_size)
{
	struct channel *channel;
	int r;

	if (!handle || !ret_event || !ret_size)
		return -EINVAL;
	channel = &handle->channel;
	if (handle->stage != STAGE_ISOLATE || channel->open)
		return err_set(&handle->error, -EINVAL,
			channel->open ? "The last event has not been answered: reply or fail first."
				      : "This process is no isolate: only one that came back from "
					"pv_template() twice is given events.");
	r = channel_ask(handle);
	if (r == 0)
		r = channel_read_event(handle);
	if (r == -ENODATA || r == -ECONNRESET || r == -EPIPE)
		return PV_CLOSED;
	if (r < 0)
		return err_errno(&handle->error, r, "The next event could not be read");
	channel->open = true;
	channel->parts = channel->part_bytes = 0;
	*ret_event = channel->data + channel->fields_size;
	*ret_size = channel->payload_size;
	return 0;
}

static const struct channel_attribute {
	const char *name;
	enum wire_key key;
} channel_attributes[] = {
	{ "request_id", WIRE_REQUEST_ID },
	{ "deadline_ms", WIRE_DEADLINE_MS },
	{ "arn", WIRE_INVOKED_ARN },
	{ "client_context", WIRE_CLIENT_CONTEXT },
	{ "identity", WIRE_IDENTITY },
	{ "trace_id", WIRE_TRACE_ID },
	{ "tenant_id", WIRE_TENANT_ID },
	{ "stream", WIRE_STREAM },
};

const char *pv_invocation(pv_handle *handle, const char *attribute)
{
	const char *value = NULL;

	if (!handle || !attribute || handle->stage != STAGE_ISOLATE)
		return NULL;
	for (size_t i = 0; i < array_size(channel_attributes); i++)
		if (strcmp(attribute, channel_attributes[i].name) == 0)
			value = wire_find(handle->channel.data, handle->channel.fields_size,
				channel_attributes[i].key);
	if (!value && strcmp(attribute, "arn") == 0)
		return pv_function(handle, SETTING_ARN);
	return value;
}

/* The most memory that this process, or the largest child it waited for, has had resident. */
static uint64_t channel_memory_kb(void)
{
	struct rusage own, children;

	if (getrusage(RUSAGE_SELF, &own) < 0 || getrusage(RUSAGE_CHILDREN, &children) < 0)
		return 0;
	return (uint64_t)max_of(own.ru_maxrss, children.ru_maxrss);
}

static void channel_put_type(struct wire_writer *w, enum wire_key key, const char *type)
{
	char cut[CHANNEL_TYPE_MAX + 1];
	size_t n = strnlen(type, CHANNEL_TYPE_MAX);

	memcpy(cut, type, n);
	cut[n] = '\0';
	wire_put(w, key, cut);
}

static int channel_check_open(struct pv_handle *handle, const void *data, size_t size)
{
	if (!handle || (!data && size > 0))
		return -EINVAL;
	if (handle->channel.open)
		return 0;
	return err_set(&handle->error, -EINVAL, "There is no event to answer: pv_next() first.");
}

/* The limit is for what the caller has to keep in memory; a streamed reply is never kept whole. */
static bool channel_is_too_large(struct pv_handle *handle, size_t size)
{
	if (pv_invocation(handle, "stream"))
		return false;
	return handle->channel.part_bytes + size > handle_reply_limit(handle);
}

int pv_reply(pv_handle *handle, const void *data, size_t size, const char *content_type)
{
	unsigned char frame[GUEST_FRAME_MAX];
	struct wire_writer w;
	int r;

	r = channel_check_open(handle, data, size);
	if (r < 0)
		return r;
	if (channel_is_too_large(handle, size))
		return PV_TOO_LARGE;
	/* What native code printed, and libc still holds, comes before the end of its invocation.
	 */
	fflush(stdout);
	wire_begin(&w, frame, sizeof(frame), WIRE_REPLY, handle->channel.sequence);
	if (content_type)
		channel_put_type(&w, WIRE_CONTENT_TYPE, content_type);
	if (handle->channel.parts > 0)
		wire_put_number(&w, WIRE_PART_COUNT, handle->channel.parts);
	wire_put_number(&w, WIRE_MEMORY_KB, channel_memory_kb());
	r = channel_send(handle, &w, data, size);
	if (r == 0)
		handle->channel.open = false;
	return r;
}

int pv_reply_part(pv_handle *handle, const void *data, size_t size, const char *content_type)
{
	unsigned char frame[GUEST_FRAME_MAX];
	struct wire_writer w;
	int r;

	r = channel_check_open(handle, data, size);
	if (r < 0)
		return r;
	if (channel_is_too_large(handle, size))
		return PV_TOO_LARGE;
	wire_begin(&w, frame, sizeof(frame), WIRE_PART, handle->channel.sequence);
	wire_put_number(&w, WIRE_PART_COUNT, handle->channel.parts);
	if (content_type)
		channel_put_type(&w, WIRE_CONTENT_TYPE, content_type);
	r = channel_send(handle, &w, data, size);
	if (r == 0) {
		handle->channel.parts++;
		handle->channel.part_bytes += size;
	}
	return r;
}

int pv_fail(pv_handle *handle, const char *type, const char *json, size_t size)
{
	unsigned char frame[GUEST_FRAME_MAX];
	struct wire_writer w;
	int r;

	r = channel_check_open(handle, json, size);
	if (r < 0 || !type)
		return r < 0 ? r : -EINVAL;
	if (size > handle_reply_limit(handle))
		return PV_TOO_LARGE;
	fflush(stdout);
	wire_begin(&w, frame, sizeof(frame), WIRE_FAIL, handle->channel.sequence);
	channel_put_type(&w, WIRE_ERROR_TYPE, type);
	if (handle->channel.parts > 0)
		wire_put_number(&w, WIRE_PART_COUNT, handle->channel.parts);
	wire_put_number(&w, WIRE_MEMORY_KB, channel_memory_kb());
	r = channel_send(handle, &w, json, size);
	if (r == 0)
		handle->channel.open = false;
	return r;
}

/* The error as it can be sent: json itself, or its type alone where it does not fit. */
static void channel_init_error(struct buffer *ret, const char *type, const char *json, size_t size)
{
	if (size <= CHANNEL_INIT_ERROR_MAX && !memchr(json, '\0', size)) {
		buffer_append(ret, json, size);
		return;
	}
	buffer_append_string(ret, "{\"errorMessage\":\"The error is too large to be shown.\","
				  "\"errorType\":");
	buffer_append_json(ret, type, strnlen(type, CHANNEL_TYPE_MAX));
	buffer_append_string(ret, ",\"stackTrace\":[]}");
}

int pv_init_failed(pv_handle *handle, const char *type, const char *json, size_t size)
{
	_cleanup_free_ unsigned char *frame = NULL;
	_cleanup_buffer_ struct buffer error = { 0 };
	struct wire_writer w;
	int r;

	if (!handle || !type || !json)
		return -EINVAL;
	channel_init_error(&error, type, json, size);
	frame = malloc(GUEST_FRAME_MAX + CHANNEL_INIT_ERROR_MAX);
	if (!frame || error.failed)
		return -ENOMEM;
	wire_begin(&w, frame, GUEST_FRAME_MAX + CHANNEL_INIT_ERROR_MAX, WIRE_INIT_FAILED, 0);
	channel_put_type(&w, WIRE_ERROR_TYPE, type);
	wire_put(&w, WIRE_MESSAGE, error.data ? error.data : "");
	r = handle_send(handle, &w);
	return r < 0 ? err_errno(&handle->error, r, "The error did not reach the supervisor") : 0;
}
