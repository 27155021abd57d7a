/*
 * command_show.c - `polyvisor show NAME`.
 */
#include "cli/commands.h"
#include "cli/member.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void print_line(const char *label, const char *value)
{
	printf("  %-12s ", label);
	output_foreign(stdout, value, strlen(value));
	putchar('\n');
}

static void print_number(const char *label, long long value, const char *unit)
{
	printf("  %-12s %lld%s%s\n", label, value, *unit ? " " : "", unit);
}

/* The members of an object, one line each. */
static void print_members(const char *label, const json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
	{
		_cleanup_buffer_ struct buffer b = { 0 };

		if (json_is_integer(value))
			buffer_printf(&b, "%s=%lld", name, (long long)json_integer_value(value));
		else if (json_is_string(value))
			buffer_printf(&b, "%s=%s", name, json_string_value(value));
		else
			continue;
		if (!b.failed)
			print_line(label, b.data);
		label = "";
	}
}

static void print_function(const json_t *answer)
{
	const json_t *c = json_object_get(answer, "Configuration");
	const json_t *environment = json_object_get(c, "Environment");
	char size[24];

	printf("%s%s%s\n", output_style(stdout, STYLE_STRONG), member_text(c, "FunctionName"),
		output_style(stdout, STYLE_NONE));
	print_line("runtime", member_text(c, "Runtime"));
	print_line("handler", member_text(c, "Handler"));
	if (*member_text(c, "Description"))
		print_line("description", member_text(c, "Description"));
	print_number("memory", member_number(c, "MemorySize"), "MB");
	print_number("timeout", member_number(c, "Timeout"), "s");
	print_number("tmp", member_number(json_object_get(c, "EphemeralStorage"), "Size"), "MB");
	print_line("code", output_size((double)member_number(c, "CodeSize"), size));
	print_line("sha256", member_text(c, "CodeSha256"));
	print_line("modified", member_text(c, "LastModified"));
	print_line("state", member_text(c, "State"));
	if (*member_text(c, "StateReason"))
		print_line("reason", member_text(c, "StateReason"));
	print_members("environment", json_object_get(environment, "Variables"));
}

static void print_running(const json_t *f)
{
	const json_t *isolates = json_object_get(f, "isolates");
	char launch[24];

	if (*member_text(f, "note"))
		print_line("note", member_text(f, "note"));
	print_members("settings", json_object_get(f, "settings"));
	printf("  %-12s %lld calls, %lld errors, %lld throttled, %lld timed out\n", "so far",
		member_number(f, "invocations"), member_number(f, "errors"),
		member_number(f, "throttles"), member_number(f, "timeouts"));
	printf("  %-12s %lld busy, %lld idle, template %s\n", "isolates",
		member_number(isolates, "busy"), member_number(isolates, "idle"),
		json_is_true(json_object_get(f, "template_ready")) ? "ready" : "not made yet");
	if (member_number(f, "launches") > 0)
		print_line("last launch",
			output_duration((usec_t)member_number(f, "last_launch_us"), launch));
}

/* The function's row of the statistics, borrowed, or NULL. */
static json_t *find_statistics(const json_t *stats, const char *name)
{
	json_t *function;
	size_t i;

	json_array_foreach(json_object_get(stats, "functions"), i, function)
	{
		if (strcmp(member_text(function, "name"), name) == 0)
			return function;
	}
	return NULL;
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 };
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_json_ json_t *stats = NULL;
	_cleanup_free_ char *object = NULL;
	json_t *running;
	int r;

	(void)values;
	cli_function_path(&path, arguments[0], "");
	if (path.failed || asprintf(&object, "function %s", arguments[0]) < 0) {
		object = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	r = cli_get_json(cli, path.data, object, &answer, e);
	if (r == 0)
		r = cli_get_json(cli, "/polyvisor/stats", "the statistics", &stats, e);
	if (r != 0)
		return r;
	running = find_statistics(stats, arguments[0]);
	if (cli->options.json) {
		if (running)
			json_object_set(answer, "Running", running);
		output_json(stdout, answer);
		return 0;
	}
	print_function(answer);
	if (running)
		print_running(running);
	return 0;
}

const struct command command_show = {
	.name = "show",
	.arguments = "NAME",
	.summary = "Print a function's configuration, settings and state",
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
