/*
 * test_json_check.c - wire/json_check.h, against texts whose fate is known and against jansson.
 */
#include "check.h"

#include "wire/json_check.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool accepts_in_pieces(const char *text, size_t size, size_t piece)
{
	struct json_check check;
	bool ok = true;

	/* Whatever was in the memory before. */
	memset(&check, 0xa5, sizeof(check));
	json_check_begin(&check);
	for (size_t at = 0; at < size; at += piece)
		ok &= json_check_feed(&check, text + at, min_of(piece, size - at)) == 0;
	return ok && json_check_end(&check) == 0;
}

static bool accepts(const char *text, size_t size)
{
	bool whole = accepts_in_pieces(text, size, size ? size : 1);

	if (accepts_in_pieces(text, size, 1) != whole || accepts_in_pieces(text, size, 3) != whole)
		fail_msg("'%.*s' depends on how it is cut", (int)size, text);
	return whole;
}

static void accepts_what_is_json(void **state)
{
	static const char *const texts[] = { "{}", "[]", "null", "true", "false", "0", "-0", "1",
		"-12.5e+10", "1E5", "0.0", "\"\"", "\"a\\n\\u00e9\\\\\\/\\\"\"", " [ 1 , 2 ] ",
		"{\"a\":{\"b\":[[],{}]}}", "\t\r\n{\"\":null}\n", "\"\xc3\xa9\xe2\x82\xac\"",
		"\"\xf0\x9f\x98\x80\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\u0000\"",
		"\"\x7f\"", "[1,\n2]", "1e-9", "[\"\\b\\f\\n\\r\\t\"]", "\"\xef\xbf\xbf\"",
		"\"\xf4\x8f\xbf\xbf\"", "\"\xed\x9f\xbf\"" };

	(void)state;
	for (size_t i = 0; i < array_size(texts); i++)
		if (!accepts(texts[i], strlen(texts[i])))
			fail_msg("refused '%s'", texts[i]);
}

static void refuses_what_is_not(void **state)
{
	static const char *const texts[] = { "", " ", "{", "[", "]", "}", "{]", "[}", "[1",
		"{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1,}", "[1,]", "[,1]", "{,}", "{a:1}",
		"{'a':1}", "{1:2}", "nul", "nulll", "True", "tru e", "01", "-", "-a", "+1", ".5",
		"1.", "1.e5", "1e", "1e+", "0x1", "00", "-01", "1 2", "[] []", "{}x", "\"", "\"\\",
		"\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "\"\t\"", "NaN", "Infinity",
		"[1 2]", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "\xef\xbb\xbf{}", "\"\xff\"", "\"\xc3\"",
		"\"\xc0\xaf\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
		"\"\xf8\x88\x80\x80\x80\"", "\"\x80\"", "// a\n1", "[1]]", "{}}", "1,", "\"a\":1",
		"\xc3\xa9", "[\"a\",\"b\"", "truefalse", "\v1" };

	(void)state;
	for (size_t i = 0; i < array_size(texts); i++)
		if (accepts(texts[i], strlen(texts[i])))
			fail_msg("accepted '%s'", texts[i]);
	assert_false(accepts("1\0", 2));
	assert_false(accepts("\"\0\"", 3));
	assert_false(accepts("[\0]", 3));
}

static void stays_refused(void **state)
{
	struct json_check check;

	(void)state;
	json_check_begin(&check);
	assert_int_equal(json_check_feed(&check, "x", 1), -EBADMSG);
	assert_int_equal(json_check_feed(&check, "{}", 2), -EBADMSG);
	assert_int_equal(json_check_feed(&check, "", 0), -EBADMSG);
	assert_int_equal(json_check_end(&check), -EBADMSG);
}

