/*
 * output.h - what commands print: for people on a terminal, for programs elsewhere.
 *
 * Colour only on a terminal, and not under NO_COLOR or on a dumb one. What a function printed or
 * returned can hold terminal escapes; on a terminal it is shown with its control characters made
 * visible, elsewhere it passes as it is.
 */
#pragma once

#include "base/buffer.h"
#include "base/usec.h"

#include <jansson.h>
#include <stdio.h>

enum style {
	STYLE_NONE,
	STYLE_STRONG,
	STYLE_FAINT,
	STYLE_GOOD,
	STYLE_BAD,
};

bool output_is_terminal(FILE *out);

/* The escape that starts a style, or ends all of them (STYLE_NONE); "" where there is no colour. */
const char *output_style(FILE *out, enum style style);

/* Prints text that others wrote. */
void output_foreign(FILE *out, const char *text, size_t size);

/* Appends text with control characters made visible; newlines and tabs stay. */
void output_neutralise(struct buffer *b, const char *text, size_t size);

/* One JSON document and a newline: indented on a terminal, on one line elsewhere. */
void output_json(FILE *out, const json_t *value);

/* A JSON string of bytes that others wrote; what is not UTF-8 becomes U+FFFD. NULL if memory is
 * out. */
json_t *output_json_string(const char *text, size_t size);

/* 999 us, 1.23 ms, 4.56 s */
const char *output_duration(usec_t t, char text[static 24]);

/* 999 B, 1.2 KB, 34.5 MB */
const char *output_size(double bytes, char text[static 24]);
