/*
 * test_store.c - store/store.h: what is acknowledged is there after any end, and nothing else is.
 */
#include "check.h"
#include "scratch.h"

#include "base/fd.h"
#include "base/usec.h"
#include "supervisor/store/code.h"
#include "supervisor/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int make(void **state)
{
	*state = scratch_make();
	return 0;
}

static int done(void **state)
{
	scratch_remove(*state);
	return 0;
}

static struct store *opened(const char *path)
{
	struct store *store = NULL;
	struct err e = { 0 };

	if (store_new(path, &store, &e) < 0)
		fail_msg("%s", e.text);
	return store;
}

struct listing {
	char text[1024];
};

static int list_one(void *data, const char *name, const char *document)
{
	struct listing *listing = data;
	size_t used = strlen(listing->text);

	snprintf(listing->text + used, sizeof(listing->text) - used, "%s=%s ", name, document);
	return 0;
}

static void assert_functions(struct store *store, const char *expected)
{
	struct listing listing = { "" };
	struct err e;

	assert_int_equal(store_load(store, list_one, &listing, &e), 0);
	assert_string_equal(listing.text, expected);
}

static void functions_survive_the_end(void **state)
{
	struct store *store = opened(*state);
	struct err e;

	assert_functions(store, "");
	assert_int_equal(store_put(store, "b", "{1}", "aa", &e), 0);
	assert_int_equal(store_put(store, "a", "{2}", "bb", &e), 0);
	assert_int_equal(store_put(store, "b", "{3}", "cc", &e), 0);
	assert_int_equal(store_delete(store, "nothing", &e), 0);
	store_free(store);
	store = opened(*state);
	assert_functions(store, "a={2} b={3} ");
	assert_int_equal(store_delete(store, "a", &e), 0);
	assert_int_equal(store_delete(store, "a", &e), 0);
	assert_functions(store, "b={3} ");
	store_free(store);
}

static int stop_at_first(void *data, const char *name, const char *document)
{
	(void)data;
	(void)name;
	(void)document;
	return 7;
}

static void loading_pins_the_code_and_can_be_stopped(void **state)
{
	struct store *store = opened(*state);
	struct err e;

	assert_int_equal(store_put(store, "a", "{}", "digest", &e), 0);
	assert_int_equal(store_load(store, stop_at_first, NULL, &e), 7);
	assert_false(code_has_garbage(store_code(store)));
	code_unpin(store_code(store), "digest");
	assert_true(code_has_garbage(store_code(store)));
	store_free(store);
}

static void only_its_owner_can_read_it(void **state)
{
	struct store *store = opened(*state);
	char path[600];
	struct stat stat_of;
	static const char *const files[] = { "functions.db", "functions.db-wal", "lock" };

	for (size_t i = 0; i < array_size(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", (char *)*state, files[i]);
		assert_int_equal(stat(path, &stat_of), 0);
		assert_int_equal(stat_of.st_mode & 0777, 0600);
	}
	store_free(store);
}

static void a_second_one_is_refused(void **state)
{
	struct store *store = opened(*state), *second = NULL;
	struct err e;

	assert_int_equal(store_new(*state, &second, &e), -EBUSY);
	assert_non_null(strstr(e.text, "in use by another polyvisor"));
	assert_null(second);
	store_free(store);
	store_free(opened(*state));
}

static void directories_above_are_made(void **state)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/a/b/c", (char *)*state);
	store_free(opened(path));
}

static void execute(const char *state, const char *text)
{
	char path[600];
	sqlite3 *database;

	snprintf(path, sizeof(path), "%s/functions.db", state);
	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

static void a_newer_version_is_refused(void **state)
{
	struct store *store = opened(*state);
	struct err e;

	store_free(store);
	execute(*state, "PRAGMA user_version = 99");
	assert_int_equal(store_new(*state, &store, &e), -EPROTONOSUPPORT);
	assert_non_null(strstr(e.text, "version 99"));
}

static void overwrite(const char *state, off_t at, const char *text, size_t size)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/functions.db", state);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, size, at), (ssize_t)size);
	close(fd);
}

