/*
 * test_guest_channel.c - the guest library as an adapter that was started by exec sees it: the test
 * is the supervisor at the other end of the channel.
 *
 * What needs clones is tested with real runtimes, in tests/system/test_adapter_*.py.
 */
#include "polyvisor.h"

#include "base/fd.h"
#include "wire/settings.h"
#include "wire/wire.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A process becomes one function, and its environment is then the process's; here it becomes many.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:environment_apply\nleak:environment_install";
}

#define LARGE (6 * 1024 * 1024)
#define PIECES ((size_t)200000)

struct end {
	int socket; /* the supervisor's */
	pv_handle *pv;
	unsigned char frame[WIRE_CONTROL_MAX];
	struct wire_header header;
	char *payload; /* of the last frame received */
	size_t payload_size;
};

static void send_frame(struct end *end, struct wire_writer *w, const void *payload, size_t size)
{
	size_t head;

	assert_int_equal(wire_end(w, size, &head), 0);
	assert_int_equal(fd_write_all(end->socket, w->data, head), 0);
	assert_int_equal(fd_write_all(end->socket, payload, size), 0);
}

static void receive_frame(struct end *end, enum wire_type type)
{
	const size_t head = WIRE_HEADER_SIZE;

	assert_int_equal(fd_read_exactly(end->socket, end->frame, head), 0);
	assert_int_equal(wire_decode_header(end->frame, &end->header), 0);
	assert_int_equal(end->header.type, type);
	assert_int_equal(fd_read_exactly(end->socket, end->frame, end->header.fields_size), 0);
	assert_int_equal(wire_check_fields(end->frame, end->header.fields_size), 0);
	free(end->payload);
	end->payload_size = end->header.size - end->header.fields_size;
	end->payload = malloc(end->payload_size + 1);
	assert_non_null(end->payload);
	assert_int_equal(fd_read_exactly(end->socket, end->payload, end->payload_size), 0);
	end->payload[end->payload_size] = '\0';
}

static const char *field(struct end *end, enum wire_key key)
{
	return wire_find(end->frame, end->header.fields_size, key);
}

static void send_become(struct end *end)
{
	struct wire_writer w;

	wire_begin(&w, end->frame, sizeof(end->frame), WIRE_BECOME, 1);
	wire_put(&w, WIRE_NAME, "hello");
	wire_put(&w, WIRE_HANDLER, "app.handler");
	wire_put(&w, WIRE_TASK_ROOT, "/");
	wire_put_pair(&w, WIRE_ENVIRONMENT, "MINE", "a=b");
	wire_put_pair(&w, WIRE_ENVIRONMENT, "TZ", "UTC+3");
	wire_put(&w, WIRE_ENVIRONMENT, "no name");
	wire_put_pair(&w, WIRE_SETTING, SETTING_NAMESPACES, "0");
	wire_put_pair(&w, WIRE_SETTING, SETTING_REPLY_BYTES, "6291456");
	wire_put_pair(&w, WIRE_SETTING, SETTING_RUNTIME, "python3.11");
	wire_put_pair(&w, WIRE_SETTING, "version-of-mine", "5");
	wire_put(&w, WIRE_WARMUP, "{}");
	wire_put(&w, WIRE_WARMUP, "[1]");
	send_frame(end, &w, NULL, 0);
}

static void send_event(struct end *end, uint32_t sequence, const void *event, size_t size)
{
	struct wire_writer w;

	wire_begin(&w, end->frame, sizeof(end->frame), WIRE_EVENT, sequence);
	wire_put(&w, WIRE_REQUEST_ID, "id");
	wire_put_number(&w, WIRE_DEADLINE_MS, 17);
	send_frame(end, &w, event, size);
}

static int set_up(void **state)
{
	struct end *end = calloc(1, sizeof(*end));
	char number[16];
	int ends[2];

	assert_non_null(end);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	snprintf(number, sizeof(number), "%d", ends[1]);
	setenv("POLYVISOR_FD", number, 1);
	setenv("POLYVISOR_ROLE", "exec", 1);
	end->socket = ends[0];
	assert_int_equal(pv_open(&end->pv), 0);
	receive_frame(end, WIRE_HELLO);
	send_become(end);
	*state = end;
	return 0;
}

