/*
 * test_arn.c - the front's arn.h and uri.h: the names in a request's target.
 */
#include "check.h"

#include "supervisor/front/arn.h"
#include "supervisor/front/uri.h"

#include <errno.h>
#include <string.h>

static void every_form_names_the_function(void **state)
{
	static const struct {
		const char *text, *name, *qualifier;
	} forms[] = {
		{ "f", "f", "" },
		{ "my-Function_2", "my-Function_2", "" },
		{ "f:$LATEST", "f", "$LATEST" },
		{ "f:7", "f", "7" },
		{ "123456789012:function:f", "f", "" },
		{ "123456789012:function:f:live", "f", "live" },
		{ "function:f", "f", "" },
		{ "arn:aws:lambda:eu-west-1:123456789012:function:f", "f", "" },
		{ "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:$LATEST", "f", "$LATEST" },
		{ CONFIG_ARN_PREFIX "x", "x", "" },
		{ "function", "function", "" },
		{ "arn", "arn", "" },
		{ "123456789012", "123456789012", "" },
	};

	(void)state;
	for (size_t i = 0; i < array_size(forms); i++) {
		struct function_reference reference;

		if (arn_parse(forms[i].text, &reference) < 0)
			fail_msg("refused '%s'", forms[i].text);
		assert_string_equal(reference.name, forms[i].name);
		assert_string_equal(reference.qualifier, forms[i].qualifier);
		assert_int_equal(arn_is_latest(&reference),
			!*forms[i].qualifier || strcmp(forms[i].qualifier, "$LATEST") == 0);
	}
}

static void other_texts_name_none(void **state)
{
	static const char *const texts[] = { "", ":", "f:", "f:a:b", "a b", "a/b", "../x", "f\n",
		"é", "arn:aws:s3:::bucket", "arn:aws:lambda:x",
		"arn:", "arn:aws:lambda:r:a:layer:l:1",
		"function:", "123456789012:function:", "f.g", "$LATEST", "%66" };
	char longest[CONFIG_NAME_MAX + 2];
	struct function_reference reference = { .name = "before" };

	(void)state;
	for (size_t i = 0; i < array_size(texts); i++)
		if (arn_parse(texts[i], &reference) != -EINVAL)
			fail_msg("accepted '%s'", texts[i]);
	assert_string_equal(reference.name, "before");
	memset(longest, 'a', sizeof(longest));
	longest[CONFIG_NAME_MAX + 1] = '\0';
	assert_int_equal(arn_parse(longest, &reference), -EINVAL);
	longest[CONFIG_NAME_MAX] = '\0';
	assert_int_equal(arn_parse(longest, &reference), 0);
}

static void targets_are_decoded_once(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(uri_decode("a%2Fb%3a+", 9, false, out, sizeof(out)), 0);
	assert_string_equal(out, "a/b:+");
	assert_int_equal(uri_decode("a+b%2B", 6, true, out, sizeof(out)), 0);
	assert_string_equal(out, "a b+");
	assert_int_equal(uri_decode("%2541", 5, false, out, sizeof(out)), 0);
	assert_string_equal(out, "%41");
	assert_int_equal(uri_decode("", 0, false, out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(uri_decode("%0", 2, false, out, sizeof(out)), -EBADMSG);
	assert_int_equal(uri_decode("%", 1, false, out, sizeof(out)), -EBADMSG);
	assert_int_equal(uri_decode("%zz", 3, false, out, sizeof(out)), -EBADMSG);
	assert_int_equal(uri_decode("%4g", 3, false, out, sizeof(out)), -EBADMSG);
	assert_int_equal(uri_decode("a%00b", 5, false, out, sizeof(out)), -EBADMSG);
	assert_int_equal(uri_decode("0123456789abcdef", 16, false, out, sizeof(out)), -ENOBUFS);
	assert_int_equal(uri_decode("0123456789abcde", 15, false, out, sizeof(out)), 0);
}

static void parameters_are_found_by_name(void **state)
{
	static const char query[] = "a=1&&b=&c&tagKeys=x%26y&tagKeys=z&%61b=2=3";
	char out[16];

	(void)state;
	assert_int_equal(uri_parameter(query, "a", out, sizeof(out)), 0);
	assert_string_equal(out, "1");
	assert_int_equal(uri_parameter(query, "b", out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(uri_parameter(query, "c", out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(uri_parameter(query, "tagKeys", out, sizeof(out)), 0);
	assert_string_equal(out, "x&y");
	assert_int_equal(uri_parameter(query, "ab", out, sizeof(out)), 0);
	assert_string_equal(out, "2=3");
	assert_int_equal(uri_parameter(query, "tag", out, sizeof(out)), -ENOENT);
	assert_int_equal(uri_parameter("", "a", out, sizeof(out)), -ENOENT);
	assert_int_equal(uri_parameter("&&&", "a", out, sizeof(out)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_names_the_function),
		cmocka_unit_test(other_texts_name_none),
		cmocka_unit_test(targets_are_decoded_once),
		cmocka_unit_test(parameters_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
