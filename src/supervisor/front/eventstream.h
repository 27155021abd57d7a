/*
 * eventstream.h - frames of "application/vnd.amazon.eventstream", in which Lambda streams replies.
 */
#pragma once

#include "base/buffer.h"

/* Appends one event: its type, such as "PayloadChunk", its content type, and its payload. */
void eventstream_append(struct buffer *b, const char *type, const char *content_type,
	const void *payload, size_t size);
