/*
 * buffer.h - a growing run of bytes, always NUL-terminated when it holds any.
 *
 * A failed allocation makes the buffer `failed` and every later append a no-op, so that a caller
 * checks once, at the end.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct buffer {
	char *data; /* NULL while empty */
	size_t size, capacity;
	bool failed;
};

void buffer_done(struct buffer *b);
#define _cleanup_buffer_ _cleanup_(buffer_done)

/* Makes room for `more` bytes behind the end and returns where they go, or NULL. */
char *buffer_reserve(struct buffer *b, size_t more);

void buffer_append(struct buffer *b, const void *data, size_t size);
void buffer_append_string(struct buffer *b, const char *text);
void buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Appends text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buffer_append_json(struct buffer *b, const char *text, size_t size);

/* Drops the first n bytes. */
void buffer_consume(struct buffer *b, size_t n);
