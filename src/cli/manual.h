/*
 * manual.h - the manual page, made from the tables of commands, options and outcomes.
 */
#pragma once

#include <stdio.h>

/* Prints polyvisor(1) in the language of man(7). */
void manual_print(FILE *out);
