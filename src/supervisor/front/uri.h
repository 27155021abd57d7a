/*
 * uri.h - the parts of a request's target, as the client wrote them and decoded.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/*
 * Decodes %XX, and '+' as a space where `query` says so, into ret with its NUL: 0, -ENOBUFS, or
 * -EBADMSG for a malformed or zero byte.
 */
int uri_decode(const char *text, size_t size, bool query, char *ret, size_t capacity) MUST_CHECK;

/*
 * Takes the next name and value out of a query string, not decoded, and moves *query behind them.
 * False at the end. A name without '=' has an empty value.
 */
struct uri_pair {
	const char *name, *value;
	size_t name_size, value_size;
};

bool uri_next_pair(const char **query, struct uri_pair *ret);

/* The decoded value of the first parameter of that name: 0, -ENOENT, or as uri_decode(). */
int uri_parameter(const char *query, const char *name, char *ret, size_t capacity) MUST_CHECK;
