/*
 * err.c - see err.h.
 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static size_t err_format(struct err *e, const char *format, va_list args)
{
	int n = vsnprintf(e->text, sizeof(e->text), format, args);

	if (n < 0)
		e->text[0] = '\0';
	return strlen(e->text);
}

int err_set(struct err *e, int code, const char *format, ...)
{
	va_list args;

	if (!e)
		return code;
	e->code = code;
	va_start(args, format);
	err_format(e, format, args);
	va_end(args);
	return code;
}

int err_errno(struct err *e, int code, const char *format, ...)
{
	char reason[128];
	va_list args;
	size_t n;

	if (!e)
		return code;
	e->code = code;
	va_start(args, format);
	n = err_format(e, format, args);
	va_end(args);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s",
		strerror_r(code < 0 ? -code : code, reason, sizeof(reason)));
	return code;
}
