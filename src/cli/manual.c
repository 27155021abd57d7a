/*
 * manual.c - see manual.h.
 */
#include "cli/manual.h"
#include "cli/cli.h"
#include "cli/outcome.h"

/* Text as it is: dashes and backslashes mean something to roff, a line's first dot and quote too.
 */
static void print_text(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((p == text || p[-1] == '\n') && (*p == '.' || *p == '\''))
			fputs("\\&", out);
		if (*p == '-')
			fputs("\\-", out);
		else if (*p == '\\')
			fputs("\\e", out);
		else
			fputc(*p, out);
	}
}

static void print_item(FILE *out, const char *term, const char *text)
{
	fputs(".TP\n.B ", out);
	print_text(out, term);
	fputc('\n', out);
	print_text(out, text);
	fputc('\n', out);
}

static void print_options(FILE *out, const struct option_row *rows)
{
	for (const struct option_row *row = rows; row && row->name; row++) {
		char term[96];

		option_describe(row, term, sizeof(term));
		print_item(out, term, row->help);
	}
}

static void print_command(FILE *out, const struct command *command)
{
	fprintf(out, ".SS ");
	print_text(out, command->name);
	fputs(*command->arguments ? " " : "", out);
	print_text(out, command->arguments);
	fputc('\n', out);
	print_text(out, command->summary);
	fputs(".\n", out);
	if (command->details) {
		fputs(".PP\n", out);
		print_text(out, command->details);
		fputc('\n', out);
	}
	if (!command->run)
		fprintf(out, ".PP\nIts options: \\fBpolyvisor %s \\-\\-help\\fR.\n", command->name);
	print_options(out, command->options);
}

static void print_head(FILE *out)
{
	fprintf(out,
		".TH POLYVISOR 1 \"\" \"polyvisor %s\" \"User Commands\"\n"
		".SH NAME\n"
		"polyvisor \\- run functions in isolates cloned from warm language runtimes\n"
		".SH SYNOPSIS\n"
		".B polyvisor\n.I COMMAND\n[\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n"
		".SH DESCRIPTION\n"
		"\\fBpolyvisor serve\\fR is the supervisor, which keeps the functions and runs "
		"them. The other\n"
		"commands talk to a supervisor over HTTP, by the interface of AWS Lambda, so that "
		"its clients\n"
		"can do the same.\n"
		".SH COMMANDS\n",
		POLYVISOR_VERSION);
}

static void print_tail(FILE *out)
{
	fputs(".SH ENVIRONMENT\n", out);
	print_item(
		out, "POLYVISOR_ENDPOINT", "The supervisor that commands talk to, as --endpoint.");
	print_item(out, "POLYVISOR_RUNTIMES",
		"The languages' folders, where they are not beside the program.");
	print_item(out, "NO_COLOR", "Where it is set and not empty, nothing is printed in colour.");
	fputs(".SH EXAMPLES\n.EX\n", out);
	print_text(out, "polyvisor deploy hello.py\n"
			"polyvisor invoke hello '{\"name\": \"you\"}'\n"
			"polyvisor deploy site/ --name site --memory 512 --set spares=2\n"
			"polyvisor logs hello --follow\n");
	fputs(".EE\n", out);
}

void manual_print(FILE *out)
{
	print_head(out);
	for (const struct command *const *c = commands; *c; c++)
		print_command(out, *c);
	fputs(".SH OPTIONS OF EVERY COMMAND\n", out);
	print_options(out, cli_option_rows);
	fputs(".SH EXIT STATUS\n", out);
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		char code[16];

		snprintf(code, sizeof(code), "%d", i);
		print_item(out, code, outcome_row(i)->meaning);
	}
	print_tail(out);
}
