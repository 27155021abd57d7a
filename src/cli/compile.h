/*
 * compile.h - turns sources that a runtime cannot run, a file or a folder of them, into a folder that
 * it can.
 *
 * By the "deploy.compile" member of the language's manifest, see docs/adding-a-language.md.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

/* A temporary folder, removed with all that is in it by compiled_done(). */
struct compiled {
	char *folder; /* NULL: nothing was compiled, and nothing needs to be */
};

void compiled_done(struct compiled *compiled);
#define _cleanup_compiled_ _cleanup_(compiled_done)

/* Compiles the file, or all such files in the folder together, if one of the languages that came with
 * this program says how, and the runtime that the user gave, if any, is that one's. The compiler's
 * own messages go to standard error. */
int compile_if_needed(const char *path, bool is_folder, const char *runtime, struct compiled *ret,
	struct err *e) MUST_CHECK;
