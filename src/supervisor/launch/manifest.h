/*
 * manifest.h - what a language's manifest.json says, checked and expanded.
 *
 * The format is in docs/adding-a-language.md. A manifest is read once, at start, before the loop
 * runs: finding the interpreter and asking it for its version waits for a process.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include "supervisor/launch/spawner.h"

#include <jansson.h>
#include <stdbool.h>

struct manifest {
	char *name, *title;
	char *interpreter;          /* absolute path on the host; NULL when none was found */
	char *version;              /* "3.11.2"; NULL when it is unknown */
	char *identifier;           /* the identifier that is an exact match, or NULL */
	char **identifiers;         /* patterns, NULL-terminated */
	char **command;             /* expanded, NULL-terminated */
	char **environment;         /* NAME=VALUE, expanded, NULL-terminated */
	bool clone, exec;           /* launch modes */
	char problem[ERR_TEXT_MAX]; /* why it cannot be used; "" when it can */
	json_t *document;
};

/* Reads directory/NAME/manifest.json. A runtime that is not installed is no failure: `problem` says
 * what is missing. 0 or -errno with the sentence. */
int manifest_load(
	const char *directory, const char *name, struct manifest **ret, struct err *e) MUST_CHECK;
struct manifest *manifest_free(struct manifest *manifest);
DEFINE_CLEANUP(struct manifest *, manifest_free)

/* Puts the command line and the environment of the runtime's process into a request; role is
 * "template" or "exec". 0 or -E2BIG. */
int manifest_fill_request(const struct manifest *manifest, const char *role,
	struct spawn_request *request) MUST_CHECK;
