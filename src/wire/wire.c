/*
 * wire.c - see wire.h.
 */
#include "wire/wire.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define WIRE_MAGIC 0x5056
#define WIRE_FIELD_SIZE 8 /* of a field's own header */

struct wire_raw_header {
	uint32_t size, fields_size;
	uint16_t type, magic;
	uint32_t sequence;
};

struct wire_raw_field {
	uint16_t key, zero;
	uint32_t size;
};

_Static_assert(sizeof(struct wire_raw_header) == WIRE_HEADER_SIZE, "a header has no padding");
_Static_assert(sizeof(struct wire_raw_field) == WIRE_FIELD_SIZE, "a field has no padding");

int wire_decode_header(const void *data, struct wire_header *ret)
{
	struct wire_raw_header raw;

	memcpy(&raw, data, sizeof(raw));
	if (raw.magic != WIRE_MAGIC || raw.fields_size > raw.size ||
		raw.fields_size > WIRE_FIELDS_MAX)
		return -EBADMSG;
	*ret = (struct wire_header){
		.size = raw.size,
		.fields_size = raw.fields_size,
		.type = raw.type,
		.sequence = raw.sequence,
	};
	return 0;
}

int wire_next_field(const void *fields, size_t size, size_t *position, struct wire_field *ret)
{
	const unsigned char *at = (const unsigned char *)fields + *position;
	struct wire_raw_field raw;

	if (size - *position < sizeof(raw))
		return 0;
	memcpy(&raw, at, sizeof(raw));
	if (raw.size == 0 || raw.size > size - *position - sizeof(raw))
		return 0;
	*ret = (struct wire_field){
		.key = raw.key,
		.value = (const char *)at + sizeof(raw),
		.size = raw.size - 1,
	};
	*position += sizeof(raw) + raw.size;
	return 1;
}

int wire_check_fields(const void *fields, size_t size)
{
	struct wire_field field;
	size_t position = 0;

	while (wire_next_field(fields, size, &position, &field))
		if (memchr(field.value, '\0', field.size + 1) != field.value + field.size)
			return -EBADMSG;
	return position == size ? 0 : -EBADMSG;
}

const char *wire_find(const void *fields, size_t size, enum wire_key key)
{
	struct wire_field field;

	wire_for_each_field (field, fields, size)
		if (field.key == key)
			return field.value;
	return NULL;
}

uint64_t wire_find_number(const void *fields, size_t size, enum wire_key key, uint64_t otherwise)
{
	const char *text = wire_find(fields, size, key);
	uint64_t value = 0;

	if (!text || !*text)
		return otherwise;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return otherwise;
	}
	return value;
}

void wire_begin(
	struct wire_writer *w, void *data, size_t capacity, enum wire_type type, uint32_t sequence)
{
	struct wire_raw_header raw = { .type = type, .magic = WIRE_MAGIC, .sequence = sequence };

	*w = (struct wire_writer){ .data = data, .capacity = capacity, .size = sizeof(raw) };
	w->failed = capacity < sizeof(raw);
	if (!w->failed)
		memcpy(data, &raw, sizeof(raw));
}

/* Reserves a field of `size` bytes, NUL included, and returns where they go, or NULL. */
static unsigned char *wire_reserve(struct wire_writer *w, enum wire_key key, size_t size)
{
	struct wire_raw_field raw = { .key = key, .size = (uint32_t)size };
	unsigned char *at;

	if (w->failed || size > WIRE_FIELDS_MAX || w->capacity - w->size < sizeof(raw) ||
		size > w->capacity - w->size - sizeof(raw)) {
		w->failed = 1;
		return NULL;
	}
	at = w->data + w->size;
	memcpy(at, &raw, sizeof(raw));
	w->size += sizeof(raw) + size;
	return at + sizeof(raw);
}

void wire_put(struct wire_writer *w, enum wire_key key, const char *value)
{
	size_t size = strlen(value) + 1;
	unsigned char *at = wire_reserve(w, key, size);

	if (at)
		memcpy(at, value, size);
}

void wire_put_number(struct wire_writer *w, enum wire_key key, uint64_t value)
{
	char text[24], *p = text + sizeof(text) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	wire_put(w, key, p);
}

void wire_put_pair(struct wire_writer *w, enum wire_key key, const char *name, const char *value)
{
	size_t name_size = strlen(name), value_size = strlen(value) + 1;
	unsigned char *at = wire_reserve(w, key, name_size + 1 + value_size);

	if (!at)
		return;
	memcpy(at, name, name_size);
	at[name_size] = '=';
	memcpy(at + name_size + 1, value, value_size);
}

int wire_end(struct wire_writer *w, size_t payload_size, size_t *ret_size)
{
	struct wire_raw_header raw;
	size_t fields_size = w->size - sizeof(raw);

	if (w->failed || fields_size > WIRE_FIELDS_MAX || payload_size > UINT32_MAX - fields_size)
		return -EMSGSIZE;
	memcpy(&raw, w->data, sizeof(raw));
	raw.fields_size = (uint32_t)fields_size;
	raw.size = (uint32_t)(fields_size + payload_size);
	memcpy(w->data, &raw, sizeof(raw));
	*ret_size = w->size;
	return 0;
}

void wire_set_sequence(void *frame, uint32_t sequence)
{
	memcpy((char *)frame + offsetof(struct wire_raw_header, sequence), &sequence,
		sizeof(sequence));
}
