/*
 * command_stats.c - `polyvisor stats`.
 */
#include "cli/commands.h"
#include "cli/member.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>

static void add_function(struct table *table, const json_t *f)
{
	const json_t *isolates = json_object_get(f, "isolates");
	char launch[24];

	table_add(table, "%s", member_text(f, "name"));
	table_add(table, "%lld", member_number(f, "invocations"));
	table_add(table, "%lld", member_number(f, "errors"));
	table_add(table, "%lld", member_number(f, "throttles"));
	table_add(table, "%lld", member_number(f, "timeouts"));
	table_add(table, "%.3f", json_number_value(json_object_get(f, "gb_seconds")));
	table_add(table, "%lld", member_number(isolates, "busy"));
	table_add(table, "%lld", member_number(isolates, "idle"));
	table_add(table, "%lld", member_number(f, "waiting"));
	table_add(table, "%lld", member_number(f, "launches"));
	table_add(table, "%s",
		member_number(f, "launches") > 0
			? output_duration((usec_t)member_number(f, "last_launch_us"), launch)
			: "-");
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	static const char *const headings[] = { "FUNCTION", ">CALLS", ">ERRORS", ">THROTTLED",
		">TIMEOUTS", ">GB-S", ">BUSY", ">IDLE", ">WAITING", ">LAUNCHES", ">LAST LAUNCH" };
	_cleanup_table_ struct table table = TABLE_INIT(headings);
	_cleanup_json_ json_t *stats = NULL;
	json_t *function;
	size_t i;
	int r = cli_get_json(cli, "/polyvisor/stats", "the statistics", &stats, e);

	(void)values;
	(void)arguments;
	if (r != 0)
		return r;
	if (cli->options.json) {
		output_json(stdout, stats);
		return 0;
	}
	json_array_foreach(json_object_get(stats, "functions"), i, function)
	{
		add_function(&table, function);
	}
	return table_print(&table, stdout);
}

const struct command command_stats = {
	.name = "stats",
	.arguments = "",
	.summary = "Print what the functions have done and have running",
	.run = run,
};
