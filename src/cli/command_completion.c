/*
 * command_completion.c - `polyvisor completion`: a script for bash, made from the tables.
 */
#include "cli/bench_program.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

static void print_options(const struct option_row *rows)
{
	for (const struct option_row *row = rows; row && row->name; row++)
		printf(" --%s", row->name);
}

/* The words that an option accepts, where there are few. */
static void print_choices(const struct command *command)
{
	for (const struct option_row *row = command->options; row && row->name; row++) {
		if (!row->choices)
			continue;
		printf("\t%s:--%s) words=\"", command->name, row->name);
		for (const char *p = row->choices; *p; p++)
			putchar(*p == '|' ? ' ' : *p);
		printf("\" ;;\n");
	}
}

static void print_options_of_all(void)
{
	printf("\tcase \"$command\" in\n");
	for (const struct command *const *c = commands; *c; c++) {
		if (!(*c)->run)
			continue;
		printf("\t%s) options=\"", (*c)->name);
		print_options((*c)->options);
		print_options(cli_option_rows);
		printf("\" ;;\n");
	}
	printf("\tesac\n");
}

static void print_names(void)
{
	for (const struct command *const *c = commands; *c; c++)
		printf("%s%s", c == commands ? "" : " ", (*c)->name);
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	(void)cli;
	(void)values;
	(void)arguments;
	(void)e;
	printf("# bash completion of polyvisor; load it with: source <(polyvisor completion)\n"
	       "_polyvisor() {\n"
	       "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tlocal command=${COMP_WORDS[1]} words= options=\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W '");
	print_names();
	printf("' -- \"$current\")\n\t\treturn\n\tfi\n\tcase \"$command:$previous\" in\n");
	for (const struct command *const *c = commands; *c; c++)
		print_choices(*c);
	printf("\tinvoke:invoke|show:show|remove:remove|logs:logs)\n"
	       "\t\twords=$(polyvisor list 2>/dev/null | awk 'NR > 1 { print $1 }') ;;\n"
	       "\thelp:help) words='");
	print_names();
	printf("' ;;\n\tbench:bench) words='launch");
	for (const struct bench_program *b = bench_programs; b->name; b++)
		printf(" %s", b->name);
	printf("' ;;\n\tesac\n");
	print_options_of_all();
	printf("\tif [ -z \"$words\" ] && [ \"${current#-}\" != \"$current\" ]; then\n"
	       "\t\twords=$options\n\tfi\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
	       "}\n"
	       "complete -o default -F _polyvisor polyvisor\n");
	return 0;
}

const struct command command_completion = {
	.name = "completion",
	.arguments = "",
	.summary = "Print the completion of this program for bash",
	.details = "Load it with: source <(polyvisor completion)",
	.run = run,
};
