/*
 * version.h - which version an interpreter is, by what it says itself.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* Runs the command and finds the version in its output. NULL when it tells none. The caller's to free. */
char *version_ask(char **argv) MUST_CHECK;

/*
 * The version in a text: the first word of digits and dots, in quotes or behind a "v" or not, of the
 * first line that has one and is no warning and no "[..." of a log, as in `openjdk version "17.0.15" 2025-04-15`.
 */
char *version_in(const char *text) MUST_CHECK;

/* Compares the first two numbers. */
bool version_is_older(const char *version, const char *minimum);
