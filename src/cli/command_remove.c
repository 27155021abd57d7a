/*
 * command_remove.c - `polyvisor remove NAME`.
 */
#include "cli/commands.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 };
	_cleanup_response_ struct response response = { 0 };
	_cleanup_free_ char *object = NULL;
	struct request request = { .method = "DELETE" };
	struct client *client;
	int r = cli_client(cli, &client, e);

	(void)values;
	if (r != 0)
		return r;
	cli_function_path(&path, arguments[0], "");
	if (path.failed || asprintf(&object, "function %s", arguments[0]) < 0) {
		object = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	request.path = path.data;
	request.object = object;
	r = client_send(client, &request, &response, e);
	if (r == 0 && cli->options.json) {
		json_t *report = json_pack("{s:s}", "removed", arguments[0]);

		output_json(stdout, report);
		json_decref(report);
	} else if (r == 0) {
		printf("removed %s\n", arguments[0]);
	}
	return r;
}

const struct command command_remove = {
	.name = "remove",
	.arguments = "NAME",
	.summary = "Remove a function, ending what it has running",
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
