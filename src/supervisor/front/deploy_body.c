/*
 * deploy_body.c - see deploy_body.h.
 */
#include "supervisor/front/deploy_body.h"

#include <string.h>

static const char member[] = "ZipFile";

/* The index behind the string that begins at text[at] with its quote; size if it does not end. */
static size_t skip_string(const char *text, size_t size, size_t at)
{
	for (at++; at < size; at++) {
		const char *end = memchr(text + at, '"', size - at);
		size_t backslashes = 0, quote;

		if (!end)
			return size;
		quote = (size_t)(end - text);
		while (backslashes < quote - at && text[quote - 1 - backslashes] == '\\')
			backslashes++;
		at = quote;
		if (backslashes % 2 == 0)
			return quote + 1;
	}
	return size;
}

static size_t skip_space(const char *text, size_t size, size_t at)
{
	while (at < size &&
		(text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
		at++;
	return at;
}

/* Whether the string in [from, to), quotes included, is the member's name with a string behind it,
 * which then begins at *ret_at. */
static bool is_member(const char *text, size_t size, size_t from, size_t to, size_t *ret_at)
{
	size_t at = skip_space(text, size, to);

	if (to - from != sizeof(member) - 1 + 2 ||
		memcmp(text + from + 1, member, sizeof(member) - 1) != 0)
		return false;
	if (at >= size || text[at] != ':')
		return false;
	at = skip_space(text, size, at + 1);
	*ret_at = at;
	return at < size && text[at] == '"';
}

bool deploy_body_split(
	const char *text, size_t size, size_t *ret_at, size_t *ret_size, struct buffer *ret_rest)
{
	size_t from = 0, value;

	for (;;) {
		const char *quote = memchr(text + from, '"', size - from);
		size_t to;

		if (!quote)
			return false;
		from = (size_t)(quote - text);
		to = skip_string(text, size, from);
		if (is_member(text, size, from, to, &value))
			break;
		from = to;
	}
	from = value + 1;
	value = skip_string(text, size, value);
	if (value == size)
		return false;
	*ret_at = from;
	*ret_size = value - 1 - from;
	buffer_append(ret_rest, text, from);
	buffer_append(ret_rest, text + value - 1, size - (value - 1));
	return true;
}

size_t deploy_body_unescape(char *text, size_t size)
{
	size_t used = 0;

	if (!memchr(text, '\\', size))
		return size;
	for (size_t i = 0; i < size; i++)
		if (text[i] != '\\' || i + 1 == size || text[i + 1] != '/')
			text[used++] = text[i];
	return used;
}
