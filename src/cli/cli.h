/*
 * cli.h - the command line: its table of commands, and what a running command has at hand.
 *
 * A command is one row, defined in the file named after it (command_NAME.c) and listed in
 * commands.c. Its `run` gets its options as the struct that its option rows describe, and its
 * arguments; it prints results on standard output and returns 0, a negative errno or an outcome
 * (outcome.h), with the sentence in `e`. Only cli.c prints that sentence.
 */
#pragma once

#include "base/err.h"
#include "cli/client.h"
#include "cli/option.h"

#include <stdbool.h>

#define API_FUNCTIONS "/2015-03-31/functions"

struct cli_options {
	const char *endpoint;
	bool json, help, version;
};

struct cli {
	struct cli_options options;
	struct client *client; /* made when first asked for */
};

struct command {
	const char *name;
	const char *arguments; /* as usage shows them */
	const char *summary;   /* one line */
	const char *details;   /* paragraphs of help, NULL if the summary says it all */
	const struct option_row *options;
	size_t values_size;
	int arguments_min, arguments_max;
	/* If not NULL, asked first: whether the words behind the command are for another program. */
	int (*take_over)(struct cli *cli, char **words, bool *ret_taken, struct err *e);
	/* NULL: another part of the program runs it, see main.c. */
	int (*run)(struct cli *cli, const void *values, char **arguments, struct err *e);
};

/* All commands, in the order of help; ended by NULL. */
extern const struct command *const commands[];

const struct command *command_find(const char *name);

/* The options that every command has. */
extern const struct option_row cli_option_rows[];

/* The whole command line; returns the exit code of the program. */
int cli_main(int argc, char **argv);

/* The supervisor to talk to, owned by cli: --endpoint, POLYVISOR_ENDPOINT, or the default. */
int cli_client(struct cli *cli, struct client **ret, struct err *e) MUST_CHECK;

/* GETs a document from the supervisor; `object` names it in the sentence of a failure. */
int cli_get_json(struct cli *cli, const char *path, const char *object, json_t **ret,
	struct err *e) MUST_CHECK;

/* The array of runtimes that the supervisor lists. */
int cli_get_runtimes(struct cli *cli, json_t **ret, struct err *e) MUST_CHECK;

/* Appends the API's path of a function: API_FUNCTIONS "/NAME", then suffix. */
void cli_function_path(struct buffer *path, const char *name, const char *suffix);

/* Prints the help of one command, or of all. */
void cli_print_help(FILE *out, const struct command *command);
