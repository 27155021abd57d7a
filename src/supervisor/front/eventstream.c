/*
 * eventstream.c - see eventstream.h. Numbers are big-endian; the CRC is that of zip (CRC-32).
 *
 *     size u32 | headers size u32 | CRC of these u32 | headers | payload | CRC of all before u32
 *     header: name size u8, name, type 7 (string), value size u16, value
 */
#include "supervisor/front/eventstream.h"

#include <string.h>

#define PRELUDE_SIZE 12
#define HEADER_STRING 7

/* Four bits at a time: a table of 16 words is enough at the sizes of streamed parts. */
static uint32_t crc32_of(uint32_t crc, const void *data, size_t size)
{
	static const uint32_t table[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8,
		0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
	const unsigned char *p = data;

	crc = ~crc;
	for (size_t i = 0; i < size; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static void append_number(struct buffer *b, uint32_t number, unsigned bytes)
{
	unsigned char out[4];

	for (unsigned i = 0; i < bytes; i++)
		out[i] = (unsigned char)(number >> 8 * (bytes - 1 - i));
	buffer_append(b, out, bytes);
}

static void append_header(struct buffer *b, const char *name, const char *value)
{
	append_number(b, (uint32_t)strlen(name), 1);
	buffer_append_string(b, name);
	append_number(b, HEADER_STRING, 1);
	append_number(b, (uint32_t)strlen(value), 2);
	buffer_append_string(b, value);
}

void eventstream_append(struct buffer *b, const char *type, const char *content_type,
	const void *payload, size_t size)
{
	_cleanup_buffer_ struct buffer headers = { 0 };
	size_t start = b->size;

	append_header(&headers, ":event-type", type);
	append_header(&headers, ":content-type", content_type);
	append_header(&headers, ":message-type", "event");
	append_number(b, (uint32_t)(PRELUDE_SIZE + headers.size + size + 4), 4);
	append_number(b, (uint32_t)headers.size, 4);
	if (b->failed || headers.failed) {
		b->failed = true;
		return;
	}
	append_number(b, crc32_of(0, b->data + start, 8), 4);
	buffer_append(b, headers.data, headers.size);
	buffer_append(b, payload, size);
	if (!b->failed)
		append_number(b, crc32_of(0, b->data + start, b->size - start), 4);
}
