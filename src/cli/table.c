/*
 * table.c - see table.h.
 */
#include "cli/table.h"
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void table_done(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	table->cells = NULL;
	table->count = table->capacity = 0;
}

static char *cell_new(const char *format, va_list args)
{
	_cleanup_buffer_ struct buffer b = { 0 };
	_cleanup_free_ char *text = NULL;

	if (vasprintf(&text, format, args) < 0) {
		text = NULL; /* undefined after a failure */
		return NULL;
	}
	output_neutralise(&b, text, strlen(text));
	if (b.failed)
		return NULL;
	return b.data ? take_ptr(b.data) : strdup("");
}

void table_add(struct table *table, const char *format, ...)
{
	va_list args;
	char *cell;

	if (table->count == table->capacity) {
		size_t capacity = max_of(table->capacity * 2, (size_t)64);
		char **cells = reallocarray(table->cells, capacity, sizeof(*cells));

		if (!cells) {
			table->failed = true;
			return;
		}
		table->cells = cells;
		table->capacity = capacity;
	}
	va_start(args, format);
	cell = cell_new(format, args);
	va_end(args);
	if (cell)
		table->cells[table->count++] = cell;
	else
		table->failed = true;
}

/* Columns on the screen; wide characters count as one, which is only untidy. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static const char *heading_text(const char *heading)
{
	return heading + (heading[0] == '>');
}

static void print_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
	int padding = (int)(width - min_of(width, text_width(text)));

	if (right)
		fprintf(out, "%*s%s", padding, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : padding, "");
	fputs(last ? "\n" : "  ", out);
}

int table_print(const struct table *table, FILE *out)
{
	size_t widths[TABLE_COLUMNS_MAX] = { 0 };

	if (table->failed)
		return -ENOMEM;
	for (size_t i = 0; i < table->columns; i++)
		widths[i] = text_width(heading_text(table->headings[i]));
	for (size_t i = 0; i < table->count; i++)
		widths[i % table->columns] =
			max_of(widths[i % table->columns], text_width(table->cells[i]));
	fputs(output_style(out, STYLE_FAINT), out);
	for (size_t i = 0; i < table->columns; i++)
		print_cell(out, heading_text(table->headings[i]), widths[i],
			table->headings[i][0] == '>', i + 1 == table->columns);
	fputs(output_style(out, STYLE_NONE), out);
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;

		print_cell(out, table->cells[i], widths[column], table->headings[column][0] == '>',
			column + 1 == table->columns);
	}
	return 0;
}
