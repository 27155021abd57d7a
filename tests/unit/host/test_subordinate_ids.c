/*
 * test_subordinate_ids.c - whose user ids a range of functions would share.
 */
#include "supervisor/host/subordinate_ids.h"

#include "base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char lines[] = "alice:100000:65536\n"
			    "not a line\n"
			    "bob::\n"
			    "carol:524288:65536\n";

static const struct {
	uint32_t first, count;
	const char *owner; /* NULL: nobody */
} rows[] = {
	{ 100000, 65536, "alice" },
	{ 165535, 1, "alice" },
	{ 165536, 1, NULL },
	{ 99999, 1, NULL },
	{ 99999, 2, "alice" },
	{ 200000, 400000, "carol" },
	{ FUNCTION_UIDS_FIRST, FUNCTION_UIDS_COUNT, NULL },
};

static void test_ranges(void **state)
{
	char path[] = "/tmp/subordinate-ids-XXXXXX", owner[16];
	_cleanup_close_ int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, lines, strlen(lines)), strlen(lines));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = subordinate_ids_overlap(
			path, rows[i].first, rows[i].count, owner, sizeof(owner));

		assert_int_equal(r, rows[i].owner != NULL);
		if (r)
			assert_string_equal(owner, rows[i].owner);
	}
	unlink(path);
}

static void test_no_file(void **state)
{
	char owner[16];

	(void)state;
	assert_int_equal(
		subordinate_ids_overlap("/nonexistent/subuid", 1, 100, owner, sizeof(owner)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