static void nests_so_deep_and_no_deeper(void **state)
{
	static char text[2 * JSON_CHECK_DEPTH + 2];

	(void)state;
	memset(text, '[', JSON_CHECK_DEPTH);
	memset(text + JSON_CHECK_DEPTH, ']', JSON_CHECK_DEPTH);
	assert_true(accepts_in_pieces(text, 2 * JSON_CHECK_DEPTH, 100));
	memset(text, '[', JSON_CHECK_DEPTH + 1);
	memset(text + JSON_CHECK_DEPTH + 1, ']', JSON_CHECK_DEPTH + 1);
	assert_false(accepts_in_pieces(text, sizeof(text), sizeof(text)));
	/* Brackets of both kinds are matched at every level, across the words of the bit field. */
	for (size_t i = 0; i < 200; i++) {
		static char mixed[2000];
		int n = 0;

		for (size_t k = 0; k < 200; k++)
			n += snprintf(mixed + n, sizeof(mixed) - (size_t)n, k % 3 ? "[" : "{\"\":");
		n += snprintf(mixed + n, sizeof(mixed) - (size_t)n, "1");
		for (size_t k = 200; k-- > 0;)
			mixed[n++] = (k == i) == (k % 3 == 0) ? ']' : '}';
		assert_false(accepts_in_pieces(mixed, (size_t)n, (size_t)n));
	}
}

/* What jansson refuses although it is JSON: numbers it cannot represent, halves of surrogates. */
static bool jansson_is_no_judge(const json_error_t *error)
{
	return json_error_code(error) == json_error_numeric_overflow ||
	       strstr(error->text, "nvalid Unicode") || strstr(error->text, "too big");
}

static unsigned random_below(unsigned *seed, unsigned n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % n;
}

static size_t random_text(unsigned *seed, char *text, size_t capacity)
{
	static const char *const tokens[] = { "{", "}", "[", "]", ",", ":", "\"a\"", "\"\"", "1",
		"-0.5e3", "true", "false", "null", " ", "\n", "\"\\u00e9\"", "\"\xc3\xa9\"",
		"{\"k\":1}", "[1,2]", "{}", "[]", "0", "\\", "\"", "e", "\xff", "\"x\\n\"", "1e400",
		"\"\\ud800\"", "\"\xed\xa0\x80\"" };
	size_t size = 0, count = 1 + random_below(seed, 12);

	for (size_t i = 0; i < count; i++) {
		const char *token = tokens[random_below(seed, array_size(tokens))];

		if (size + strlen(token) > capacity)
			break;
		memcpy(text + size, token, strlen(token));
		size += strlen(token);
	}
	return size;
}

/* Returns whether it is JSON. */
static bool agrees(const char *text, size_t size)
{
	json_error_t error;
	json_t *json = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	bool expected = json != NULL;

	json_decref(json);
	if (!expected && jansson_is_no_judge(&error))
		return false;
	if (accepts(text, size) != expected)
		fail_msg("'%.*s': jansson %s it (%s)", (int)size, text,
			expected ? "accepts" : "refuses", expected ? "" : error.text);
	return expected;
}

static void agrees_with_jansson(void **state)
{
	static const char base[] =
		"{\"a\":[1,-2.5e-3,true,null,\"x\\u0041\\n\xc3\xa9\"],\"b\":{\"c\":\"\"}}";
	unsigned seed = 7;
	unsigned accepted = 0;
	char text[256];

	(void)state;
	for (int i = 0; i < 100000; i++)
		accepted += agrees(text, random_text(&seed, text, sizeof(text)));
	for (int i = 0; i < 100000; i++) {
		memcpy(text, base, sizeof(base));
		for (unsigned k = 1 + random_below(&seed, 2); k > 0; k--)
			text[random_below(&seed, sizeof(base) - 1)] =
				(char)(1 + random_below(&seed, 255));
		accepted += agrees(text, sizeof(base) - 1);
	}
	/* Otherwise the texts tell nothing. */
	assert_in_range(accepted, 5000, 195000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_what_is_json),
		cmocka_unit_test(refuses_what_is_not),
		cmocka_unit_test(stays_refused),
		cmocka_unit_test(nests_so_deep_and_no_deeper),
		cmocka_unit_test(agrees_with_jansson),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
