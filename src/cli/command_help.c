/*
 * command_help.c - `polyvisor help [COMMAND]`.
 */
#include "cli/commands.h"
#include "cli/manual.h"
#include "cli/outcome.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct help_options {
	bool man;
};

static const struct option_row rows[] = {
	option_flag("man", 0, offsetof(struct help_options, man),
		"print the manual page, for `man -l -`"),
	option_end,
};

/* The command's own part of the program knows its options. */
static int run_program_help(const struct command *command, struct err *e)
{
	fflush(stdout);
	execl("/proc/self/exe", "polyvisor", command->name, "--help", (char *)NULL);
	return err_errno(e, -errno, "the help of %s cannot be shown", command->name);
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	const struct help_options *options = values;
	const struct command *command = NULL;

	(void)cli;
	if (options->man) {
		manual_print(stdout);
		return 0;
	}
	if (arguments[0]) {
		command = command_find(arguments[0]);
		if (!command)
			return err_set(e, OUTCOME_USAGE,
				"there is no command %s: `polyvisor help` lists the commands",
				arguments[0]);
		if (!command->run)
			return run_program_help(command, e);
	}
	cli_print_help(stdout, command);
	return 0;
}

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "Say how the program, or one command, is used",
	.options = rows,
	.values_size = sizeof(struct help_options),
	.arguments_max = 1,
	.run = run,
};
