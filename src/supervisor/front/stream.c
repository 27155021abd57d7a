/*
 * stream.c - see stream.h; and InvokeWithResponseStream.
 */
#include "supervisor/front/stream.h"

#include "base/base64.h"
#include "supervisor/front/eventstream.h"
#include "supervisor/front/handlers.h"
#include "supervisor/front/invoke.h"

#include <string.h>

#define BLOCK_SIZE (32 * 1024)
#define HOLD_ABOVE (1024 * 1024) /* bytes that wait for a client: its function waits too */
#define GO_ON_BELOW (256 * 1024)

struct stream {
	struct request *request;
	struct buffer buffer;
	size_t taken; /* of the buffer, by the client */
	bool replied;
	bool ended, broken;
	bool suspended; /* the reader found nothing */
	bool held;      /* the invocation was told to wait */
};

struct stream *stream_new(struct request *request)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->request = request;
	request->stream = stream;
	return stream;
}

bool stream_is_replied(const struct stream *stream)
{
	return stream->replied;
}

struct buffer *stream_buffer(struct stream *stream)
{
	return &stream->buffer;
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	if (stream->request)
		stream->request->stream = NULL;
	buffer_done(&stream->buffer);
	free(stream);
}

void stream_forget_request(struct stream *stream)
{
	/* Before its head was sent nobody else has it. */
	if (!stream->replied)
		stream_free(stream);
	else
		stream->request = NULL;
}

/* What a client does not take is not kept without a bound: a function can say more than there is memory. */
static void stream_balance(struct stream *stream)
{
	struct invocation *invocation = stream->request ? stream->request->invocation : NULL;
	size_t waiting = stream->buffer.size - stream->taken;

	if (!invocation || !invocation->hold ||
		(stream->held ? waiting > GO_ON_BELOW : waiting <= HOLD_ABOVE))
		return;
	stream->held = !stream->held;
	invocation->hold(invocation, stream->held);
}

/* Moving the rest to the front at every read would cost the square of what waits. */
static void stream_take(struct stream *stream, char *out, size_t size)
{
	memcpy(out, stream->buffer.data + stream->taken, size);
	stream->taken += size;
	if (stream->taken < stream->buffer.size / 2)
		return;
	buffer_consume(&stream->buffer, stream->taken);
	stream->taken = 0;
}

static ssize_t stream_read(void *data, uint64_t position, char *out, size_t max)
{
	struct stream *stream = data;
	size_t size = min_of(max, stream->buffer.size - stream->taken);

	(void)position;
	if (stream->broken || stream->buffer.failed || !stream->request)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (size == 0) {
		if (stream->ended)
			return MHD_CONTENT_READER_END_OF_STREAM;
		stream->suspended = true;
		connection_pause(stream->request->connection);
		MHD_suspend_connection(stream->request->mhd);
		return 0;
	}
	stream_take(stream, out, size);
	stream_balance(stream);
	connection_expect_reading(stream->request->connection, size);
	return (ssize_t)size;
}

/* libmicrohttpd does not need it any more; the request may live on for a moment. */
static void stream_freed(void *data)
{
	stream_free(data);
}

void stream_reply(struct stream *stream, const char *content_type)
{
	struct request *request = stream->request;

	stream->replied = true;
	request->response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, BLOCK_SIZE, stream_read, stream, stream_freed);
	reply_header(request, "Content-Type", content_type);
	reply_header(request, "x-amzn-RequestId", request_id(request));
}

static void stream_wake(struct stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->request->mhd);
	front_wake(stream->request->front);
}

void stream_flush(struct stream *stream, bool end)
{
	stream->ended |= end;
	stream_wake(stream);
}

void stream_break(struct stream *stream)
{
	stream->broken = true;
	stream_wake(stream);
}

/* The operation. Parts become events of the reply, whose last says how the invocation has ended. */

#define CHUNK_MAX (256 * 1024)

static void send_head(struct request *request, const struct invocation *invocation)
{
	if (stream_is_replied(request->stream))
		return;
	stream_reply(request->stream, "application/vnd.amazon.eventstream");
	reply_header(request, "X-Amz-Executed-Version", "$LATEST");
	invoke_send(request, invocation, 200);
}

static void append_chunks(struct request *request, const char *data, size_t size)
{
	for (size_t at = 0; at < size; at += CHUNK_MAX)
		eventstream_append(stream_buffer(request->stream), "PayloadChunk",
			"application/octet-stream", data + at,
			min_of(size - at, (size_t)CHUNK_MAX));
}

static void invocation_part(struct invocation *invocation, const void *data, size_t size)
{
	struct request *request = invocation->owner;

	if (!request->stream)
		return;
	append_chunks(request, data, size);
	send_head(request, invocation);
	stream_flush(request->stream, false);
	stream_balance(request->stream);
}

static void append_complete(struct buffer *out, const struct invocation *invocation)
{
	_cleanup_buffer_ struct buffer json = { 0 };
	bool failed = invocation->outcome != INVOCATION_OK;
	const char *details = invocation->reply.size ? invocation->reply.data : invocation->message;

	buffer_append_string(&json, "{");
	if (failed) {
		buffer_append_string(&json, "\"ErrorCode\":");
		buffer_append_json(&json, invocation->error_type, strlen(invocation->error_type));
		buffer_append_string(&json, ",\"ErrorDetails\":");
		buffer_append_json(&json, details, strlen(details));
	}
	if (invocation->wants_tail) {
		buffer_append_string(&json, failed ? ",\"LogResult\":\"" : "\"LogResult\":\"");
		buffer_append_base64(&json, invocation->tail.data, invocation->tail.size);
		buffer_append_string(&json, "\"");
	}
	buffer_append_string(&json, "}");
	out->failed |= json.failed;
	eventstream_append(out, "InvokeComplete", "application/json", json.data, json.size);
}

static bool is_refused(const struct invocation *invocation)
{
	return invocation->outcome == INVOCATION_THROTTLED ||
	       invocation->outcome == INVOCATION_UNAVAILABLE;
}

static void stream_done(struct invocation *invocation)
{
	struct request *request = invocation->owner;

	request->invocation = NULL;
	if (request->stream && is_refused(invocation) && !stream_is_replied(request->stream)) {
		stream_free(request->stream);
		invoke_reply_refused(request, invocation);
	} else if (request->stream) {
		if (invocation->outcome == INVOCATION_OK)
			append_chunks(request, invocation->reply.data, invocation->reply.size);
		append_complete(stream_buffer(request->stream), invocation);
		send_head(request, invocation);
		stream_flush(request->stream, true);
	}
	invocation_free(invocation);
}

void stream_handle(struct request *request)
{
	_cleanup_buffer_ struct buffer event = { 0 };
	const char *log_type = request_header(request, "X-Amz-Log-Type");
	struct function *function = api_find(request);
	struct invocation *invocation;

	if (!function || !invoke_take_event(request, &event))
		return;
	invocation = invoke_prepare(request, &event);
	if (!invocation)
		return;
	if (!stream_new(request)) {
		invocation_free(invocation);
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
		return;
	}
	invocation->accepts_stream = true;
	invocation->wants_tail = log_type && strcmp(log_type, "Tail") == 0;
	invocation->part = invocation_part;
	invoke_submit(request, function, invocation, stream_done);
}
