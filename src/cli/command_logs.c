/*
 * command_logs.c - `polyvisor logs NAME`.
 */
#include "cli/commands.h"
#include "cli/outcome.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define FOLLOW_INTERVAL_US (100 * 1000) /* where the supervisor answers an empty part at once */

struct logs_options {
	bool follow;
	uint64_t last;
};

#define VALUE(member) offsetof(struct logs_options, member)

static const struct option_row rows[] = {
	option_flag("follow", 'f', VALUE(follow), "go on with what comes, until interrupted"),
	option_number("last", 'n', "BYTES", VALUE(last), 1, 1 << 30,
		"start with the last so many bytes; with all that is kept if not given"),
	option_end,
};

/* With `wait` the supervisor answers when there is something, or after some seconds. */
static int log_path(
	const char *name, const char *position, uint64_t last, bool wait, struct buffer *path)
{
	buffer_append_string(path, "/polyvisor/logs/");
	client_escape(path, name);
	if (last > 0)
		buffer_printf(path, "?last=%llu", (unsigned long long)last);
	else
		buffer_printf(path, "?position=%s%s", position, wait ? "&wait=1" : "");
	return path->failed ? -ENOMEM : 0;
}

static void print_part(const struct cli *cli, const struct buffer *text, const char *position)
{
	json_t *report;

	if (!cli->options.json) {
		output_foreign(stdout, text->data, text->size);
		return;
	}
	report = json_pack("{s:s,s:o}", "position", position, "text",
		output_json_string(text->data, text->size));
	if (report)
		output_json(stdout, report);
	json_decref(report);
}

/* Prints what is behind `position` and moves it; *ret_more tells whether there was anything. */
static int read_part(struct cli *cli, const char *name, uint64_t last, bool wait,
	char position[static 32], bool *ret_more, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 };
	_cleanup_response_ struct response response = { 0 };
	_cleanup_free_ char *object = NULL;
	struct request request = { .method = "GET" };
	struct client *client;
	const char *next;
	int r = cli_client(cli, &client, e);

	if (r == 0)
		r = log_path(name, position, last, wait, &path);
	if (r == 0 && asprintf(&object, "the log of function %s", name) < 0) {
		object = NULL; /* undefined after a failure */
		r = -ENOMEM;
	}
	if (r != 0)
		return r;
	request.path = path.data;
	request.object = object;
	r = client_send(client, &request, &response, e);
	if (r != 0)
		return r;
	next = client_header(client, "X-Polyvisor-Position");
	if (!next)
		return err_set(e, OUTCOME_SUPERVISOR,
			"%s: the answer has no position; is it a polyvisor supervisor?", object);
	snprintf(position, 32, "%s", next);
	*ret_more = response.body.size > 0;
	if (*ret_more)
		print_part(cli, &response.body, position);
	return 0;
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	const struct logs_options *options = values;
	char position[32] = "0";
	uint64_t last = options->last;
	bool more;
	int r;

	do {
		r = read_part(cli, arguments[0], last, options->follow, position, &more, e);
		last = 0;
		/* A reader that has gone is noticed here; nobody else would end the following. */
		if (r == 0 && fflush(stdout) != 0)
			return errno == EPIPE ? 0
					      : err_errno(e, -errno, "the log cannot be printed");
		if (r == 0 && !more && options->follow)
			usleep(FOLLOW_INTERVAL_US);
	} while (r == 0 && (more || options->follow));
	return r;
}

const struct command command_logs = {
	.name = "logs",
	.arguments = "NAME",
	.summary = "Print what a function has logged",
	.options = rows,
	.values_size = sizeof(struct logs_options),
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
