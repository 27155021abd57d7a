/*
 * base64.h - base64 with the standard alphabet and padding (RFC 4648, section 4).
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"

void buffer_append_base64(struct buffer *b, const void *data, size_t size);

/* Most bytes that `size` characters can decode to. */
static inline size_t base64_decoded_max(size_t size)
{
	return size / 4 * 3;
}

/*
 * Decodes size characters into ret_data, which has room for base64_decoded_max(size) bytes and may
 * be the text itself. Strict: no white space, padding required. 0 or -EBADMSG.
 */
int base64_decode(const char *text, size_t size, void *ret_data, size_t *ret_size) MUST_CHECK;
