/*
 * test_guest_reseed.c - OpenSSL in a clone draws what no other clone draws, even where the process
 * id is the same, as it is in pid namespaces.
 *
 * This program's getpid() is the one that libcrypto finds, and always answers the same, which
 * blinds OpenSSL's own detection of forks. libcrypto is loaded as Python loads it, out of sight.
 */
#include "guest/handle.h"

#include "base/fd.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DRAWN 32

__attribute__((visibility("default"))) pid_t getpid(void)
{
	return 4711;
}

static int (*draw)(unsigned char *data, int size);
static int (*draw_private)(unsigned char *data, int size);

/* What a forked child draws, after it has reseeded if it is to. */
static void drawn_by_child(const struct reseed *reseed, unsigned char drawn[2 * DRAWN])
{
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		if (reseed && reseed_run(reseed) < 0)
			_exit(1);
		if (draw(drawn, DRAWN) != 1 || draw_private(drawn + DRAWN, DRAWN) != 1)
			_exit(2);
		_exit(fd_write_all(ends[1], drawn, 2 * DRAWN) < 0 ? 3 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(fd_read_exactly(ends[0], drawn, 2 * DRAWN), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ends[0]);
	close(ends[1]);
}

static void test_clones_draw_differently(void **state)
{
	unsigned char drawn[3][2 * DRAWN];
	struct reseed reseed;

	(void)state;
	assert_int_equal(draw(drawn[0], DRAWN), 1);
	assert_int_equal(draw_private(drawn[0], DRAWN), 1);
	/* Without the reseeding the danger is real, or this would show nothing. */
	drawn_by_child(NULL, drawn[0]);
	drawn_by_child(NULL, drawn[1]);
	assert_memory_equal(drawn[0], drawn[1], 2 * DRAWN);
	reseed_find(&reseed);
	assert_int_equal(reseed.count, 1);
	for (size_t i = 0; i < 3; i++)
		drawn_by_child(&reseed, drawn[i]);
	for (size_t i = 0; i < 3; i++)
		for (size_t half = 0; half < 2; half++)
			assert_memory_not_equal(
				drawn[i] + half * DRAWN, drawn[(i + 1) % 3] + half * DRAWN, DRAWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_clones_draw_differently) };
	void *crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!crypto)
		return 77;
	*(void **)&draw = dlsym(crypto, "RAND_bytes");
	*(void **)&draw_private = dlsym(crypto, "RAND_priv_bytes");
	return cmocka_run_group_tests_name("guest_reseed", tests, NULL, NULL);
}
