/*
 * json_check.h - says whether a stream of bytes is one JSON text, without building anything.
 *
 * Pure: no allocation, no input or output. Bytes may come in pieces cut anywhere. Accepts exactly
 * the grammar of RFC 8259 in well-formed UTF-8; an escaped surrogate without its other half is
 * accepted, as the grammar does and the parsers of all our languages do.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

#define JSON_CHECK_DEPTH 1024 /* of nested arrays and objects; deeper is refused */

struct json_check {
	unsigned char state;     /* enum in json_check.c */
	unsigned char after;     /* the state behind the string or literal being read */
	unsigned char count;     /* hexadecimal digits or UTF-8 bytes still to come */
	unsigned char low, high; /* bounds of the next UTF-8 byte */
	const char *literal;     /* what is left of "true", "false" or "null" */
	unsigned depth;
	uint64_t objects[JSON_CHECK_DEPTH / 64]; /* one bit per level: object, else array */
};

void json_check_begin(struct json_check *check);

/* 0, or -EBADMSG, then and ever after. */
int json_check_feed(struct json_check *check, const void *data, size_t size) MUST_CHECK;

/* Whether what was fed is complete: 0 or -EBADMSG. */
int json_check_end(const struct json_check *check) MUST_CHECK;
