/*
 * test_network_rules.c - what --egress-allow takes: it becomes part of rules, so nothing else may.
 */
#include "supervisor/launch/network_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_networks(void **state)
{
	static const char *const good[] = { "10.0.0.0/8", "10.1.2.3", "10.0.0.0/8,192.168.7.0/24",
		"0.0.0.0/0", "255.255.255.255/32" };

	(void)state;
	for (size_t i = 0; i < array_size(good); i++)
		assert_int_equal(rules_check_networks(good[i], NULL), 0);
}

static void test_what_is_none(void **state)
{
	static const char *const bad[] = { "", ",", "10.0.0.0/8,", ",10.0.0.0/8", "10.0.0.0/33",
		"10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/ 8", "10.0.0.0/8 ", "10.0.0/8", "::1",
		"10.0.0.0/8}; flush ruleset", "10.0.0.0/8\n", "example.test", "10.0.0.0/08x",
		"10.0.0.0/4294967304", "100.100.100.100/32/32" };
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < array_size(bad); i++)
		assert_true(rules_check_networks(bad[i], &e) < 0);
	assert_non_null(strstr(e.text, "is not an IPv4 network such as 10.1.0.0/16"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
