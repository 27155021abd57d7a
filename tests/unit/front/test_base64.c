/*
 * test_base64.c - base/base64.h.
 */
#include "check.h"

#include "base/base64.h"

#include <errno.h>
#include <string.h>

static void encodes_and_decodes_the_vectors_of_the_standard(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" }, { "\xfb\xef\xbe", "++++" } };

	(void)state;
	for (size_t i = 0; i < array_size(pairs); i++) {
		_cleanup_buffer_ struct buffer text = { 0 };
		char data[16];
		size_t size = 99;

		buffer_append_base64(&text, pairs[i][0], strlen(pairs[i][0]));
		assert_string_equal(text.data ? text.data : "", pairs[i][1]);
		assert_int_equal(base64_decode(pairs[i][1], strlen(pairs[i][1]), data, &size), 0);
		assert_int_equal(size, strlen(pairs[i][0]));
		assert_memory_equal(data, pairs[i][0], size);
	}
}

static void every_size_comes_back_in_place(void **state)
{
	unsigned char data[300];
	unsigned seed = 1;

	(void)state;
	for (size_t size = 0; size < sizeof(data); size++) {
		_cleanup_buffer_ struct buffer text = { 0 };
		size_t decoded;

		for (size_t i = 0; i < size; i++)
			data[i] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
		buffer_append_base64(&text, data, size);
		assert_int_equal(text.size, (size + 2) / 3 * 4);
		if (size == 0)
			continue;
		assert_int_equal(base64_decode(text.data, text.size, text.data, &decoded), 0);
		assert_int_equal(decoded, size);
		assert_memory_equal(text.data, data, size);
	}
}

static void refuses_what_is_not_base64(void **state)
{
	static const char *const texts[] = { "Z", "Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zg=a",
		"Zh==", "Zm9=", "Zm 9", "Zm9\n", "Zm9v\n", "-_-_", "Zm9v====" };
	char data[16];
	size_t size;

	(void)state;
	for (size_t i = 0; i < array_size(texts); i++)
		if (base64_decode(texts[i], strlen(texts[i]), data, &size) != -EBADMSG)
			fail_msg("accepted '%s'", texts[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_and_decodes_the_vectors_of_the_standard),
		cmocka_unit_test(every_size_comes_back_in_place),
		cmocka_unit_test(refuses_what_is_not_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