static int set_up_isolate(void **state)
{
	struct end *end;

	set_up(state);
	end = *state;
	assert_int_equal(pv_template(end->pv), 0);
	assert_int_equal(pv_template(end->pv), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct end *end = *state;

	pv_close(end->pv);
	fd_close(end->socket);
	free(end->payload);
	free(end);
	return 0;
}

static void test_open_without_supervisor(void **state)
{
	pv_handle *pv = NULL;
	int ends[2];

	(void)state;
	unsetenv("POLYVISOR_FD");
	assert_int_equal(pv_open(&pv), -ENOTCONN);
	setenv("POLYVISOR_ROLE", "template", 1);
	for (size_t i = 0; i < 4; i++) {
		static const char *const bad[] = { "", "x", "1", "99999" };

		setenv("POLYVISOR_FD", bad[i], 1);
		assert_int_equal(pv_open(&pv), -ENOTCONN);
	}
	/* A template's socket is one of messages. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_true(ends[0] < 10);
	setenv("POLYVISOR_FD", (char[]){ (char)('0' + ends[0]), '\0' }, 1);
	assert_int_equal(pv_open(&pv), -ENOTCONN);
	assert_null(pv);
	close(ends[0]);
	close(ends[1]);
}

static void test_no_call_takes_null_badly(void **state)
{
	(void)state;
	assert_int_equal(pv_api_version(), PV_API_VERSION);
	assert_int_equal(pv_open(NULL), -EINVAL);
	assert_int_equal(pv_template(NULL), -EINVAL);
	assert_int_equal(pv_next(NULL, NULL, NULL), -EINVAL);
	assert_int_equal(pv_reply(NULL, NULL, 0, NULL), -EINVAL);
	assert_int_equal(pv_reply_part(NULL, NULL, 0, NULL), -EINVAL);
	assert_int_equal(pv_fail(NULL, NULL, NULL, 0), -EINVAL);
	assert_int_equal(pv_init_failed(NULL, NULL, NULL, 0), -EINVAL);
	assert_int_equal(pv_note(NULL, NULL), -EINVAL);
	assert_int_equal(pv_warmup(NULL, 0, NULL, NULL), -EINVAL);
	assert_int_equal(pv_reap(NULL, NULL, 0), -EINVAL);
	assert_int_equal(pv_set_runtime_version(NULL, NULL), -EINVAL);
	assert_int_equal(pv_is_clone(NULL), 0);
	assert_null(pv_function(NULL, NULL));
	assert_null(pv_invocation(NULL, NULL));
	assert_null(pv_environment(NULL, 0));
	assert_non_null(pv_last_error(NULL));
	pv_close(NULL);
}

static void test_order_of_calls(void **state)
{
	struct end *end = *state;
	const void *event;
	size_t size;

	assert_null(pv_function(end->pv, "name"));
	assert_int_equal(pv_next(end->pv, &event, &size), -EINVAL);
	assert_non_null(strstr(pv_last_error(end->pv), "no isolate"));
	assert_int_equal(pv_reply(end->pv, "1", 1, NULL), -EINVAL);
	assert_int_equal(pv_template(end->pv), 0);
	assert_int_equal(pv_next(end->pv, &event, &size), -EINVAL);
	assert_int_equal(pv_template(end->pv), 0);
	assert_int_equal(pv_template(end->pv), -EINVAL);
	assert_int_equal(pv_is_clone(end->pv), 0);
	send_event(end, 1, "{}", 2);
	assert_int_equal(pv_next(end->pv, &event, &size), 0);
	assert_int_equal(pv_next(end->pv, &event, &size), -EINVAL);
	assert_non_null(strstr(pv_last_error(end->pv), "has not been answered"));
}

static void test_function_attributes(void **state)
{
	struct end *end = *state;
	const void *event;
	size_t size;

	assert_string_equal(pv_function(end->pv, "name"), "hello");
	assert_string_equal(pv_function(end->pv, "handler"), "app.handler");
	assert_string_equal(pv_function(end->pv, "task_root"), "/");
	assert_string_equal(pv_function(end->pv, "memory_mb"), "128");
	assert_string_equal(pv_function(end->pv, "version"), "$LATEST");
	assert_string_equal(pv_function(end->pv, "log_group"), "/aws/lambda/hello");
	assert_string_equal(pv_function(end->pv, "version-of-mine"), "5");
	assert_null(pv_function(end->pv, "nothing"));
	assert_int_equal(pv_warmup(end->pv, 1, &event, &size), 0);
	assert_int_equal(size, 3);
	assert_memory_equal(event, "[1]", 3);
	assert_int_equal(pv_warmup(end->pv, 2, &event, &size), -ENOENT);
}

static const char *environment_find(pv_handle *pv, const char *name)
{
	size_t length = strlen(name);
	const char *pair, *found = NULL;

	for (size_t i = 0; (pair = pv_environment(pv, i)); i++)
		if (strncmp(pair, name, length) == 0 && pair[length] == '=') {
			assert_null(found);
			found = pair + length + 1;
		}
	return found;
}

static void test_environment(void **state)
{
	static const char *const expected[][2] = { { "MINE", "a=b" }, { "TZ", "UTC+3" },
		{ "_HANDLER", "app.handler" }, { "LAMBDA_TASK_ROOT", "/" },
		{ "AWS_LAMBDA_FUNCTION_NAME", "hello" },
		{ "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128" },
		{ "AWS_EXECUTION_ENV", "AWS_Lambda_python3.11" }, { "HOME", "/tmp" },
		{ "AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand" } };
	struct end *end = *state;

	setenv("OF_THE_TEMPLATE", "1", 1);
	assert_int_equal(pv_template(end->pv), 0);
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		assert_string_equal(environment_find(end->pv, expected[i][0]), expected[i][1]);
		assert_string_equal(getenv(expected[i][0]), expected[i][1]);
	}
	assert_null(getenv("OF_THE_TEMPLATE"));
	assert_null(getenv("POLYVISOR_FD"));
	assert_int_equal(localtime(&(time_t){ 0 })->tm_hour, 21);
	/* Adapters clear the environment of their language and then ask for the function's. */
	assert_int_equal(unsetenv("HOME"), 0);
	assert_string_equal(environment_find(end->pv, "HOME"), "/tmp");
	assert_int_equal(setenv("MORE", "1", 1), 0);
	assert_string_equal(getenv("MORE"), "1");
}

static void test_event_and_reply(void **state)
{
	struct end *end = *state;
	const void *event;
	size_t size;

	for (uint32_t i = 1; i <= 3; i++) {
		send_event(end, i, "\"x\"", 3);
		assert_int_equal(pv_next(end->pv, &event, &size), 0);
		if (i == 1)
			receive_frame(end, WIRE_IDLE);
		assert_int_equal(size, 3);
		assert_string_equal(event, "\"x\"");
		assert_string_equal(pv_invocation(end->pv, "request_id"), "id");
		assert_string_equal(pv_invocation(end->pv, "deadline_ms"), "17");
		assert_string_equal(pv_invocation(end->pv, "arn"), "");
		assert_null(pv_invocation(end->pv, "trace_id"));
		assert_int_equal(pv_reply(end->pv, "[]", 2, i == 2 ? "text/x" : NULL), 0);
		receive_frame(end, WIRE_REPLY);
		assert_int_equal(end->header.sequence, i);
		assert_string_equal(end->payload, "[]");
		assert_int_equal(!field(end, WIRE_CONTENT_TYPE), i != 2);
		assert_true(atoi(field(end, WIRE_MEMORY_KB)) > 500);
	}
	assert_int_equal(pv_reply(end->pv, "", 0, NULL), -EINVAL);
}

static void test_failure(void **state)
{
	struct end *end = *state;
	char type[1000];
	const void *event;
	size_t size;

	memset(type, 'T', sizeof(type));
	type[sizeof(type) - 1] = '\0';
	send_event(end, 9, "", 0);
	assert_int_equal(pv_next(end->pv, &event, &size), 0);
	assert_int_equal(size, 0);
	receive_frame(end, WIRE_IDLE);
	assert_int_equal(pv_fail(end->pv, type, "{\"a\":1}", 7), 0);
	receive_frame(end, WIRE_FAIL);
	assert_int_equal(strlen(field(end, WIRE_ERROR_TYPE)), 127);
	assert_string_equal(end->payload, "{\"a\":1}");
}

static void *write_large(void *data)
{
	struct end *end = data;
	char *event = calloc(1, LARGE);

	send_event(end, 4, event, LARGE);
	free(event);
	receive_frame(end, WIRE_IDLE);
	receive_frame(end, WIRE_REPLY);
	return NULL;
}

static void handle_nothing(int number)
{
	(void)number;
}

/* Both ways do not fit the socket, and signals arrive all the time. */
static void test_large_event_and_reply(void **state)
{
	struct sigaction action = { .sa_handler = handle_nothing };
	struct itimerspec often = { { 0, 500000 }, { 0, 500000 } };
	struct end *end = *state;
	const void *event;
	pthread_t thread;
	timer_t timer;
	size_t size;

	sigaction(SIGALRM, &action, NULL);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	assert_int_equal(pthread_create(&thread, NULL, write_large, end), 0);
	timer_settime(timer, 0, &often, NULL);
	assert_int_equal(pv_next(end->pv, &event, &size), 0);
	assert_int_equal(size, LARGE);
	assert_int_equal(pv_reply(end->pv, event, LARGE + 1, NULL), PV_TOO_LARGE);
	assert_int_equal(pv_reply(end->pv, event, size, NULL), 0);
	timer_delete(timer);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(end->payload_size, LARGE);
	send_event(end, 5, "1", 1);
	assert_int_equal(pv_next(end->pv, &event, &size), 0);
	assert_string_equal(event, "1");
}

static void *write_in_pieces(void *data)
{
	static const size_t cuts[] = { 5, 40, 70000 };
	struct end *end = data;
	char *frame = malloc(PIECES + 4096), *at = frame;
	struct wire_writer w;
	size_t head;

	assert_non_null(frame);
	wire_begin(&w, frame, 4096, WIRE_EVENT, 7);
	wire_put(&w, WIRE_REQUEST_ID, "id");
	assert_int_equal(wire_end(&w, PIECES, &head), 0);
	for (size_t i = 0; i < PIECES; i++)
		frame[head + i] = (char)(i * 31 >> 3);
	for (size_t i = 0; i < array_size(cuts); i++) {
		assert_int_equal(fd_write_all(end->socket, at, cuts[i]), 0);
		at += cuts[i];
		usleep(20000);
	}
	assert_int_equal(fd_write_all(end->socket, at, head + PIECES - (size_t)(at - frame)), 0);
	free(frame);
	return NULL;
}

/* In the head, in the fields, and past the memory that there was before the head came. */
static void test_event_in_pieces(void **state)
{
	struct end *end = *state;
	const void *event;
	const char *byte;
	pthread_t thread;
	size_t size;

	assert_int_equal(pthread_create(&thread, NULL, write_in_pieces, end), 0);
	assert_int_equal(pv_next(end->pv, &event, &size), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(size, PIECES);
	assert_string_equal(pv_invocation(end->pv, "request_id"), "id");
	byte = event;
	for (size_t i = 0; i < PIECES; i++)
		assert_int_equal(byte[i], (char)(i * 31 >> 3));
}

static void test_more_than_an_event(void **state)
{
	unsigned char both[2 * WIRE_HEADER_SIZE];
	struct end *end = *state;
	struct wire_writer w;
	const void *event;
	size_t size;

	wire_begin(&w, both, sizeof(both), WIRE_EVENT, 8);
	assert_int_equal(wire_end(&w, 0, &size), 0);
	memcpy(both + size, both, size);
	assert_int_equal(fd_write_all(end->socket, both, 2 * size), 0);
	assert_int_equal(pv_next(end->pv, &event, &size), -EBADMSG);
}

static void test_parts(void **state)
{
	struct end *end = *state;
	const void *event;
	size_t size;

	send_event(end, 6, "1", 1);
	assert_int_equal(pv_next(end->pv, &event, &size), 0);
	receive_frame(end, WIRE_IDLE);
	assert_int_equal(pv_reply_part(end->pv, "ab", 2, "text/plain"), 0);
	assert_int_equal(pv_reply_part(end->pv, "c", 1, NULL), 0);
	receive_frame(end, WIRE_PART);
	assert_string_equal(end->payload, "ab");
	assert_string_equal(field(end, WIRE_CONTENT_TYPE), "text/plain");
	receive_frame(end, WIRE_PART);
	/* Without "stream" the supervisor keeps it whole, so the limit is for all of it. */
	assert_int_equal(pv_reply(end->pv, "x", LARGE - 2, NULL), PV_TOO_LARGE);
	assert_int_equal(pv_reply(end->pv, "d", 1, NULL), 0);
	receive_frame(end, WIRE_REPLY);
	assert_string_equal(field(end, WIRE_PART_COUNT), "2");
}

static void test_closed(void **state)
{
	struct end *end = *state;
	const void *event;
	size_t size;

	assert_int_equal(shutdown(end->socket, SHUT_RDWR), 0);
	assert_int_equal(pv_next(end->pv, &event, &size), PV_CLOSED);
}

static void test_garbage(void **state)
{
	struct end *end = *state;
	const void *event;
	size_t size;

	assert_int_equal(fd_write_all(end->socket, "0123456789abcdef", 16), 0);
	assert_int_equal(pv_next(end->pv, &event, &size), -EBADMSG);
	assert_non_null(strstr(pv_last_error(end->pv), "could not be read"));
}

static void test_notes_are_cut_between_characters(void **state)
{
	static char text[3 * 4000 + 2];
	struct end *end = *state;
	const char *got;

	text[0] = '.';
	for (size_t i = 0; i < 4000; i++)
		memcpy(text + 1 + 3 * i, "\xe2\x82\xac", 3);
	assert_int_equal(pv_note(end->pv, text), 0);
	receive_frame(end, WIRE_NOTE);
	got = field(end, WIRE_MESSAGE);
	assert_int_equal(strlen(got) % 3, 1);
	assert_true(strlen(got) > 7000 && strlen(got) <= 8000);
	assert_memory_equal(got, text, strlen(got));
}

static void test_init_error_that_is_too_large(void **state)
{
	struct end *end = *state;
	char *json = calloc(1, LARGE);

	assert_non_null(json);
	memset(json, 'x', LARGE - 1);
	assert_int_equal(pv_init_failed(end->pv, "A\"B", json, LARGE - 1), 0);
	receive_frame(end, WIRE_INIT_FAILED);
	assert_string_equal(field(end, WIRE_ERROR_TYPE), "A\"B");
	assert_non_null(strstr(field(end, WIRE_MESSAGE), "\"errorType\":\"A\\\"B\""));
	assert_int_equal(pv_init_failed(end->pv, "T", "{}", 2), 0);
	receive_frame(end, WIRE_INIT_FAILED);
	assert_string_equal(field(end, WIRE_MESSAGE), "{}");
	free(json);
}

static pid_t child_that_ends(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(5);
	assert_true(pid > 0);
	return pid;
}

static bool is_gone(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static void test_reap(void **state)
{
	pid_t running, known[2], unknown[3];
	struct end *end = *state;
	siginfo_t info;

	assert_int_equal(pv_reap(end->pv, NULL, 0), 0);
	running = fork();
	if (running == 0)
		for (;;)
			pause();
	assert_true(running > 1);
	/* Known ones first and last, so that they are met before others and after. */
	known[0] = child_that_ends();
	for (size_t i = 0; i < 3; i++)
		unknown[i] = child_that_ends();
	known[1] = child_that_ends();
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(waitid(P_PID, (id_t)unknown[i], &info, WEXITED | WNOWAIT), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(waitid(P_PID, (id_t)known[i], &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(pv_reap(end->pv, known, 2), 0);
	for (size_t i = 0; i < 3; i++)
		assert_true(is_gone(unknown[i]));
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(waitid(P_PID, (id_t)known[i], &info, WEXITED), 0);
		assert_int_equal(info.si_status, 5);
	}
	assert_false(is_gone(running));
	assert_int_equal(kill(running, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)running, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(pv_reap(end->pv, NULL, 0), 0);
	assert_true(is_gone(running));
}

static void test_random(void **state)
{
	unsigned char a[600] = { 0 }, b[600] = { 0 };

	(void)state;
	assert_int_equal(pv_random(a, sizeof(a)), 0);
	assert_int_equal(pv_random(b, sizeof(b)), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(pv_random(NULL, 0), 0);
	assert_int_equal(pv_random(NULL, 1), -EINVAL);
}

#define isolate_test(f) cmocka_unit_test_setup_teardown(f, set_up_isolate, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_without_supervisor),
		cmocka_unit_test(test_no_call_takes_null_badly),
		cmocka_unit_test(test_random),
		cmocka_unit_test_setup_teardown(test_order_of_calls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_environment, set_up, tear_down),
		isolate_test(test_function_attributes),
		isolate_test(test_event_and_reply),
		isolate_test(test_failure),
		isolate_test(test_large_event_and_reply),
		isolate_test(test_event_in_pieces),
		isolate_test(test_more_than_an_event),
		isolate_test(test_parts),
		isolate_test(test_closed),
		isolate_test(test_garbage),
		isolate_test(test_notes_are_cut_between_characters),
		isolate_test(test_init_error_that_is_too_large),
		isolate_test(test_reap),
	};

	/* Not by its variable, which the environment of a function replaces. */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	/* A test that hangs ends; a child that is left is ended with the test. */
	alarm(60);
	return cmocka_run_group_tests_name("guest_channel", tests, NULL, NULL);
}
