/*
 * table.h - columns of text with a heading each, as wide as they need to be.
 *
 * Fill it cell by cell, row after row, then print it. Texts are copied, with control characters
 * made visible. Columns whose heading starts with ">" are aligned to the right.
 */
#pragma once

#include "base/buffer.h"

#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

struct table {
	const char *const *headings;
	size_t columns;
	char **cells; /* rows of `columns` texts */
	size_t count, capacity;
	bool failed; /* memory was out; checked once, when it is printed */
};

#define TABLE_INIT(names)                                                                          \
	{                                                                                          \
		.headings = (names), .columns = array_size(names)                                  \
	}

void table_done(struct table *table);
#define _cleanup_table_ _cleanup_(table_done)

void table_add(struct table *table, const char *format, ...) PRINTF_LIKE(2, 3);

/* 0 or -ENOMEM. */
int table_print(const struct table *table, FILE *out) MUST_CHECK;
