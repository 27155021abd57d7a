/*
 * command_deploy.c - `polyvisor deploy PATH`.
 */
#include "cli/commands.h"
#include "cli/deploy.h"
#include "cli/member.h"
#include "cli/output.h"

#include <stdio.h>

#define VALUE(member) offsetof(struct deploy_options, member)

static const struct option_row rows[] = {
	option_text("name", 'n', "NAME", VALUE(name), "of the function; after PATH if not given"),
	option_text("runtime", 'r', "RUNTIME", VALUE(runtime),
		"such as python, nodejs20.x or java17; by the files if not given"),
	option_text("handler", 0, "HANDLER", VALUE(handler),
		"what is called; by the files if not given"),
	option_number(
		"timeout", 't', "SECONDS", VALUE(timeout), 1, 900, "longest run of an invocation"),
	option_number("memory", 'm', "MB", VALUE(memory), 1, 1 << 20, "memory of an isolate"),
	option_number("tmp", 0, "MB", VALUE(tmp), 1, 1 << 20, "size of /tmp of an isolate"),
	option_list("env", 'e', "NAME=VALUE", VALUE(environment),
		"an environment variable; one or more replace all that the function had"),
	option_list("set", 's', "NAME=VALUE", VALUE(settings),
		"a setting: network, concurrency, queue, spares, keep-alive, cpu, ..."),
	option_text("description", 0, "TEXT", VALUE(description), "a note, shown by show"),
	option_choice("isolation", "function|request", VALUE(isolation),
		"use isolates again, or make a fresh one for each invocation"),
	option_choice("launch", "clone|exec", VALUE(launch),
		"clone a warm runtime, or start a new one for every isolate"),
	option_flag("warm", 'w', VALUE(warm), "make the function template now, not at first use"),
	option_end,
};

static const char *origin(const char *given, const char *inferred)
{
	return given ? "" : inferred ? " (inferred)" : " (as before)";
}

static void print_result(const struct cli *cli, const struct deploy *d)
{
	const json_t *result = d->result;
	const struct deploy_options *o = d->options;
	char size[24];
	json_t *report;

	if (cli->options.json) {
		report = json_pack("{s:s,s:s,s:s,s:b,s:b,s:I,s:I,s:s,s:s}", "name", d->name,
			"runtime", member_text(result, "Runtime"), "handler",
			member_text(result, "Handler"), "created", !d->existing, "warm", o->warm,
			"files", (json_int_t)d->package.files, "code_size",
			(json_int_t)d->package.zip.size, "code_sha256",
			member_text(result, "CodeSha256"), "revision",
			member_text(result, "RevisionId"));
		output_json(stdout, report);
		json_decref(report);
		return;
	}
	printf("%s %s%s%s%s\n", d->existing ? "updated" : "created",
		output_style(stdout, STYLE_STRONG), d->name, output_style(stdout, STYLE_NONE),
		o->name ? "" : " (inferred)");
	printf("  runtime  %s%s\n", member_text(result, "Runtime"), origin(o->runtime, d->runtime));
	printf("  handler  %s%s\n", member_text(result, "Handler"), origin(o->handler, d->handler));
	printf("  code     %zu %s, %s\n", d->package.files,
		d->package.files == 1 ? "file" : "files",
		output_size((double)d->package.zip.size, size));
	if (output_is_terminal(stdout))
		printf("  try      polyvisor invoke %s '{}'\n", d->name);
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	_cleanup_deploy_ struct deploy d = { .options = values };
	int r = deploy_path(cli, &d, arguments[0], e);

	if (r == 0)
		print_result(cli, &d);
	return r;
}

const struct command command_deploy = {
	.name = "deploy",
	.arguments = "PATH",
	.summary = "Create a function from a file, a folder, a zip or a jar, or update it",
	.details = "What is not given is inferred from PATH and printed. A name that exists "
		   "already gets\n"
		   "new code and configuration; what is neither given nor can be inferred stays as "
		   "it is.",
	.options = rows,
	.values_size = sizeof(struct deploy_options),
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
