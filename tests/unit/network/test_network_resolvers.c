/*
 * test_network_resolvers.c - which resolvers a resolv.conf(5) gives functions.
 */
#include "supervisor/launch/network_resolvers.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, bool loopback, const char *first, const char *second)
{
	const char *const expected[] = { first, second };
	struct resolvers found;
	char address[INET_ADDRSTRLEN];

	resolvers_parse(text, &found);
	assert_int_equal(found.loopback, loopback);
	assert_int_equal(found.count, !!first + !!second);
	for (unsigned i = 0; i < found.count; i++) {
		inet_ntop(AF_INET, &found.addresses[i], address, sizeof(address));
		assert_string_equal(address, expected[i]);
	}
}

static void test_those_that_are_named(void **state)
{
	(void)state;
	check("nameserver 10.0.0.2\n", false, "10.0.0.2", NULL);
	check("# me\nsearch example.test\nnameserver\t10.0.0.2 # the first\noptions edns0\n"
	      "nameserver 10.0.0.3",
		false, "10.0.0.2", "10.0.0.3");
	check("nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\n", false, "1.1.1.1",
		"1.1.1.2");
}

static void test_the_loopback_only_where_there_is_no_other(void **state)
{
	(void)state;
	check("nameserver 127.0.0.53\n", true, "127.0.0.53", NULL);
	check("nameserver 127.0.0.53\nnameserver 10.0.0.2\n", false, "10.0.0.2", NULL);
	check("nameserver 10.0.0.2\nnameserver 127.0.0.1\n", false, "10.0.0.2", NULL);
	check("nameserver 0.0.0.0\n", true, "0.0.0.0", NULL);
}

static void test_none(void **state)
{
	(void)state;
	check("", false, NULL, NULL);
	check("nameserver\nnameserver 10.0.0\nnameserver 10.0.0.256\nnameserverx 10.0.0.2\n", false,
		NULL, NULL);
	check("nameserver 2001:db8::53\nnameserver fe80::1%eth0\n", false, NULL, NULL);
	check("; nameserver 10.0.0.2\n#nameserver 10.0.0.2\n", false, NULL, NULL);
	check("nameserver 1111111111111111111111111111111111111111111111111111111111111111111111",
		false, NULL, NULL);
}

static void test_equality(void **state)
{
	struct resolvers a, b;

	(void)state;
	resolvers_parse("nameserver 10.0.0.2\n", &a);
	resolvers_parse("search x\nnameserver 10.0.0.2\n", &b);
	assert_true(resolvers_equal(&a, &b));
	resolvers_parse("nameserver 10.0.0.3\n", &b);
	assert_false(resolvers_equal(&a, &b));
	resolvers_parse("", &b);
	assert_false(resolvers_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_those_that_are_named),
		cmocka_unit_test(test_the_loopback_only_where_there_is_no_other),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_equality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
