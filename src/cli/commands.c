/*
 * commands.c - the one table of commands. To add one, write its file and add its row here.
 */
#include "cli/commands.h"

#include <string.h>

/* They run in the supervisor's part of the program (main.c); listed here for help and completion. */
static const struct command command_serve = {
	.name = "serve",
	.arguments = "",
	.summary = "Run the supervisor until SIGTERM or SIGINT",
};

static const struct command command_doctor = {
	.name = "doctor",
	.arguments = "",
	.summary = "Say what this machine's kernel gives to the isolation of functions",
};

const struct command *const commands[] = {
	&command_serve,
	&command_doctor,
	&command_deploy,
	&command_invoke,
	&command_list,
	&command_show,
	&command_remove,
	&command_logs,
	&command_runtimes,
	&command_stats,
	&command_bench,
	&command_completion,
	&command_version,
	&command_help,
	NULL,
};

const struct command *command_find(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}
