/*
 * option.h - options of the command line, described by tables.
 *
 * One row says everything about an option: how it is parsed, where its value goes, and what help,
 * the manual page and the completion of the shell say about it. Values start as zero, which means
 * "not given"; strings and lists point into argv, the arrays of lists are owned by the values.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdio.h>

#define OPTION_TABLES 2 /* a command's own options, and those common to all */

enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_TEXT,   /* const char * */
	OPTION_NUMBER, /* uint64_t, within min and max */
	OPTION_LIST,   /* struct option_words; may be given several times */
};

struct option_words {
	const char **items;
	size_t count;
};

struct option_row {
	const char *name; /* without the dashes */
	char letter;      /* the short form, 0 if there is none */
	enum option_kind kind;
	const char *argument; /* what help calls the value, such as SECONDS */
	size_t offset;        /* of the value */
	const char *help;
	uint64_t min, max;   /* of a number */
	const char *choices; /* of a text: the allowed words, "a|b"; NULL: any */
};

/* Rows by kind. `at` is the offset of the value. */
#define option_flag(long_name, short_letter, at, text)                                             \
	{                                                                                          \
		.name = (long_name), .letter = (short_letter), .kind = OPTION_FLAG,                \
		.offset = (at), .help = (text)                                                     \
	}
#define option_text(long_name, short_letter, value_name, at, text)                                 \
	{                                                                                          \
		.name = (long_name), .letter = (short_letter), .kind = OPTION_TEXT,                \
		.argument = (value_name), .offset = (at), .help = (text)                           \
	}
#define option_choice(long_name, words, at, text)                                                  \
	{                                                                                          \
		.name = (long_name), .kind = OPTION_TEXT, .argument = (words), .offset = (at),     \
		.help = (text), .choices = (words)                                                 \
	}
#define option_number(long_name, short_letter, value_name, at, least, most, text)                  \
	{                                                                                          \
		.name = (long_name), .letter = (short_letter), .kind = OPTION_NUMBER,              \
		.argument = (value_name), .offset = (at), .help = (text), .min = (least),          \
		.max = (most)                                                                      \
	}
#define option_list(long_name, short_letter, value_name, at, text)                                 \
	{                                                                                          \
		.name = (long_name), .letter = (short_letter), .kind = OPTION_LIST,                \
		.argument = (value_name), .offset = (at), .help = (text)                           \
	}
#define option_end                                                                                 \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/* Rows of a table and where its values go. A table ends with a row without a name. */
struct option_table {
	const struct option_row *rows;
	void *values;
};

/*
 * Parses the options of `command` (for the sentences) out of argv, which getopt reorders, and gives
 * the index of the first argument that is no option. With stop_at_argument, what follows the first
 * such argument is left alone. 0, OUTCOME_USAGE or -ENOMEM.
 */
int option_parse(const char *command, const struct option_table tables[OPTION_TABLES], int argc,
	char **argv, bool stop_at_argument, int *ret_first, struct err *e) MUST_CHECK;

/* Frees the lists in values. */
void option_values_done(const struct option_row *rows, void *values);

/* Prints the rows as help does, two columns. */
void option_print_help(FILE *out, const struct option_row *rows);

/* "-f, --follow" or "--name NAME", into text. */
void option_describe(const struct option_row *row, char *text, size_t size);
