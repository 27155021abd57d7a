/*
 * test_http_forms.c - the front's conversions: deploy_body.h, eventstream.h, url_reply.h.
 */
#include "check.h"

#include "supervisor/front/deploy_body.h"
#include "supervisor/front/eventstream.h"
#include "supervisor/front/url_reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void assert_split(const char *text, const char *archive, const char *rest)
{
	_cleanup_buffer_ struct buffer found = { 0 };
	size_t at, size;

	if (!deploy_body_split(text, strlen(text), &at, &size, &found)) {
		if (archive)
			fail_msg("found nothing in '%s'", text);
		assert_int_equal(found.size, 0);
		return;
	}
	if (!archive)
		fail_msg("found something in '%s'", text);
	assert_int_equal(size, strlen(archive));
	assert_memory_equal(text + at, archive, size);
	assert_string_equal(found.data, rest);
}

static void the_archive_is_taken_out(void **state)
{
	(void)state;
	assert_split("{\"ZipFile\":\"UEsD\"}", "UEsD", "{\"ZipFile\":\"\"}");
	assert_split("{\"A\":1,\"Code\" : { \"ZipFile\" :\n\"UEsD\" , \"B\":2}}", "UEsD",
		"{\"A\":1,\"Code\" : { \"ZipFile\" :\n\"\" , \"B\":2}}");
	assert_split("{\"ZipFile\":\"\"}", "", "{\"ZipFile\":\"\"}");
	assert_split("{\"ZipFile\":\"a\\/b\"}", "a\\/b", "{\"ZipFile\":\"\"}");
	/* The word in a value, or in a longer name, is not the member. */
	assert_split("{\"D\":\"ZipFile\",\"E\":\"\\\"ZipFile\\\":\\\"x\\\"\",\"ZipFile\":\"y\"}",
		"y", "{\"D\":\"ZipFile\",\"E\":\"\\\"ZipFile\\\":\\\"x\\\"\",\"ZipFile\":\"\"}");
	assert_split(
		"{\"D\":\"\\\\\",\"ZipFile\":\"y\"}", "y", "{\"D\":\"\\\\\",\"ZipFile\":\"\"}");
	assert_split("{\"XZipFile\":\"x\",\"ZipFiles\":\"x\",\"zipfile\":\"x\"}", NULL, NULL);
	assert_split("{\"ZipFile\":7}", NULL, NULL);
	assert_split("{\"ZipFile\":null}", NULL, NULL);
	/* And what is no JSON ends somewhere. */
	assert_split("", NULL, NULL);
	assert_split("\"", NULL, NULL);
	assert_split("\"\\", NULL, NULL);
	assert_split("{\"ZipFile\"", NULL, NULL);
	assert_split("{\"ZipFile\":", NULL, NULL);
	assert_split("{\"ZipFile\":\"x", NULL, NULL);
	assert_split("{\"ZipFile\":\"x\\\"", NULL, NULL);
}

static void escaped_slashes_are_slashes(void **state)
{
	char text[] = "a\\/b\\/\\/c\\", plain[] = "ab/c";

	(void)state;
	assert_int_equal(deploy_body_unescape(text, strlen(text)), 7);
	assert_memory_equal(text, "a/b//c\\", 7);
	assert_int_equal(deploy_body_unescape(plain, 4), 4);
	assert_string_equal(plain, "ab/c");
}

static void a_frame_is_as_clients_read_it(void **state)
{
	/* Put together by hand, with the CRCs of Python's zlib. */
	static const unsigned char expected[] = {
		0x00,
		0x00,
		0x00,
		0x6f,
		0x00,
		0x00,
		0x00,
		0x5a,
		0xf5,
		0xfe,
		0x87,
		0x1f,
		0x0b,
		0x3a,
		0x65,
		0x76,
		0x65,
		0x6e,
		0x74,
		0x2d,
		0x74,
		0x79,
		0x70,
		0x65,
		0x07,
		0x00,
		0x0c,
		0x50,
		0x61,
		0x79,
		0x6c,
		0x6f,
		0x61,
		0x64,
		0x43,
		0x68,
		0x75,
		0x6e,
		0x6b,
		0x0d,
		0x3a,
		0x63,
		0x6f,
		0x6e,
		0x74,
		0x65,
		0x6e,
		0x74,
		0x2d,
		0x74,
		0x79,
		0x70,
		0x65,
		0x07,
		0x00,
		0x18,
		0x61,
		0x70,
		0x70,
		0x6c,
		0x69,
		0x63,
		0x61,
		0x74,
		0x69,
		0x6f,
		0x6e,
		0x2f,
		0x6f,
		0x63,
		0x74,
		0x65,
		0x74,
		0x2d,
		0x73,
		0x74,
		0x72,
		0x65,
		0x61,
		0x6d,
		0x0d,
		0x3a,
		0x6d,
		0x65,
		0x73,
		0x73,
		0x61,
		0x67,
		0x65,
		0x2d,
		0x74,
		0x79,
		0x70,
		0x65,
		0x07,
		0x00,
		0x05,
		0x65,
		0x76,
		0x65,
		0x6e,
		0x74,
		0x68,
		0x65,
		0x6c,
		0x6c,
		0x6f,
		0x29,
		0xe7,
		0x12,
		0x60,
	};
	_cleanup_buffer_ struct buffer b = { 0 };

	(void)state;
	buffer_append_string(&b, "before");
	eventstream_append(&b, "PayloadChunk", "application/octet-stream", "hello", 5);
	assert_int_equal(b.size, 6 + sizeof(expected));
	assert_memory_equal(b.data + 6, expected, sizeof(expected));
}

