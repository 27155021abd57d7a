/*
 * base64.c - see base64.h.
 */
#include "base/base64.h"

#include <errno.h>

#define NOT_A_DIGIT 0xff

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buffer_append_base64(struct buffer *b, const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t whole = size / 3, rest = size % 3;
	char *out = buffer_reserve(b, (size + 2) / 3 * 4);

	if (!out)
		return;
	for (size_t i = 0; i < whole; i++, p += 3) {
		*out++ = digits[p[0] >> 2];
		*out++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
		*out++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
		*out++ = digits[p[2] & 63];
	}
	if (rest > 0) {
		unsigned second = rest == 2 ? p[1] : 0;

		*out++ = digits[p[0] >> 2];
		*out++ = digits[(p[0] & 3) << 4 | second >> 4];
		*out++ = rest == 2 ? digits[(second & 15) << 2] : '=';
		*out++ = '=';
	}
	b->size = (size_t)(out - b->data);
	*out = '\0';
}

static unsigned char digit_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned char)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned char)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (unsigned char)(c - '0' + 52);
	return c == '+' ? 62 : c == '/' ? 63 : NOT_A_DIGIT;
}

/* Four characters into up to three bytes; `last` allows padding. Returns the bytes, or 0. */
static size_t decode_group(const unsigned char *text, bool last, unsigned char *out)
{
	unsigned char v[4];
	size_t n = 3;

	if (last && text[3] == '=')
		n = text[2] == '=' ? 1 : 2;
	for (size_t i = 0; i < 4; i++) {
		v[i] = i > n ? 0 : digit_value(text[i]);
		if (v[i] == NOT_A_DIGIT)
			return 0;
	}
	/* Bits that the padding leaves over must be zero: one text for every value. */
	if ((n == 1 && v[1] & 15) || (n == 2 && v[2] & 3))
		return 0;
	out[0] = (unsigned char)(v[0] << 2 | v[1] >> 4);
	if (n > 1)
		out[1] = (unsigned char)(v[1] << 4 | v[2] >> 2);
	if (n > 2)
		out[2] = (unsigned char)(v[2] << 6 | v[3]);
	return n;
}

int base64_decode(const char *text, size_t size, void *ret_data, size_t *ret_size)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char *out = ret_data, group[3];
	size_t written = 0;

	if (size % 4)
		return -EBADMSG;
	for (size_t i = 0; i < size; i += 4) {
		size_t n = decode_group(p + i, i + 4 == size, group);

		if (n == 0)
			return -EBADMSG;
		for (size_t k = 0; k < n; k++)
			out[written++] = group[k];
	}
	*ret_size = written;
	return 0;
}
