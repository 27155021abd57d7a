/*
 * test_cgroup.c - what is written to and read from the files of control groups, in directories that
 * look like them: of version 2 with all controllers, which few machines that run tests have.
 */
#include "base/fd.h"
#include "supervisor/launch/cgroup_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GROUP "f.1"

struct fake {
	char path[64];
	struct cgroups cgroups;
};

static void fake_open(struct fake *fake, enum cgroup_version version)
{
	strcpy(fake->path, "/tmp/polyvisor-test-XXXXXX");
	assert_non_null(mkdtemp(fake->path));
	fake->cgroups = (struct cgroups){
		.version = version,
		.name = CGROUP_PREFIX "own",
		.hierarchy_count = 1,
		.files = version == CGROUP_V2 ? &cgroup_v2_files : &cgroup_v1_files,
	};
	fake->cgroups.hierarchies[0].base = open(fake->path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(fake->cgroups.hierarchies[0].base, CGROUP_PREFIX "own", 0755), 0);
	fake->cgroups.hierarchies[0].parent = openat(
		fake->cgroups.hierarchies[0].base, CGROUP_PREFIX "own", O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(fake->cgroups.hierarchies[0].parent, GROUP, 0755), 0);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void fake_close(struct fake *fake)
{
	fd_close(fake->cgroups.hierarchies[0].parent);
	fd_close(fake->cgroups.hierarchies[0].base);
	nftw(fake->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(struct fake *fake, const char *file, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), GROUP "/%s", file);
	fd = openat(fake->cgroups.hierarchies[0].parent, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(fd);
}

static void assert_file(struct fake *fake, const char *file, const char *expected)
{
	char text[64] = "";

	assert_int_equal(
		cgroup_read(fake->cgroups.hierarchies[0].parent, GROUP, file, text, sizeof(text)),
		0);
	assert_string_equal(text, expected);
}

static const struct cgroup_limits some_limits = {
	.memory_bytes = 300 << 20, .processes = 77, .cpu_percent = 30
};

static void test_limits_of_version_2(void **state)
{
	struct fake fake;

	(void)state;
	fake_open(&fake, CGROUP_V2);
	put(&fake, "memory.max", "");
	put(&fake, "memory.swap.max", "");
	put(&fake, "pids.max", "");
	put(&fake, "cpu.max", "");
	assert_int_equal(cgroup_limit(&fake.cgroups, GROUP, &some_limits), 0);
	assert_file(&fake, "memory.max", "314572800");
	assert_file(&fake, "memory.swap.max", "0");
	assert_file(&fake, "pids.max", "77");
	assert_file(&fake, "cpu.max", "30000 100000");
	fake_close(&fake);
}

static void test_limits_of_version_1(void **state)
{
	struct fake fake;

	(void)state;
	fake_open(&fake, CGROUP_V1);
	put(&fake, "memory.limit_in_bytes", "");
	put(&fake, "memory.memsw.limit_in_bytes", "");
	put(&fake, "pids.max", "");
	put(&fake, "cpu.cfs_quota_us", "");
	assert_int_equal(cgroup_limit(&fake.cgroups, GROUP, &some_limits), 0);
	assert_file(&fake, "memory.limit_in_bytes", "314572800");
	assert_file(&fake, "memory.memsw.limit_in_bytes", "314572800");
	assert_file(&fake, "pids.max", "77");
	assert_file(&fake, "cpu.cfs_quota_us", "30000");
	fake_close(&fake);
}

/* A kernel that does not account for swap has no file for it; any other that is missing is a fault. */
static void test_missing_files(void **state)
{
	struct fake fake;

	(void)state;
	fake_open(&fake, CGROUP_V2);
	fake.cgroups.places[CGROUP_PIDS] = fake.cgroups.places[CGROUP_CPU] = -1;
	assert_int_equal(cgroup_limit(&fake.cgroups, GROUP, &some_limits), -ENOENT);
	put(&fake, "memory.max", "");
	assert_int_equal(cgroup_limit(&fake.cgroups, GROUP, &some_limits), 0);
	assert_file(&fake, "memory.max", "314572800");
	fake_close(&fake);
}

static void test_no_limit(void **state)
{
	const struct cgroup_limits none = { .memory_bytes = 1 << 20 };
	struct fake fake;

	(void)state;
	fake_open(&fake, CGROUP_V2);
	put(&fake, "memory.max", "");
	put(&fake, "pids.max", "");
	put(&fake, "cpu.max", "max 100000");
	assert_int_equal(cgroup_limit(&fake.cgroups, GROUP, &none), 0);
	assert_file(&fake, "pids.max", "max");
	assert_file(&fake, "cpu.max", "max 100000");
	fake_close(&fake);
}

static void test_figures(void **state)
{
	struct cgroup_figures figures;
	struct fake fake;

	(void)state;
	fake_open(&fake, CGROUP_V2);
	put(&fake, "memory.current", "123456789\n");
	put(&fake, "memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 5\noom_group_kill 1\n");
	put(&fake, "pids.events", "max 7\n");
	put(&fake, "cpu.stat", "usage_usec 12\nnr_throttled 2\nthrottled_usec 99\nnr_bursts 0\n");
	cgroup_measure(&fake.cgroups, GROUP, &figures);
	assert_int_equal(figures.charged, 123456789);
	assert_int_equal(figures.oom_kills, 5);
	assert_int_equal(figures.process_refusals, 7);
	assert_int_equal(figures.cpu_usec, 12);
	assert_int_equal(figures.cpu_throttled_usec, 99);
	fake_close(&fake);

	fake_open(&fake, CGROUP_V1);
	put(&fake, "memory.usage_in_bytes", "4096\n");
	put(&fake, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
	put(&fake, "cpuacct.usage", "7000\n");
	put(&fake, "cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 5000\n");
	cgroup_measure(&fake.cgroups, GROUP, &figures);
	assert_int_equal(figures.charged, 4096);
	assert_int_equal(figures.oom_kills, 4);
	assert_int_equal(figures.process_refusals, 0);
	assert_int_equal(figures.cpu_usec, 7);
	assert_int_equal(figures.cpu_throttled_usec, 5);
	fake_close(&fake);
}

static void test_weights(void **state)
{
	struct fake fake;

	(void)state;
	fake_open(&fake, CGROUP_V2);
	put(&fake, "cpu.weight", "");
	assert_int_equal(cgroup_give_way(&fake.cgroups, GROUP, true), 0);
	assert_file(&fake, "cpu.weight", "6");
	fake.cgroups.places[CGROUP_CPU] = -1;
	assert_int_equal(cgroup_give_way(&fake.cgroups, GROUP, true), -ENOENT);
	fake_close(&fake);

	fake_open(&fake, CGROUP_V1);
	put(&fake, "cpu.shares", "");
	assert_int_equal(cgroup_give_way(&fake.cgroups, GROUP, true), 0);
	assert_file(&fake, "cpu.shares", "64");
	put(&fake, "cpu.shares", "");
	assert_int_equal(cgroup_give_way(&fake.cgroups, GROUP, false), 0);
	assert_file(&fake, "cpu.shares", "1024");
	fake_close(&fake);
}

static void test_lists(void **state)
{
	(void)state;
	assert_true(cgroup_list_has("cpuset cpu io memory pids\n", "memory"));
	assert_true(cgroup_list_has("pids", "pids"));
	assert_false(cgroup_list_has("cpuset io\n", "cpu"));
	assert_false(cgroup_list_has("\n", "cpu"));
}

static bool exists(const struct fake *fake, const char *name)
{
	return faccessat(fake->cgroups.hierarchies[0].base, name, F_OK, 0) == 0;
}

static void test_sweep(void **state)
{
	struct fake fake;
	int base, alive;

	(void)state;
	fake_open(&fake, CGROUP_V1);
	base = fake.cgroups.hierarchies[0].base;
	assert_int_equal(mkdirat(base, CGROUP_PREFIX "dead", 0755), 0);
	assert_int_equal(mkdirat(base, CGROUP_PREFIX "dead/f.1", 0755), 0);
	assert_int_equal(mkdirat(base, CGROUP_PREFIX "dead/f.1/0", 0755), 0);
	assert_int_equal(mkdirat(base, CGROUP_PREFIX "alive", 0755), 0);
	assert_int_equal(mkdirat(base, "other", 0755), 0);
	alive = openat(base, CGROUP_PREFIX "alive", O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(alive, LOCK_EX), 0);
	assert_int_equal(cgroups_sweep(&fake.cgroups), 0);
	assert_false(exists(&fake, CGROUP_PREFIX "dead"));
	assert_true(exists(&fake, CGROUP_PREFIX "alive"));
	assert_true(exists(&fake, "other"));
	assert_true(exists(&fake, CGROUP_PREFIX "own"));
	fd_close(alive);
	assert_int_equal(cgroups_sweep(&fake.cgroups), 0);
	assert_false(exists(&fake, CGROUP_PREFIX "alive"));
	fake_close(&fake);
}

/* What is in use stays, and is said to. */
static void test_removal(void **state)
{
	struct fake fake;

	(void)state;
	fake_open(&fake, CGROUP_V1);
	put(&fake, "in-use", "");
	assert_true(cgroup_remove(&fake.cgroups, GROUP) < 0);
	assert_int_equal(unlinkat(fake.cgroups.hierarchies[0].parent, GROUP "/in-use", 0), 0);
	assert_int_equal(cgroup_remove(&fake.cgroups, GROUP), 0);
	assert_int_equal(cgroup_remove(&fake.cgroups, GROUP), 0);
	fake_close(&fake);
}

static void test_description(void **state)
{
	struct cgroups cgroups = { .version = CGROUP_V2, .why = "a reason" };
	char text[CGROUPS_TEXT_MAX];

	(void)state;
	cgroups_describe(&cgroups, text);
	assert_non_null(strstr(
		text, "(v2) limit memory, processes, cpu of each function and of each isolate."));
	cgroups.version = CGROUP_V1;
	cgroups.places[CGROUP_CPU] = -1;
	cgroups_describe(&cgroups, text);
	assert_non_null(strstr(text, "(v1) limit memory, processes of each function"));
	assert_non_null(strstr(text, "but not cpu (a reason)"));
	cgroups.places[CGROUP_MEMORY] = cgroups.places[CGROUP_PIDS] = -1;
	cgroups_describe(&cgroups, text);
	assert_non_null(strstr(text, "No control groups limit functions (a reason)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits_of_version_2),
		cmocka_unit_test(test_limits_of_version_1),
		cmocka_unit_test(test_missing_files),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