static void damage_is_noticed(void **state)
{
	struct store *store = opened(*state);
	static char garbage[4096];
	struct err e;

	memset(garbage, 0x5a, sizeof(garbage));
	for (int i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(store_put(store, name, "{\"some\":\"document\"}", "x", &e), 0);
	}
	store_free(store);
	/* A page in the middle, and then the head. */
	overwrite(*state, 4096, garbage, sizeof(garbage));
	assert_int_equal(store_new(*state, &store, &e), -EUCLEAN);
	assert_non_null(strstr(e.text, "functions.db"));
	overwrite(*state, 0, garbage, 100);
	assert_int_equal(store_new(*state, &store, &e), -EUCLEAN);
}

static void a_state_that_is_no_directory_is_refused(void **state)
{
	struct store *store = NULL;
	char path[600];
	struct err e;

	snprintf(path, sizeof(path), "%s/file", (char *)*state);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_true(store_new(path, &store, &e) < 0);
	assert_non_null(strstr(e.text, path));
	assert_true(store_new("/proc/nothing/here", &store, &e) < 0);
	assert_non_null(strstr(e.text, "/proc/nothing"));
}

static int keep_event(void *data, const struct store_event *event)
{
	struct listing *listing = data;
	size_t used = strlen(listing->text);

	snprintf(listing->text + used, sizeof(listing->text) - used, "%s %s %u %.*s %s|",
		event->request_id, event->function, event->attempts, (int)event->payload_size,
		event->payload ? (const char *)event->payload : "",
		event->client_context ? event->client_context : "-");
	return 0;
}

static void assert_events(struct store *store, const char *expected)
{
	struct listing listing = { "" };
	struct err e;

	assert_int_equal(store_event_load(store, keep_event, &listing, &e), 0);
	assert_string_equal(listing.text, expected);
}

static void put_event(struct store *store, const char *id, const char *payload)
{
	struct store_event event = { .request_id = id,
		.function = "f",
		.payload = payload,
		.payload_size = strlen(payload),
		.client_context = "{}",
		.accepted_at = 5 };
	struct err e;

	if (store_event_put(store, &event, &e) < 0)
		fail_msg("%s", e.text);
}

static void events_are_kept_until_they_are_deleted(void **state)
{
	struct store *store = opened(*state);
	struct listing listing = { "" };
	struct err e;

	put_event(store, "z", "{\"a\":1}");
	put_event(store, "a", "");
	assert_int_equal(store_event_set_attempts(store, "z", 2, &e), 0);
	store_free(store);
	store = opened(*state);
	assert_events(store, "z f 2  -|a f 0  -|");
	assert_int_equal(store_event_get(store, "z", keep_event, &listing, &e), 0);
	assert_string_equal(listing.text, "z f 2 {\"a\":1} {}|");
	assert_int_equal(store_event_get(store, "x", keep_event, &listing, &e), -ENOENT);
	assert_int_equal(store_event_delete(store, "z", &e), 0);
	assert_int_equal(store_event_delete(store, "z", &e), 0);
	assert_events(store, "a f 0  -|");
	store_free(store);
}

static void a_transaction_is_all_or_nothing(void **state)
{
	struct store *store = opened(*state);
	struct store_event twice = { .request_id = "a", .function = "f", .payload = "" };
	struct err e;

	assert_int_equal(store_begin(store, &e), 0);
	put_event(store, "a", "1");
	assert_int_equal(store_event_put(store, &twice, &e), -EIO);
	store_rollback(store);
	assert_events(store, "");
	assert_int_equal(store_begin(store, &e), 0);
	put_event(store, "a", "1");
	put_event(store, "b", "2");
	assert_int_equal(store_commit(store, &e), 0);
	store_rollback(store);
	assert_events(store, "a f 0  -|b f 0  -|");
	store_free(store);
}

