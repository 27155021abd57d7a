/*
 * json_check.c - see json_check.h. A state machine over bytes; what is inside strings and numbers,
 * which is nearly everything in a large text, is skipped in runs.
 */
#include "wire/json_check.h"

#include <errno.h>
#include <string.h>

enum json_state {
	JSON_VALUE,        /* a value must come */
	JSON_VALUE_OR_END, /* behind [ */
	JSON_KEY,          /* behind , in an object */
	JSON_KEY_OR_END,   /* behind { */
	JSON_COLON,
	JSON_NEXT, /* behind a value: , or the end of what it is in */
	JSON_STRING,
	JSON_ESCAPE,
	JSON_HEX,
	JSON_UTF8,
	JSON_LITERAL,
	JSON_MINUS,
	JSON_ZERO, /* a leading zero: no digit may follow */
	JSON_INTEGER,
	JSON_POINT,
	JSON_FRACTION,
	JSON_EXPONENT,
	JSON_EXPONENT_SIGN,
	JSON_EXPONENT_DIGITS,
	JSON_FAILED,
};

void json_check_begin(struct json_check *check)
{
	/* The bits of a level are written when it is entered. */
	check->state = JSON_VALUE;
	check->depth = 0;
}

static bool is_space(unsigned char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(unsigned char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool in_object(const struct json_check *check)
{
	unsigned level = check->depth - 1;

	return check->objects[level / 64] >> level % 64 & 1;
}

static enum json_state open_level(struct json_check *check, bool object)
{
	uint64_t bit;

	if (check->depth == JSON_CHECK_DEPTH)
		return JSON_FAILED;
	bit = (uint64_t)1 << check->depth % 64;
	if (object)
		check->objects[check->depth / 64] |= bit;
	else
		check->objects[check->depth / 64] &= ~bit;
	check->depth++;
	return object ? JSON_KEY_OR_END : JSON_VALUE_OR_END;
}

static enum json_state close_level(struct json_check *check, unsigned char c)
{
	if (check->depth == 0 || in_object(check) != (c == '}'))
		return JSON_FAILED;
	check->depth--;
	return JSON_NEXT;
}

static enum json_state begin_string(struct json_check *check, enum json_state after)
{
	check->after = (unsigned char)after;
	return JSON_STRING;
}

static enum json_state begin_literal(struct json_check *check, const char *rest)
{
	check->literal = rest;
	return JSON_LITERAL;
}

static enum json_state begin_value(struct json_check *check, unsigned char c)
{
	switch (c) {
	case '{':
		return open_level(check, true);
	case '[':
		return open_level(check, false);
	case '"':
		return begin_string(check, JSON_NEXT);
	case 't':
		return begin_literal(check, "rue");
	case 'f':
		return begin_literal(check, "alse");
	case 'n':
		return begin_literal(check, "ull");
	case '-':
		return JSON_MINUS;
	case '0':
		return JSON_ZERO;
	default:
		return is_digit(c) ? JSON_INTEGER : JSON_FAILED;
	}
}

static enum json_state after_value(struct json_check *check, unsigned char c)
{
	if (c == ']' || c == '}')
		return close_level(check, c);
	if (c != ',' || check->depth == 0)
		return JSON_FAILED;
	return in_object(check) ? JSON_KEY : JSON_VALUE;
}

/* Between tokens; white space was skipped. */
static enum json_state step_structure(struct json_check *check, unsigned char c)
{
	switch ((enum json_state)check->state) {
	case JSON_VALUE_OR_END:
		return c == ']' ? close_level(check, c) : begin_value(check, c);
	case JSON_KEY_OR_END:
		if (c == '}')
			return close_level(check, c);
		return c == '"' ? begin_string(check, JSON_COLON) : JSON_FAILED;
	case JSON_KEY:
		return c == '"' ? begin_string(check, JSON_COLON) : JSON_FAILED;
	case JSON_COLON:
		return c == ':' ? JSON_VALUE : JSON_FAILED;
	case JSON_NEXT:
		return after_value(check, c);
	default:
		return begin_value(check, c);
	}
}

/* The first byte of a sequence of several (table 3-7 of the Unicode standard). */
static enum json_state begin_utf8(struct json_check *check, unsigned char c)
{
	if (c < 0xc2 || c > 0xf4)
		return JSON_FAILED;
	check->count = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	check->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	check->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return JSON_UTF8;
}

static enum json_state step_utf8(struct json_check *check, unsigned char c)
{
	if (c < check->low || c > check->high)
		return JSON_FAILED;
	check->low = 0x80;
	check->high = 0xbf;
	return --check->count ? JSON_UTF8 : JSON_STRING;
}

static enum json_state step_string(struct json_check *check, unsigned char c)
{
	if (c == '"')
		return check->after;
	if (c == '\\')
		return JSON_ESCAPE;
	if (c < 0x20)
		return JSON_FAILED;
	return c < 0x80 ? JSON_STRING : begin_utf8(check, c);
}

static enum json_state step_escape(struct json_check *check, unsigned char c)
{
	if (c == 'u') {
		check->count = 4;
		return JSON_HEX;
	}
	return c && strchr("\"\\/bfnrt", c) ? JSON_STRING : JSON_FAILED;
}

static enum json_state step_hex(struct json_check *check, unsigned char c)
{
	if (!is_hex(c))
		return JSON_FAILED;
	return --check->count ? JSON_HEX : JSON_STRING;
}

static enum json_state step_literal(struct json_check *check, unsigned char c)
{
	if (c != (unsigned char)*check->literal)
		return JSON_FAILED;
	return *++check->literal ? JSON_LITERAL : JSON_NEXT;
}

/* Where a number may end, any byte that does not go on with it is for the state behind it. */
static enum json_state end_number(struct json_check *check, unsigned char c)
{
	check->state = JSON_NEXT;
	return is_space(c) ? JSON_NEXT : after_value(check, c);
}

static enum json_state step_number(struct json_check *check, unsigned char c)
{
	bool digit = is_digit(c), exponent = c == 'e' || c == 'E';

	switch ((enum json_state)check->state) {
	case JSON_MINUS:
		return c == '0' ? JSON_ZERO : digit ? JSON_INTEGER : JSON_FAILED;
	case JSON_ZERO:
	case JSON_INTEGER:
		if (digit)
			return check->state == JSON_ZERO ? JSON_FAILED : JSON_INTEGER;
		return c == '.' ? JSON_POINT : exponent ? JSON_EXPONENT : end_number(check, c);
	case JSON_POINT:
		return digit ? JSON_FRACTION : JSON_FAILED;
	case JSON_FRACTION:
		return digit ? JSON_FRACTION : exponent ? JSON_EXPONENT : end_number(check, c);
	case JSON_EXPONENT:
		if (c == '+' || c == '-')
			return JSON_EXPONENT_SIGN;
		return digit ? JSON_EXPONENT_DIGITS : JSON_FAILED;
	case JSON_EXPONENT_SIGN:
		return digit ? JSON_EXPONENT_DIGITS : JSON_FAILED;
	default:
		return digit ? JSON_EXPONENT_DIGITS : end_number(check, c);
	}
}

static enum json_state step(struct json_check *check, unsigned char c)
{
	switch ((enum json_state)check->state) {
	case JSON_STRING:
		return step_string(check, c);
	case JSON_ESCAPE:
		return step_escape(check, c);
	case JSON_HEX:
		return step_hex(check, c);
	case JSON_UTF8:
		return step_utf8(check, c);
	case JSON_LITERAL:
		return step_literal(check, c);
	case JSON_FAILED:
		return JSON_FAILED;
	default:
		if (check->state >= JSON_MINUS)
			return step_number(check, c);
		return is_space(c) ? check->state : step_structure(check, c);
	}
}

/* Bytes from p that leave the state of a string as it is. */
static size_t plain_run(const unsigned char *p, size_t size)
{
	size_t i = 0;

	while (i < size && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

int json_check_feed(struct json_check *check, const void *data, size_t size)
{
	const unsigned char *p = data, *end = p + size;

	while (p < end) {
		if (check->state == JSON_STRING)
			p += plain_run(p, (size_t)(end - p));
		if (p == end)
			break;
		check->state = (unsigned char)step(check, *p++);
		if (check->state == JSON_FAILED)
			return -EBADMSG;
	}
	return check->state == JSON_FAILED ? -EBADMSG : 0;
}

int json_check_end(const struct json_check *check)
{
	switch ((enum json_state)check->state) {
	case JSON_NEXT:
	case JSON_ZERO:
	case JSON_INTEGER:
	case JSON_FRACTION:
	case JSON_EXPONENT_DIGITS:
		return check->depth == 0 ? 0 : -EBADMSG;
	default:
		return -EBADMSG;
	}
}
