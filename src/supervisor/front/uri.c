/*
 * uri.c - see uri.h.
 */
#include "supervisor/front/uri.h"

#include <errno.h>
#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int uri_decode(const char *text, size_t size, bool query, char *ret, size_t capacity)
{
	size_t used = 0;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '%') {
			int high = i + 2 < size ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < size ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EBADMSG;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && query) {
			c = ' ';
		}
		if (!c)
			return -EBADMSG;
		if (used + 1 >= capacity)
			return -ENOBUFS;
		ret[used++] = c;
	}
	if (used >= capacity)
		return -ENOBUFS;
	ret[used] = '\0';
	return 0;
}

bool uri_next_pair(const char **query, struct uri_pair *ret)
{
	const char *p = *query;
	size_t size;

	while (*p == '&')
		p++;
	if (!*p)
		return false;
	size = strcspn(p, "&");
	ret->name = p;
	ret->name_size = min_of(strcspn(p, "=&"), size);
	ret->value = p + ret->name_size + (p[ret->name_size] == '=');
	ret->value_size = size - (size_t)(ret->value - p);
	*query = p + size;
	return true;
}

int uri_parameter(const char *query, const char *name, char *ret, size_t capacity)
{
	struct uri_pair pair;

	while (uri_next_pair(&query, &pair)) {
		char decoded[64];

		if (uri_decode(pair.name, pair.name_size, true, decoded, sizeof(decoded)) < 0 ||
			strcmp(decoded, name) != 0)
			continue;
		return uri_decode(pair.value, pair.value_size, true, ret, capacity);
	}
	return -ENOENT;
}
