/*
 * output.c - see output.h.
 */
#include "cli/output.h"

#include <string.h>
#include <unistd.h>

bool output_is_terminal(FILE *out)
{
	return isatty(fileno(out));
}

static bool output_has_colour(FILE *out)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (no_color && *no_color)
		return false;
	return output_is_terminal(out) && term && strcmp(term, "dumb") != 0;
}

const char *output_style(FILE *out, enum style style)
{
	static const char *const escapes[] = {
		[STYLE_NONE] = "\033[0m",
		[STYLE_STRONG] = "\033[1m",
		[STYLE_FAINT] = "\033[2m",
		[STYLE_GOOD] = "\033[32m",
		[STYLE_BAD] = "\033[1;31m",
	};

	return output_has_colour(out) ? escapes[style] : "";
}

/* C1 controls, which some terminals obey, are the bytes 0x80-0x9f, in UTF-8 behind 0xc2. */
static bool is_c1(const unsigned char *p, size_t left)
{
	return left >= 2 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
}

/* Length of a sequence that has the shape of UTF-8, or 0; shape is enough to know it is no control.
 */
static size_t sequence_length(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80   ? 1
		   : p[0] < 0xc2 ? 0
		   : p[0] < 0xe0 ? 2
		   : p[0] < 0xf0 ? 3
		   : p[0] < 0xf5 ? 4
				 : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

void output_neutralise(struct buffer *b, const char *text, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = 0;

	while (i < size) {
		size_t n = sequence_length(p + i, size - i);

		if (n == 0) {
			buffer_printf(b, "\\x%02x", p[i]);
			n = 1;
		} else if (is_c1(p + i, size - i)) {
			buffer_printf(b, "\\x%02x", p[i + 1]);
		} else if (p[i] == '\r' && i + 1 < size && p[i + 1] == '\n') {
			/* the end of a line as some systems write it */
		} else if ((p[i] < 0x20 && p[i] != '\n' && p[i] != '\t') || p[i] == 0x7f) {
			buffer_printf(b, "^%c", p[i] ^ 0x40);
		} else {
			buffer_append(b, text + i, n);
		}
		i += n;
	}
}

void output_foreign(FILE *out, const char *text, size_t size)
{
	_cleanup_buffer_ struct buffer b = { 0 };

	if (size == 0)
		return;
	if (!output_is_terminal(out)) {
		fwrite(text, 1, size, out);
		return;
	}
	output_neutralise(&b, text, size);
	if (!b.failed && b.size > 0)
		fwrite(b.data, 1, b.size, out);
}

void output_json(FILE *out, const json_t *value)
{
	size_t flags = output_is_terminal(out) ? JSON_INDENT(2) : 0;
	_cleanup_free_ char *text =
		json_dumps(value, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	if (text)
		output_foreign(out, text, strlen(text));
	fputc('\n', out);
}

json_t *output_json_string(const char *text, size_t size)
{
	_cleanup_buffer_ struct buffer b = { 0 };

	buffer_append_json(&b, text, size);
	return b.failed ? NULL : json_loadb(b.data, b.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

const char *output_duration(usec_t t, char text[static 24])
{
	if (t < USEC_PER_MSEC)
		snprintf(text, 24, "%llu us", (unsigned long long)t);
	else if (t < USEC_PER_SEC)
		snprintf(text, 24, "%.2f ms", (double)t / 1e3);
	else
		snprintf(text, 24, "%.2f s", (double)t / 1e6);
	return text;
}

const char *output_size(double bytes, char text[static 24])
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
	size_t unit = 0;

	while (bytes >= 1000 && unit + 1 < array_size(units)) {
		bytes /= 1000;
		unit++;
	}
	snprintf(text, 24, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
	return text;
}
