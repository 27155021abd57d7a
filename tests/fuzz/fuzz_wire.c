/*
 * fuzz_wire.c - frames from a guest, which is hostile: whatever the bytes, decoding stays inside them,
 * and a frame that was accepted can be walked and written again to the same bytes.
 */
#include "wire/wire.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
	if (!condition)
		abort();
}

static void write_again(const struct wire_header *h, const uint8_t *frame)
{
	size_t capacity = WIRE_HEADER_SIZE + h->fields_size, written;
	unsigned char *copy = malloc(capacity);
	struct wire_field field;
	struct wire_writer w;

	check(copy != NULL);
	wire_begin(&w, copy, capacity, h->type, h->sequence);
	wire_for_each_field (field, frame + WIRE_HEADER_SIZE, h->fields_size)
		wire_put(&w, field.key, field.value);
	check(wire_end(&w, h->size - h->fields_size, &written) == 0 && written == capacity);
	/* Two bytes of each field are zero when we write them, and are not looked at when we read. */
	check(memcmp(copy, frame, WIRE_HEADER_SIZE) == 0);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_header h;
	const char *text;

	if (size < WIRE_HEADER_SIZE || wire_decode_header(data, &h) < 0 ||
		h.size > size - WIRE_HEADER_SIZE)
		return 0;
	if (wire_check_fields(data + WIRE_HEADER_SIZE, h.fields_size) < 0)
		return 0;
	for (int key = 0; key < 32; key++) {
		text = wire_find(data + WIRE_HEADER_SIZE, h.fields_size, key);
		check(!text || strlen(text) < h.fields_size);
		wire_find_number(data + WIRE_HEADER_SIZE, h.fields_size, key, 0);
	}
	write_again(&h, data);
	return 0;
}
