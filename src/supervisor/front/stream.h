/*
 * stream.h - a reply that goes out while it is still being made.
 *
 * Bytes are appended as they come and taken by libmicrohttpd as the client reads; in between, when
 * there are none, the connection is suspended. The stream belongs to libmicrohttpd once its head is
 * sent, and outlives neither the connection nor the request.
 */
#pragma once

#include "supervisor/front/reply.h"

struct stream;

/* NULL: memory is out. It is request->stream for as long as both are there. */
struct stream *stream_new(struct request *request);

/* What goes out next. */
struct buffer *stream_buffer(struct stream *stream);

/* Prepares the head of a reply whose body is the stream; the caller adds headers, and sends. */
void stream_reply(struct stream *stream, const char *content_type);

/* Something was appended, or, with `end`, nothing more will be. */
void stream_flush(struct stream *stream, bool end);

/* Breaks the connection off: the client sees an incomplete reply. */
void stream_break(struct stream *stream);

/* Whether the head was prepared: from then on it is libmicrohttpd's. */
bool stream_is_replied(const struct stream *stream);

/* Before the head was prepared. */
void stream_free(struct stream *stream);

/* The request is over. */
void stream_forget_request(struct stream *stream);
