/*
 * deploy_body.h - takes the archive out of the JSON of a deploy before it is parsed.
 *
 * The archive is a base64 string of up to 70 MB. Parsing it like any other string would copy it
 * three times; so it is found in the text, and what is parsed is the text without it.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"

#include <stdbool.h>

/*
 * Finds the value of the first member "ZipFile" in a JSON text, and appends the text with an empty
 * string in its place to ret_rest. False when there is none; nothing is appended then. The text
 * need not be well-formed: what is appended is parsed afterwards.
 */
bool deploy_body_split(
	const char *text, size_t size, size_t *ret_at, size_t *ret_size, struct buffer *ret_rest);

/* Removes the backslashes that some encoders put before every '/' of base64; returns the size. */
size_t deploy_body_unescape(char *text, size_t size);
