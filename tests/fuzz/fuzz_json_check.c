/*
 * fuzz_json_check.c - events from a client: the streaming check answers the same however the text is
 * cut into pieces, and what it accepts jansson accepts too.
 */
#include "wire/json_check.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int whole(const uint8_t *data, size_t size)
{
	struct json_check check;

	json_check_begin(&check);
	if (json_check_feed(&check, (const char *)data, size) < 0)
		return -1;
	return json_check_end(&check);
}

static int in_pieces(const uint8_t *data, size_t size)
{
	struct json_check check;

	json_check_begin(&check);
	for (size_t i = 0; i < size; i++)
		if (json_check_feed(&check, (const char *)data + i, 1) < 0)
			return -1;
	return json_check_end(&check);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int first = whole(data, size) < 0, second = in_pieces(data, size) < 0;
	json_error_t error;
	json_t *value;

	if (first != second)
		abort();
	/* jansson takes no half of a surrogate pair, which the grammar allows. */
	if (first || size > 4096 || memmem(data, size, "\\u", 2))
		return 0;
	value = json_loadb((const char *)data, size,
		JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	/* Limits of jansson's own: depth, and numbers that a double does not hold. */
	if (!value && json_error_code(&error) != json_error_stack_overflow &&
		json_error_code(&error) != json_error_numeric_overflow)
		abort();
	json_decref(value);
	return 0;
}
