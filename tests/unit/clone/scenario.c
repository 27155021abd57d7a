/*
 * scenario.c - running scenarios of the clone library, and what they have in common.
 */
#include "clone/scenario.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

#define SCENARIO_LIMIT_MS 40000
#define CLONE_DONE 7 /* not what a process ends with by accident */

static char notes[16][ERR_TEXT_MAX];
static size_t note_count;

_Noreturn void scenario_fail(
	const char *file, int line, const char *condition, const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	dprintf(2, "%s:%d: not so: %s%s (errno %d, process %d)\n", file, line, condition, text,
		errno, getpid());
	_exit(1);
}

/* Kills what a scenario left behind: its process group, which has its PID as number. */
static void group_kill(pid_t group)
{
	assert_true(group > 1);
	kill(-group, SIGKILL);
	while (waitpid(-group, NULL, 0) > 0)
		continue;
}

static int process_await(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = -1;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (poll(&p, 1, SCENARIO_LIMIT_MS) == 1)
		waitpid(pid, &status, 0);
	close(pidfd);
	return status;
}

static void scenario_test(void **state)
{
	const struct scenario *scenario = *state;
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setpgid(0, 0);
		close_range(3, ~0U, 0); /* a scenario counts on the numbers it gets */
		scenario->run();
		_exit(0);
	}
	setpgid(pid, pid);
	status = process_await(pid);
	group_kill(pid);
	if (status == -1)
		fail_msg("%s did not end within %d seconds", scenario->name,
			SCENARIO_LIMIT_MS / 1000);
	if (status != 0)
		fail_msg("%s ended with status %#x", scenario->name, (unsigned)status);
}

int scenario_run_all(const struct scenario *scenarios, size_t count)
{
	struct CMUnitTest tests[64] = { 0 };
	const char *only = getenv("SCENARIO");
	size_t used = 0;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (size_t i = 0; i < count && used < 64; i++) {
		if (only && strcmp(only, scenarios[i].name) != 0)
			continue;
		tests[used++] = (struct CMUnitTest){
			.name = scenarios[i].name,
			.test_func = scenario_test,
			.initial_state = (void *)&scenarios[i],
		};
	}
	return _cmocka_run_group_tests("clone", tests, used, NULL, NULL);
}

static void note_keep(void *data, const char *sentence)
{
	(void)data;
	if (note_count < 16)
		strncpy(notes[note_count++], sentence, ERR_TEXT_MAX - 1);
}

bool scenario_noted(const char *part_of_sentence)
{
	for (size_t i = 0; i < note_count; i++)
		if (strstr(notes[i], part_of_sentence))
			return true;
	return false;
}

void scenario_forget_notes(void)
{
	memset(notes, 0, sizeof(notes));
	note_count = 0;
}

struct clone_template *template_park_ignoring(const int *fds, size_t count)
{
	struct clone_options options = {
		.note = note_keep,
		.park_deadline = 10 * USEC_PER_SEC,
		.ignored_fds = fds,
		.ignored_count = count,
	};
	struct clone_template *t = NULL;
	struct err e = { 0 };

	CHECK(clone_park(&t, &options, &e) == 0, "%s", e.text);
	return t;
}

struct clone_template *template_park(void)
{
	return template_park_ignoring(NULL, 0);
}

pid_t template_clone(struct clone_template *t)
{
	const struct clone_request request = { .exit_signal = SIGCHLD, .cgroup_fd = -1 };
	int failed = -1, r;
	pid_t pid = 0;

	r = clone_fork(t, &request, &pid);
	if (r == 0)
		return pid;
	CHECK(r == CLONE_CHILD, "%d", r);
	r = clone_remake_descriptors(t, NULL, 0, &failed);
	CHECK(r == 0, "%d on descriptor %d", r, failed);
	CHECK(clone_resume(t) == 0);
	return 0;
}

_Noreturn void clone_done(void)
{
	_exit(CLONE_DONE);
}

void clone_expect_done(pid_t pid)
{
	int status = -1;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CLONE_DONE, "status %#x", status);
}

void check_in_clone_and_template(void (*check)(void))
{
	struct clone_template *t = template_park();
	pid_t pid = template_clone(t);

	if (pid == 0) {
		check();
		clone_done();
	}
	clone_expect_done(pid);
	clone_release(t);
	check();
}

pthread_t thread_start(void *(*run)(void *), void *data)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, run, data) == 0);
	return thread;
}

void thread_join_expect(pthread_t thread, void *value)
{
	void *result = NULL;
	int r = pthread_join(thread, &result);

	CHECK(r == 0, "%s", strerror(r));
	CHECK(result == value, "%p", result);
}

static char thread_state(pid_t tid)
{
	char path[64], text[512] = "";
	FILE *file;
	const char *end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	CHECK(file != NULL);
	CHECK(fgets(text, sizeof(text), file) != NULL);
	fclose(file);
	end = strrchr(text, ')');
	return end ? end[2] : '?';
}

void thread_await_blocked(pid_t tid)
{
	for (int asleep = 0; asleep < 3; usleep(500))
		asleep = thread_state(tid) == 'S' ? asleep + 1 : 0;
}

void counter_await(const int *counter, int value)
{
	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < value)
		usleep(100);
}

int count_entries(const char *directory)
{
	DIR *d = opendir(directory);
	int count = 0;

	CHECK(d != NULL);
	for (struct dirent *entry; (entry = readdir(d));)
		count += entry->d_name[0] != '.';
	closedir(d);
	return count;
}

size_t count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	size_t count = 0;

	CHECK(file != NULL);
	for (int c; (c = fgetc(file)) != EOF;)
		count += c == '\n';
	fclose(file);
	return count;
}

size_t memory_kb(const char *key)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	size_t value = 0;

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoul(line + strlen(key), NULL, 10);
	fclose(file);
	return value;
}
