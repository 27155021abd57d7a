/*
 * test_spin.c - when the loop looks longer before it sleeps.
 */
#include "supervisor/loop/spin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WAITS_MOST 2000 /* more than it ever waits for the next try */

static struct spin spin_new(enum spin_outlook outlook)
{
	struct spin spin;

	spin_init(&spin);
	spin.outlook = outlook;
	return spin;
}

/* How many sleeps of this length it takes until a spin is tried again. */
static int sleeps_until_tried(struct spin *spin, usec_t took)
{
	int n = 0;

	while (!spin_pays(spin) && n < WAITS_MOST) {
		spin_slept(spin, took);
		n++;
	}
	return n;
}

static void test_only_short_sleeps_lead_to_a_spin(void **state)
{
	struct spin spin = spin_new(SPIN_QUIET);

	(void)state;
	assert_false(spin_pays(&spin));
	assert_int_equal(sleeps_until_tried(&spin, 1000), WAITS_MOST);
	assert_in_range(sleeps_until_tried(&spin, 40), 1, 100);
}

static void test_goes_on_while_it_finds(void **state)
{
	struct spin spin = spin_new(SPIN_EXPECTING);

	(void)state;
	sleeps_until_tried(&spin, 40);
	for (int i = 0; i < 100; i++) {
		assert_true(spin_pays(&spin));
		spin_tried(&spin, true);
	}
	/* One in vain after so many is soon forgotten. */
	spin_tried(&spin, false);
	assert_int_equal(sleeps_until_tried(&spin, 40), 1);
}

static void test_in_vain_it_becomes_rare(void **state)
{
	struct spin spin = spin_new(SPIN_EXPECTING);
	int sleeps = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		int before = sleeps;

		sleeps = sleeps_until_tried(&spin, 40);
		assert_true(sleeps >= before);
		spin_tried(&spin, false);
	}
	assert_in_range(sleeps, 1000, WAITS_MOST - 1);
}

static void test_outlooks_are_apart(void **state)
{
	struct spin spin = spin_new(SPIN_EXPECTING);

	(void)state;
	sleeps_until_tried(&spin, 40);
	assert_true(spin_pays(&spin));
	spin.outlook = SPIN_QUIET;
	assert_false(spin_pays(&spin));
	spin.outlook = SPIN_CROWDED;
	assert_int_equal(sleeps_until_tried(&spin, 40), WAITS_MOST);
	spin_tried(&spin, true);
	spin.outlook = SPIN_EXPECTING;
	assert_true(spin_pays(&spin));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_short_sleeps_lead_to_a_spin),
		cmocka_unit_test(test_goes_on_while_it_finds),
		cmocka_unit_test(test_in_vain_it_becomes_rare),
		cmocka_unit_test(test_outlooks_are_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
