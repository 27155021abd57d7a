/*
 * cli.c - see cli.h.
 */
#include "cli/cli.h"
#include "cli/outcome.h"
#include "cli/output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define VALUES_MAX 512 /* bytes of the options of one command */

#define VALUE(member) offsetof(struct cli_options, member)

const struct option_row cli_option_rows[] = {
	option_text("endpoint", 0, "URL", VALUE(endpoint),
		"supervisor: http://HOST:PORT, unix:PATH (or POLYVISOR_ENDPOINT)"),
	option_flag("json", 0, VALUE(json), "print JSON, for programs"),
	option_flag("help", 'h', VALUE(help), "say how the command is used"),
	option_end,
};

/* Only before the command: behind it, "version" is a command. */
static const struct option_row version_rows[] = {
	option_flag("version", 'V', VALUE(version), "print the version"),
	option_end,
};

int cli_client(struct cli *cli, struct client **ret, struct err *e)
{
	const char *endpoint = cli->options.endpoint;
	int r;

	if (!endpoint)
		endpoint = getenv("POLYVISOR_ENDPOINT");
	if (!cli->client) {
		r = client_new(endpoint ? endpoint : CLIENT_ENDPOINT_DEFAULT, &cli->client, e);
		if (r != 0)
			return r;
	}
	*ret = cli->client;
	return 0;
}

int cli_get_json(struct cli *cli, const char *path, const char *object, json_t **ret, struct err *e)
{
	struct request request = { .method = "GET", .path = path, .object = object };
	struct client *client;
	int r = cli_client(cli, &client, e);

	return r != 0 ? r : client_send_for_json(client, &request, ret, e);
}

int cli_get_runtimes(struct cli *cli, json_t **ret, struct err *e)
{
	return cli_get_json(cli, "/polyvisor/runtimes", "the list of runtimes", ret, e);
}

void cli_function_path(struct buffer *path, const char *name, const char *suffix)
{
	buffer_append_string(path, API_FUNCTIONS "/");
	client_escape(path, name);
	buffer_append_string(path, suffix);
}

static void print_usage(FILE *out, const struct command *command)
{
	fprintf(out, "Usage: polyvisor %s [OPTION...]%s%s\n", command->name,
		*command->arguments ? " " : "", command->arguments);
}

void cli_print_help(FILE *out, const struct command *command)
{
	const char *strong = output_style(out, STYLE_STRONG), *end = output_style(out, STYLE_NONE);

	if (command) {
		print_usage(out, command);
		fprintf(out, "\n%s.\n", command->summary);
		if (command->details)
			fprintf(out, "\n%s\n", command->details);
		fprintf(out, "\n%sOptions%s\n", strong, end);
		option_print_help(out, command->options);
		option_print_help(out, cli_option_rows);
		return;
	}
	fprintf(out, "Usage: polyvisor COMMAND [OPTION...] [ARGUMENT...]\n\n"
		     "Runs functions in isolates cloned from warm language runtimes.\n\n");
	fprintf(out, "%sCommands%s\n", strong, end);
	for (const struct command *const *c = commands; *c; c++)
		fprintf(out, "  %-12s %s\n", (*c)->name, (*c)->summary);
	fprintf(out, "\n%sOptions of every command%s\n", strong, end);
	option_print_help(out, cli_option_rows);
	fprintf(out, "\n%sExit codes%s\n", strong, end);
	for (int i = 0; i < OUTCOME_COUNT; i++)
		fprintf(out, "  %d  %s\n", i, outcome_row(i)->meaning);
	fprintf(out, "\n`polyvisor help COMMAND` says how a command is used.\n");
}

