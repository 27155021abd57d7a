/*
 * test_version.c - the version of an interpreter, in spite of what else it says.
 */
#include "supervisor/launch/version.h"

#include "base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, const char *expected)
{
	_cleanup_free_ char *version = version_in(text);

	if (!expected) {
		assert_null(version);
		return;
	}
	assert_non_null(version);
	assert_string_equal(version, expected);
}

static void test_what_interpreters_say(void **state)
{
	(void)state;
	check("Python 3.11.2\n", "3.11.2");
	check("v20.20.2\n", "20.20.2");
	check("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment\n", "17.0.15");
	check("openjdk 22-ea 2024-03-19", "22");
	check("java 17.0.9+9 2023-10-17 LTS\r\n", "17.0.9");
}

static void test_warnings_before_it(void **state)
{
	(void)state;
	check("[0.001s][warning][cds] The shared archive file has a bad magic number\n"
	      "openjdk 17.0.15 2025-04-15\n",
		"17.0.15");
	check("[0.001s][info   ][os] Using thread safe libc 2.36\nopenjdk 17.0.15 2025-04-15\n",
		"17.0.15");
	check("OpenJDK 64-Bit Server VM warning: Option UseFoo was deprecated in version 9.0\n"
	      "openjdk version \"21.0.2\" 2024-01-16\n",
		"21.0.2");
	check("Picked up JAVA_TOOL_OPTIONS: -Xmx1g 11\n\nopenjdk 17.0.15 2025-04-15\n", "17.0.15");
}

static void test_none(void **state)
{
	(void)state;
	check("", NULL);
	check("\n\n", NULL);
	check("usage: thing [-v]\n", NULL);
	check("OpenJDK 64-Bit Server VM (build)\n", NULL);
	check("[0.001s][error] no\n", NULL);
	check("the 2nd of many\n", NULL);
}

/* In two parts, the version in the later one, which the first read does not meet. */
static void test_asked(void **state)
{
	char *argv[] = { "/bin/sh", "-c",
		"echo 'VM warning: 1 thing' >&2; sleep 0.1; echo 'openjdk 17.0.15 2025-04-15'",
		NULL };
	_cleanup_free_ char *version = version_ask(argv);

	(void)state;
	assert_non_null(version);
	assert_string_equal(version, "17.0.15");
	argv[0] = "/nonexistent";
	assert_null(version_ask(argv));
}

static void test_older(void **state)
{
	(void)state;
	assert_true(version_is_older("3.8.1", "3.11"));
	assert_false(version_is_older("3.11.2", "3.11"));
	assert_false(version_is_older("21", "17"));
	assert_true(version_is_older("16.0.2", "17"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_interpreters_say),
		cmocka_unit_test(test_warnings_before_it),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