/* Files cannot grow, as on a full disk: an error, nothing half-stored, and it goes on afterwards.
 */
static void a_full_disk_is_an_error_and_no_more(void **state)
{
	struct store *store = opened(*state);
	static char document[200000];
	struct rlimit before, none;
	struct err e = { 0 };

	memset(document, 'x', sizeof(document) - 1);
	assert_int_equal(store_put(store, "a", "{1}", "c", &e), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = (struct rlimit){ 65536, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_true(store_put(store, "b", document, "c", &e) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(strlen(e.text) > 0);
	assert_functions(store, "a={1} ");
	assert_int_equal(store_put(store, "b", "{2}", "c", &e), 0);
	assert_functions(store, "a={1} b={2} ");
	store_free(store);
}

/* The child counts up in one function and tells of each number that is stored. */
_Noreturn static void count_until_killed(const char *path, uint64_t from, int report)
{
	struct store *store = NULL;
	struct err e;

	if (store_new(path, &store, &e) < 0)
		_exit(2);
	for (uint64_t n = from;; n++) {
		char document[32];

		snprintf(document, sizeof(document), "%llu", (unsigned long long)n);
		if (store_put(store, "counter", document, "c", &e) < 0 ||
			write(report, &n, sizeof(n)) != sizeof(n))
			_exit(3);
	}
}

static int read_counter(void *data, const char *name, const char *document)
{
	assert_string_equal(name, "counter");
	*(uint64_t *)data = strtoull(document, NULL, 10);
	return 0;
}

/* Runs the child for a random time, kills it, and returns the last number that it told of. */
static uint64_t run_and_kill(const char *path, uint64_t from, unsigned microseconds)
{
	int ends[2], status;
	uint64_t told = from - 1, n;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		count_until_killed(path, from, ends[1]);
	close(ends[1]);
	/* From its first number on, so that it is killed in the middle of its work. */
	if (read(ends[0], &n, sizeof(n)) == sizeof(n))
		told = n;
	usleep(microseconds);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(ends[0], &n, sizeof(n)) == sizeof(n))
		told = n;
	close(ends[0]);
	return told;
}

static void killing_it_loses_nothing_that_was_acknowledged(void **state)
{
	uint64_t next = 1;

	srandom(1);
	for (int round = 0; round < 25; round++) {
		uint64_t told = run_and_kill(*state, next, (unsigned)random() % 20000), found = 0;
		struct store *store = opened(*state);
		struct err e;

		assert_int_equal(store_load(store, read_counter, &found, &e), 0);
		/* The last that was told of, or the one that was being stored. */
		if (found != told && found != told + 1)
			fail_msg("round %d: told of %llu, found %llu", round,
				(unsigned long long)told, (unsigned long long)found);
		store_free(store);
		next = found + 1;
	}
	assert_true(next > 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(functions_survive_the_end, make, done),
		cmocka_unit_test_setup_teardown(
			loading_pins_the_code_and_can_be_stopped, make, done),
		cmocka_unit_test_setup_teardown(only_its_owner_can_read_it, make, done),
		cmocka_unit_test_setup_teardown(a_second_one_is_refused, make, done),
		cmocka_unit_test_setup_teardown(directories_above_are_made, make, done),
		cmocka_unit_test_setup_teardown(a_newer_version_is_refused, make, done),
		cmocka_unit_test_setup_teardown(damage_is_noticed, make, done),
		cmocka_unit_test_setup_teardown(
			a_state_that_is_no_directory_is_refused, make, done),
		cmocka_unit_test_setup_teardown(events_are_kept_until_they_are_deleted, make, done),
		cmocka_unit_test_setup_teardown(a_transaction_is_all_or_nothing, make, done),
		cmocka_unit_test_setup_teardown(a_full_disk_is_an_error_and_no_more, make, done),
		cmocka_unit_test_setup_teardown(
			killing_it_loses_nothing_that_was_acknowledged, make, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
