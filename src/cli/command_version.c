/*
 * command_version.c - `polyvisor version`.
 */
#include "cli/commands.h"
#include "cli/output.h"

#include <stdio.h>

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	json_t *version;

	(void)values;
	(void)arguments;
	(void)e;
	if (!cli->options.json) {
		puts("polyvisor " POLYVISOR_VERSION);
		return 0;
	}
	version = json_pack("{s:s}", "version", POLYVISOR_VERSION);
	output_json(stdout, version);
	json_decref(version);
	return 0;
}

const struct command command_version = {
	.name = "version",
	.arguments = "",
	.summary = "Print the version of this program",
	.run = run,
};
