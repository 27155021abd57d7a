/*
 * zip.c - see zip.h.
 */
#include "zip.h"

#include <string.h>

#define MADE_BY_UNIX (3 << 8 | 30)
#define UTF8_NAMES 0x800

static void put(struct buffer *b, uint32_t number, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		unsigned char byte = (unsigned char)(number >> 8 * i);

		buffer_append(b, &byte, 1);
	}
}

static uint32_t crc32_of(const char *data, size_t size)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned char)data[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* What the local header and the one in the directory have in common. */
static void put_common(struct buffer *b, const struct zip_entry *entry)
{
	size_t size = strlen(entry->data);

	put(b, 20, 2);
	put(b, entry->flags | UTF8_NAMES, 2);
	put(b, entry->method, 2);
	put(b, 0x5a215a21, 4); /* a time */
	put(b, crc32_of(entry->data, size), 4);
	put(b, (uint32_t)size, 4);
	put(b, entry->claimed_size ? entry->claimed_size : (uint32_t)size, 4);
	put(b, (uint32_t)strlen(entry->name), 2);
	put(b, 0, 2);
}

static void put_directory_entry(struct buffer *b, const struct zip_entry *entry, size_t at)
{
	put(b, 0x02014b50, 4);
	put(b, entry->mode ? MADE_BY_UNIX : 20, 2);
	put_common(b, entry);
	put(b, 0, 2);
	put(b, 0, 2);
	put(b, 0, 2);
	put(b, entry->mode << 16, 4);
	put(b, (uint32_t)at, 4);
	buffer_append_string(b, entry->name);
}

void zip_write(struct buffer *b, const struct zip_entry *entries)
{
	_cleanup_buffer_ struct buffer directory = { 0 };
	size_t start = b->size, directory_at;
	uint32_t count = 0;

	for (; entries[count].name; count++) {
		put_directory_entry(&directory, &entries[count], b->size - start);
		put(b, 0x04034b50, 4);
		put_common(b, &entries[count]);
		buffer_append_string(b, entries[count].name);
		buffer_append_string(b, entries[count].data);
	}
	directory_at = b->size - start;
	buffer_append(b, directory.data, directory.size);
	put(b, 0x06054b50, 4);
	put(b, 0, 4);
	put(b, count, 2);
	put(b, count, 2);
	put(b, (uint32_t)directory.size, 4);
	put(b, (uint32_t)directory_at, 4);
	put(b, 0, 2);
}
