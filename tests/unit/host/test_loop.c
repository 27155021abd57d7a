/*
 * test_loop.c - what is deferred when the loop has ended already.
 */
#include "supervisor/loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct thing {
	struct loop *loop;
	struct loop_deferred freeing;
	int again;
	int *freed;
};

static void thing_free(struct loop_deferred *deferred)
{
	struct thing *thing = container_of(deferred, struct thing, freeing);

	if (thing->again-- > 0) {
		loop_defer(thing->loop, deferred, thing_free);
		return;
	}
	++*thing->freed;
	free(thing);
}

static void thing_abandon(struct loop *loop, int again, int *freed)
{
	struct thing *thing = calloc(1, sizeof(*thing));

	assert_non_null(thing);
	*thing = (struct thing){ .loop = loop, .again = again, .freed = freed };
	loop_defer(loop, &thing->freeing, thing_free);
}

/* LeakSanitizer, in the build with it, sees that nothing is left. */
static void test_deferred_calls_of_the_end(void **state)
{
	struct loop *loop;
	int freed = 0;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	for (int i = 0; i < 5; i++)
		thing_abandon(loop, i, &freed);
	loop_finish(loop);
	assert_int_equal(freed, 5);
	loop_finish(loop);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deferred_calls_of_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
