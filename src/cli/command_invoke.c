/*
 * command_invoke.c - `polyvisor invoke NAME [JSON|@FILE|-]`.
 */
#include "base/base64.h"
#include "base/fd.h"
#include "cli/commands.h"
#include "cli/member.h"
#include "cli/outcome.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVENT_MAX (64UL << 20) /* far more than is accepted: the supervisor says what is */

struct invoke_options {
	bool log, verbose, async;
};

#define VALUE(member) offsetof(struct invoke_options, member)

static const struct option_row rows[] = {
	option_flag(
		"log", 'l', VALUE(log), "print the end of the function's log to standard error"),
	option_flag("verbose", 'v', VALUE(verbose),
		"print start kind and times to standard error, as on a terminal"),
	option_flag("async", 0, VALUE(async), "do not wait for the result"),
	option_end,
};

/* One invocation, from the event to what came back. */
struct call {
	struct cli *cli;
	struct client *client;
	const struct invoke_options *options;
	const char *name;
	struct request request;
	struct response response;
	usec_t took;
};

static int read_all(int fd, const char *what, struct buffer *event, struct err *e)
{
	ssize_t n = 0;

	do {
		char *end = buffer_reserve(event, 64 * 1024);

		if (!end)
			return -ENOMEM;
		n = read(fd, end, 64 * 1024);
		if (n < 0 && errno != EINTR)
			return err_errno(e, -errno, "%s cannot be read", what);
		event->size += (size_t)max_of(n, (ssize_t)0);
		if (event->size > EVENT_MAX)
			return err_set(e, OUTCOME_REFUSED,
				"%s is too large for an event: put it where the function can read "
				"it",
				what);
	} while (n != 0);
	return 0;
}

static int read_event(const char *argument, struct buffer *event, struct err *e)
{
	_cleanup_close_ int fd = -1;

	if (!argument)
		argument = "{}";
	if (strcmp(argument, "-") == 0)
		return read_all(STDIN_FILENO, "standard input", event, e);
	if (argument[0] != '@') {
		buffer_append_string(event, argument);
		return event->failed ? -ENOMEM : 0;
	}
	fd = open(argument + 1, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, -errno, "the event file %s cannot be read", argument + 1);
	return read_all(fd, argument + 1, event, e);
}

static const char *header(const struct call *call, const char *name)
{
	const char *value = client_header(call->client, name);

	return value ? value : "";
}

/* The end of the log, which arrives as base64. */
static int decode_log(const struct call *call, struct buffer *ret)
{
	const char *text = header(call, "X-Amz-Log-Result");
	size_t length = strlen(text), size;
	char *data = buffer_reserve(ret, base64_decoded_max(length));

	if (!data)
		return -ENOMEM;
	if (base64_decode(text, length, data, &size) < 0)
		return OUTCOME_SUPERVISOR;
	ret->size += size;
	return 0;
}

static int print_json(const struct call *call, const struct buffer *log)
{
	const struct buffer *body = &call->response.body;
	const char *text = body->data ? body->data : "", *start = header(call, "X-Polyvisor-Start");
	const char *failed = client_header(call->client, "X-Amz-Function-Error");
	json_t *reply = json_loadb(text, body->size, JSON_DECODE_ANY, NULL);
	_cleanup_json_ json_t *report = json_pack("{s:i,s:s,s:s,s:I,s:I,s:s?}", "status",
		(int)call->response.status, "request_id", header(call, "x-amzn-RequestId"), "start",
		start, "launch_us", (json_int_t)atoll(header(call, "X-Polyvisor-Launch-Us")),
		"took_us", (json_int_t)call->took, "function_error", failed);

	/* A reply that is no JSON is bytes, of which JSON can carry only text. */
	if (!report)
		return -ENOMEM;
	if (reply)
		json_object_set_new(report, "reply", reply);
	else if (body->size > 0 &&
		 json_object_set_new(report, "reply_text", json_stringn(text, body->size)) != 0) {
		_cleanup_buffer_ struct buffer encoded = { 0 };

		buffer_append_base64(&encoded, text, body->size);
		json_object_set_new(
			report, "reply_base64", json_string(encoded.data ? encoded.data : ""));
	}
	if (call->options->log)
		json_object_set_new(
			report, "log", output_json_string(log->data ? log->data : "", log->size));
	output_json(stdout, report);
	return 0;
}

