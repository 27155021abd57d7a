/*
 * utf8.h - well-formed UTF-8 (table 3-7 of the Unicode standard).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Length of the well-formed sequence at p, of which `left` > 0 bytes are there, or 0. */
size_t utf8_length(const unsigned char *p, size_t left);

bool utf8_is_valid(const void *data, size_t size);
