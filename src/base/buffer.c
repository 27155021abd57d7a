/*
 * buffer.c - see buffer.h.
 */
#include "base/buffer.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buffer_done(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){ 0 };
}

char *buffer_reserve(struct buffer *b, size_t more)
{
	size_t wanted, capacity;
	char *data;

	if (b->failed || __builtin_add_overflow(b->size, more, &wanted) || wanted > SIZE_MAX / 4) {
		b->failed = true;
		return NULL;
	}
	if (wanted + 1 > b->capacity) {
		capacity = max_of(wanted + 1, max_of(b->capacity * 2, (size_t)64));
		data = realloc(b->data, capacity);
		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->capacity = capacity;
	}
	return b->data + b->size;
}

void buffer_append(struct buffer *b, const void *data, size_t size)
{
	char *end = buffer_reserve(b, size);

	if (!end)
		return;
	if (size > 0)
		memcpy(end, data, size);
	b->size += size;
	b->data[b->size] = '\0';
}

void buffer_append_string(struct buffer *b, const char *text)
{
	buffer_append(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	if (n < 0)
		b->failed = true;
	else if (buffer_reserve(b, (size_t)n)) {
		vsnprintf(b->data + b->size, (size_t)n + 1, format, again);
		b->size += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

static void buffer_append_escaped(struct buffer *b, unsigned char c)
{
	static const char letters[] = { ['\b'] = 'b',
		['\f'] = 'f',
		['\n'] = 'n',
		['\r'] = 'r',
		['\t'] = 't',
		['"'] = '"',
		['\\'] = '\\' };

	if (c < sizeof(letters) && letters[c])
		buffer_printf(b, "\\%c", letters[c]);
	else
		buffer_printf(b, "\\u%04x", c);
}

void buffer_append_json(struct buffer *b, const char *text, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t plain = 0;

	buffer_append(b, "\"", 1);
	for (size_t i = 0, n; i < size; i += n) {
		n = utf8_length(p + i, size - i);
		if (n == 1 && (p[i] < 0x20 || p[i] == 0x7f || p[i] == '"' || p[i] == '\\')) {
			buffer_append(b, text + plain, i - plain);
			buffer_append_escaped(b, p[i]);
		} else if (n == 0) {
			buffer_append(b, text + plain, i - plain);
			buffer_append_string(b, "\\ufffd");
			n = 1;
		} else {
			continue;
		}
		plain = i + n;
	}
	buffer_append(b, text + plain, size - plain);
	buffer_append(b, "\"", 1);
}

void buffer_consume(struct buffer *b, size_t n)
{
	n = min_of(n, b->size);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->size - n);
	b->size -= n;
	b->data[b->size] = '\0';
}