static void print_times(const struct call *call)
{
	char launch[24], took[24];
	const char *start = header(call, "X-Polyvisor-Start");

	if (!call->options->verbose && !output_is_terminal(stderr))
		return;
	output_duration((usec_t)atoll(header(call, "X-Polyvisor-Launch-Us")), launch);
	fprintf(stderr, "%s%s start, launched in %s, answered in %s%s\n",
		output_style(stderr, STYLE_FAINT), *start ? start : "unknown", launch,
		output_duration(call->took, took), output_style(stderr, STYLE_NONE));
}

static void print_reply(const struct call *call, const struct buffer *log)
{
	const struct buffer *body = &call->response.body;

	if (call->options->log && log->size > 0)
		output_foreign(stderr, log->data, log->size);
	if (body->size > 0)
		output_foreign(stdout, body->data, body->size);
	/* Elsewhere the reply is kept byte for byte. */
	if (output_is_terminal(stdout) && body->size > 0 && body->data[body->size - 1] != '\n')
		putchar('\n');
	fflush(stdout);
	if (call->options->async)
		fprintf(stderr, "accepted as request %s\n", header(call, "x-amzn-RequestId"));
	else
		print_times(call);
}

/* The sentence of a function that failed: what the language's runtime said of it. */
static int function_failed(const struct call *call, struct err *e)
{
	const struct buffer *body = &call->response.body;
	_cleanup_json_ json_t *error =
		json_loadb(body->data ? body->data : "", body->size, 0, NULL);
	const char *type = member_text(error, "errorType");
	const char *message = member_text(error, "errorMessage");

	return err_set(e, OUTCOME_FUNCTION_ERROR,
		"function %s failed: %s%s%.300s; `polyvisor logs %s` shows what it printed",
		call->name, type, *type && *message ? ": " : "",
		*type || *message ? message : "it gave no reason", call->name);
}

static int print_result(const struct call *call, struct err *e)
{
	_cleanup_buffer_ struct buffer log = { 0 };
	int r = call->options->log ? decode_log(call, &log) : 0;

	if (r != 0)
		return r;
	if (call->cli->options.json)
		r = print_json(call, &log);
	else
		print_reply(call, &log);
	if (r == 0 && client_header(call->client, "X-Amz-Function-Error"))
		return function_failed(call, e);
	return r;
}

static void set_headers(struct call *call)
{
	size_t n = 0;

	if (call->options->log)
		call->request.headers[n++] = "X-Amz-Log-Type: Tail";
	if (call->options->async)
		call->request.headers[n++] = "X-Amz-Invocation-Type: Event";
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 }, event = { 0 };
	_cleanup_free_ char *object = NULL;
	struct call call = { .cli = cli, .options = values, .name = arguments[0] };
	usec_t start;
	int r = read_event(arguments[1], &event, e);

	if (r == 0)
		r = cli_client(cli, &call.client, e);
	if (r != 0)
		return r;
	cli_function_path(&path, call.name, "/invocations");
	if (path.failed || asprintf(&object, "function %s", call.name) < 0) {
		object = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	call.request = (struct request){ .method = "POST",
		.path = path.data,
		.body = event.data,
		.body_size = event.size,
		.object = object };
	set_headers(&call);
	start = usec_monotonic();
	r = client_send(call.client, &call.request, &call.response, e);
	call.took = usec_monotonic() - start;
	if (r == 0)
		r = print_result(&call, e);
	response_done(&call.response);
	return r;
}

const struct command command_invoke = {
	.name = "invoke",
	.arguments = "NAME [JSON|@FILE|-]",
	.summary = "Run a function and print its reply",
	.details =
		"The event is JSON: as it is, from a file, or from standard input; {} if not "
		"given.\n"
		"Standard output gets the reply and nothing else; the exit code tells whether the\n"
		"function failed (5).",
	.options = rows,
	.values_size = sizeof(struct invoke_options),
	.arguments_min = 1,
	.arguments_max = 2,
	.run = run,
};
