/*
 * command_list.c - `polyvisor list`.
 */
#include "cli/commands.h"
#include "cli/member.h"
#include "cli/outcome.h"
#include "cli/output.h"
#include "cli/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Appends one page to `all`; *marker, malloc'd, is where the next begins, NULL at the end. */
static int read_page(struct cli *cli, char **marker, json_t *all, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 };
	_cleanup_json_ json_t *page = NULL;
	const char *next;
	int r;

	buffer_append_string(&path, API_FUNCTIONS "/");
	if (*marker) {
		buffer_append_string(&path, "?Marker=");
		client_escape(&path, *marker);
	}
	free(take_ptr(*marker));
	if (path.failed)
		return -ENOMEM;
	r = cli_get_json(cli, path.data, "the list of functions", &page, e);
	if (r != 0)
		return r;
	if (json_array_extend(all, json_object_get(page, "Functions")) != 0)
		return err_set(e, OUTCOME_SUPERVISOR,
			"the list of functions: the answer holds none; is it a polyvisor "
			"supervisor?");
	next = json_string_value(json_object_get(page, "NextMarker"));
	*marker = next && *next ? strdup(next) : NULL;
	return 0;
}

static int print_functions(const json_t *all)
{
	static const char *const headings[] = { "NAME", "RUNTIME", "HANDLER", ">MEMORY", ">TIMEOUT",
		"MODIFIED" };
	_cleanup_table_ struct table table = TABLE_INIT(headings);
	json_t *function;
	size_t i;

	json_array_foreach(all, i, function)
	{
		table_add(&table, "%s", member_text(function, "FunctionName"));
		table_add(&table, "%s", member_text(function, "Runtime"));
		table_add(&table, "%s", member_text(function, "Handler"));
		table_add(&table, "%lld MB", member_number(function, "MemorySize"));
		table_add(&table, "%lld s", member_number(function, "Timeout"));
		table_add(&table, "%.19s", member_text(function, "LastModified"));
	}
	if (json_array_size(all) > 0)
		return table_print(&table, stdout);
	if (output_is_terminal(stdout))
		puts("there are no functions yet: `polyvisor deploy PATH` makes one");
	return 0;
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	_cleanup_json_ json_t *all = json_array();
	_cleanup_json_ json_t *report = NULL;
	char *marker = NULL;
	int r;

	(void)values;
	(void)arguments;
	do {
		r = read_page(cli, &marker, all, e);
	} while (r == 0 && marker);
	free(marker);
	if (r != 0)
		return r;
	if (!cli->options.json)
		return print_functions(all);
	report = json_pack("{s:O}", "functions", all);
	output_json(stdout, report);
	return 0;
}

const struct command command_list = {
	.name = "list",
	.arguments = "",
	.summary = "List the functions",
	.run = run,
};