/* The one place that tells of a failure. */
static void print_failure(const struct cli *cli, int r, const struct err *e)
{
	const char *bad = output_style(stderr, STYLE_BAD), *end = output_style(stderr, STYLE_NONE);
	char reason[ERR_TEXT_MAX];
	json_t *report;

	snprintf(reason, sizeof(reason), "%s", e->text);
	if (!*reason && r < 0)
		snprintf(reason, sizeof(reason), "the command failed: %s", strerror(-r));
	if (!*reason)
		return;
	if (!cli->options.json) {
		fprintf(stderr, "%spolyvisor:%s ", bad, end);
		output_foreign(stderr, reason, strlen(reason));
		fputc('\n', stderr);
		return;
	}
	report = json_pack("{s:{s:s,s:i,s:o}}", "error", "outcome", outcome_row(r)->name, "exit",
		outcome_exit_code(r), "message", output_json_string(reason, strlen(reason)));
	if (report)
		output_json(stderr, report);
	json_decref(report);
}

static int check_arguments(const struct command *command, int count, struct err *e)
{
	if (count < command->arguments_min)
		return err_set(e, OUTCOME_USAGE, "%s needs %s: `polyvisor help %s` says more",
			command->name, command->arguments, command->name);
	if (count > command->arguments_max)
		return err_set(e, OUTCOME_USAGE,
			"%s takes %s%s and was given %d words: `polyvisor help %s` says more",
			command->name, command->arguments_max ? "only " : "no argument",
			command->arguments_max ? command->arguments : "", count, command->name);
	return 0;
}

static int run_command(
	struct cli *cli, const struct command *command, int argc, char **argv, struct err *e)
{
	_Alignas(max_align_t) char values[VALUES_MAX] = { 0 };
	const struct option_table tables[OPTION_TABLES] = {
		{ command->options, values },
		{ cli_option_rows, &cli->options },
	};
	bool taken = false;
	int first, r = 0;

	if (command->values_size > sizeof(values))
		return -ENOBUFS;
	if (command->take_over)
		r = command->take_over(cli, argv + 1, &taken, e);
	if (r != 0 || taken)
		return r;
	r = option_parse(command->name, tables, argc, argv, false, &first, e);
	if (r == 0 && cli->options.help)
		cli_print_help(stdout, command);
	else if (r == 0)
		r = check_arguments(command, argc - first, e);
	if (r == 0 && !cli->options.help)
		r = command->run(cli, values, argv + first, e);
	option_values_done(command->options, values);
	return r;
}

static int find_and_run(struct cli *cli, int argc, char **argv, struct err *e)
{
	const struct option_table tables[OPTION_TABLES] = {
		{ cli_option_rows, &cli->options },
		{ version_rows, &cli->options },
	};
	const struct command *command;
	int first, r;

	r = option_parse("", tables, argc, argv, true, &first, e);
	if (r != 0)
		return r;
	if (cli->options.version)
		return command_find("version")->run(cli, NULL, argv + argc, e);
	if (first == argc && cli->options.help) {
		cli_print_help(stdout, NULL);
		return 0;
	}
	if (first == argc)
		return err_set(e, OUTCOME_USAGE,
			"no command was given: `polyvisor help` lists the commands");
	command = command_find(argv[first]);
	if (!command)
		return err_set(e, OUTCOME_USAGE,
			"there is no command %s: `polyvisor help` lists the commands", argv[first]);
	if (!command->run)
		return err_set(e, OUTCOME_USAGE,
			"%s takes its options behind it: write `polyvisor %s [OPTION...]`",
			command->name, command->name);
	return run_command(cli, command, argc - first, argv + first, e);
}

/* A reader that has gone, such as `| head`, had what it wanted; a full disk has not. */
static int finish_output(int r, struct err *e)
{
	int failed = fflush(stdout) != 0 ? errno : 0;

	if (r != 0 || failed == 0 || failed == EPIPE)
		return r;
	return err_errno(e, -failed, "the output could not be written");
}

int cli_main(int argc, char **argv)
{
	_cleanup_(client_free_cleanup) struct client *client = NULL;
	struct cli cli = { 0 };
	struct err e = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = find_and_run(&cli, argc, argv, &e);
	client = cli.client;
	r = finish_output(r, &e);
	if (r != 0)
		print_failure(&cli, r, &e);
	return outcome_exit_code(r);
}