struct expected_reply {
	const char *text;
	int result;
	unsigned status;
	const char *body, *headers;
};

static void add_header(void *data, const char *name, const char *value)
{
	size_t used = strlen(data);

	snprintf((char *)data + used, 512 - used, "%s=%s;", name, value);
}

static void replies_are_mapped(void **state)
{
	static const struct expected_reply cases[] = {
		{ "{\"statusCode\":201,\"body\":\"hi\"}", 0, 201, "hi", "" },
		{ "{\"statusCode\":\"204\"}", 0, 204, "", "" },
		{ "{\"statusCode\":200,\"body\":\"aGk=\",\"isBase64Encoded\":true}", 0, 200, "hi",
			"" },
		{ "{\"statusCode\":200,\"body\":null}", 0, 200, "", "" },
		{ "{\"statusCode\":200,\"body\":\"\",\"isBase64Encoded\":true}", 0, 200, "", "" },
		{ "{\"statusCode\":302,\"headers\":{\"Location\":\"/"
		  "x\",\"n\":7,\"Content-Length\":\"9\","
		  "\"transfer-encoding\":\"chunked\"},\"cookies\":[\"a=b\",\"c=d\",1]}",
			0, 302, "", "Location=/x;n=7;Set-Cookie=a=b;Set-Cookie=c=d;" },
		{ "\"a \\\"string\\\"\"", 0, 200, "a \"string\"", "" },
		{ "{\"x\":{\"statusCode\":7}}", 0, 200, "{\"x\":{\"statusCode\":7}}", "" },
		{ "{\"statusCode\":99}", -EBADMSG, 0, NULL, NULL },
		{ "{\"statusCode\":600}", -EBADMSG, 0, NULL, NULL },
		{ "{\"statusCode\":{}}", -EBADMSG, 0, NULL, NULL },
		{ "{\"statusCode\":200,\"body\":{\"a\":1}}", -EBADMSG, 0, NULL, NULL },
		{ "{\"statusCode\":200,\"body\":\"!\",\"isBase64Encoded\":true}", -EBADMSG, 0, NULL,
			NULL },
		{ "{\"statusCode\":200", -EBADMSG, 0, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < array_size(cases); i++) {
		struct buffer reply = { .data = (char *)cases[i].text,
			.size = strlen(cases[i].text) };
		char headers[512] = "";
		struct url_reply mapped = { 0 };

		assert_false(url_reply_is_plain(&reply));
		if (url_reply_read(&reply, &mapped) != cases[i].result)
			fail_msg("%s", cases[i].text);
		if (cases[i].result == 0) {
			assert_int_equal(mapped.status, cases[i].status);
			assert_string_equal(
				mapped.body.data ? mapped.body.data : "", cases[i].body);
			url_reply_each_header(&mapped, add_header, headers);
			assert_string_equal(headers, cases[i].headers);
		}
		url_reply_done(&mapped);
	}
}

static void other_replies_are_plain(void **state)
{
	static const char *const texts[] = { "", "{}", "null", "[1]", "{\"message\":\"hi\"}", "7",
		" {\"a\":\"status\"}", "not json", "[{\"statusCode\":200}]" };

	(void)state;
	for (size_t i = 0; i < array_size(texts); i++) {
		struct buffer reply = { .data = (char *)texts[i], .size = strlen(texts[i]) };

		if (!url_reply_is_plain(&reply))
			fail_msg("'%s' is not plain", texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_archive_is_taken_out),
		cmocka_unit_test(escaped_slashes_are_slashes),
		cmocka_unit_test(a_frame_is_as_clients_read_it),
		cmocka_unit_test(replies_are_mapped),
		cmocka_unit_test(other_replies_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
