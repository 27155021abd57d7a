/*
 * compile.h - turns a source file that a runtime cannot run into a folder that it can.
 *
 * By the "deploy.compile" member of the language's manifest, see docs/adding-a-language.md.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>

/* A temporary folder, removed with all that is in it by compiled_done(). */
struct compiled {
	char *folder; /* NULL: nothing was compiled, and nothing needs to be */
};

void compiled_done(struct compiled *compiled);
#define _cleanup_compiled_ _cleanup_(compiled_done)

/* Compiles the file if one of the languages that came with this program says how. The compiler's
 * own messages go to standard error. */
int compile_if_needed(const char *path, struct compiled *ret, struct err *e) MUST_CHECK;
