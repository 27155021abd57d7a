/*
 * option.c - see option.h.
 */
#include "cli/option.h"
#include "cli/outcome.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#define ROWS_MAX 48
#define FIRST_VALUE 256 /* getopt's values below are letters */
#define HELP_COLUMN 30

/* The tables as getopt wants them; entry i of `long_options` is row i of `rows`. */
struct option_set {
	struct option long_options[ROWS_MAX + 1];
	const struct option_row *rows[ROWS_MAX];
	void *values[ROWS_MAX];
	char letters[2 * ROWS_MAX + 3];
	size_t count;
};

static void option_set_add(struct option_set *set, const struct option_table *table)
{
	char *letters = set->letters + strlen(set->letters);

	for (const struct option_row *row = table->rows; row && row->name; row++) {
		size_t i = set->count;

		if (i == ROWS_MAX)
			return;
		set->rows[i] = row;
		set->values[i] = (char *)table->values + row->offset;
		set->long_options[i] = (struct option){ .name = row->name,
			.has_arg = row->kind == OPTION_FLAG ? no_argument : required_argument,
			.val = FIRST_VALUE + (int)i };
		if (row->letter) {
			*letters++ = row->letter;
			if (row->kind != OPTION_FLAG)
				*letters++ = ':';
		}
		set->count++;
	}
}

static size_t option_set_find(const struct option_set *set, int value)
{
	size_t i = 0;

	if (value >= FIRST_VALUE)
		return (size_t)(value - FIRST_VALUE);
	while (i < set->count && set->rows[i]->letter != value)
		i++;
	return i;
}

static int parse_number(
	const struct option_row *row, const char *text, uint64_t *ret, struct err *e)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value < row->min || value > row->max)
		return err_set(e, OUTCOME_USAGE,
			"--%s does not accept \"%s\": give a whole number from %llu to %llu",
			row->name, text, (unsigned long long)row->min,
			(unsigned long long)row->max);
	*ret = value;
	return 0;
}

static int check_choice(const struct option_row *row, const char *text, struct err *e)
{
	size_t length = strlen(text);

	for (const char *word = row->choices; word;) {
		const char *end = strchrnul(word, '|');

		if ((size_t)(end - word) == length && memcmp(word, text, length) == 0)
			return 0;
		word = *end ? end + 1 : NULL;
	}
	return err_set(e, OUTCOME_USAGE, "--%s does not accept \"%s\": give one of %s", row->name,
		text, row->choices);
}

static int list_append_item(struct option_words *list, const char *item)
{
	const char **items = reallocarray(list->items, list->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	items[list->count++] = item;
	list->items = items;
	return 0;
}

static int store_value(const struct option_row *row, void *value, const char *text, struct err *e)
{
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)value = true;
		return 0;
	case OPTION_NUMBER:
		return parse_number(row, text, value, e);
	case OPTION_LIST:
		return list_append_item(value, text);
	case OPTION_TEXT:
		break;
	}
	*(const char **)value = text;
	return row->choices ? check_choice(row, text, e) : 0;
}

/* `word` is the one getopt stopped at; a letter may be one of several in it. */
static int refuse(const char *command, const struct option_set *set, int value, const char *word,
	struct err *e)
{
	size_t i = optopt ? option_set_find(set, optopt) : set->count;

	if (value == ':' && i < set->count)
		return err_set(e, OUTCOME_USAGE, "--%s needs a value: give it as --%s %s",
			set->rows[i]->name, set->rows[i]->name, set->rows[i]->argument);
	if (i < set->count)
		return err_set(e, OUTCOME_USAGE,
			"--%s takes no value: leave out what follows \"=\"", set->rows[i]->name);
	if (optopt && optopt < FIRST_VALUE)
		return err_set(e, OUTCOME_USAGE,
			"there is no option -%c: `polyvisor help%s%s` lists the options", optopt,
			*command ? " " : "", command);
	return err_set(e, OUTCOME_USAGE,
		"there is no option %s: `polyvisor help%s%s` lists the options", word,
		*command ? " " : "", command);
}

int option_parse(const char *command, const struct option_table tables[OPTION_TABLES], int argc,
	char **argv, bool stop_at_argument, int *ret_first, struct err *e)
{
	struct option_set set = { .letters = ":" };
	int value, r;

	if (stop_at_argument)
		strcpy(set.letters, "+:");
	for (size_t i = 0; i < OPTION_TABLES; i++)
		option_set_add(&set, &tables[i]);
	optind = 0; /* glibc: start anew, another table may have been parsed before */
	opterr = 0;
	while ((value = getopt_long(argc, argv, set.letters, set.long_options, NULL)) != -1) {
		size_t i;

		if (value == '?' || value == ':')
			return refuse(command, &set, value, argv[optind - 1], e);
		i = option_set_find(&set, value);
		r = store_value(set.rows[i], set.values[i], optarg, e);
		if (r != 0)
			return r;
	}
	*ret_first = optind;
	return 0;
}

void option_values_done(const struct option_row *rows, void *values)
{
	for (const struct option_row *row = rows; row && row->name; row++) {
		struct option_words *list = (void *)((char *)values + row->offset);

		if (row->kind == OPTION_LIST)
			free(take_ptr(list->items));
	}
}

void option_describe(const struct option_row *row, char *text, size_t size)
{
	char letter[] = { '-', row->letter, ',', ' ', '\0' };

	snprintf(text, size, "%s--%s%s%s", row->letter ? letter : "", row->name,
		row->argument ? " " : "", row->argument ? row->argument : "");
}

void option_print_help(FILE *out, const struct option_row *rows)
{
	for (const struct option_row *row = rows; row && row->name; row++) {
		char text[96];

		option_describe(row, text, sizeof(text));
		if (strlen(text) + 3 > HELP_COLUMN)
			fprintf(out, "  %s\n%*s%s\n", text, HELP_COLUMN, "", row->help);
		else
			fprintf(out, "  %-*s%s\n", HELP_COLUMN - 2, text, row->help);
	}
}
