/*
 * command_runtimes.c - `polyvisor runtimes`.
 */
#include "cli/commands.h"
#include "cli/member.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>

static const char *text(const json_t *runtime, const char *member)
{
	const char *value = member_text(runtime, member);

	return *value ? value : "-";
}

static void add_runtime(struct table *table, const json_t *runtime)
{
	bool clone = json_is_true(json_object_get(runtime, "clone"));
	const char *problem = text(runtime, "problem");

	table_add(table, "%s", text(runtime, "name"));
	table_add(table, "%s", text(runtime, "version"));
	table_add(table, "%s", text(runtime, "identifier"));
	table_add(table, "%s", clone ? "yes" : "no");
	table_add(table, "%s", text(runtime, "interpreter"));
	table_add(table, "%s", problem);
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	static const char *const headings[] = { "NAME", "VERSION", "IDENTIFIER", "CLONES",
		"INTERPRETER", "PROBLEM" };
	_cleanup_table_ struct table table = TABLE_INIT(headings);
	_cleanup_json_ json_t *runtimes = NULL;
	_cleanup_json_ json_t *report = NULL;
	json_t *runtime;
	size_t i;
	int r = cli_get_runtimes(cli, &runtimes, e);

	(void)values;
	(void)arguments;
	if (r != 0)
		return r;
	if (cli->options.json) {
		report = json_pack("{s:O}", "runtimes", runtimes);
		output_json(stdout, report);
		return 0;
	}
	json_array_foreach(runtimes, i, runtime)
	{
		add_runtime(&table, runtime);
	}
	return table_print(&table, stdout);
}

const struct command command_runtimes = {
	.name = "runtimes",
	.arguments = "",
	.summary = "List the language runtimes, their versions, and whether they can be cloned",
	.run = run,
};
