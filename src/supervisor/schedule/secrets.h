/*
 * secrets.h - variables of a function's environment that are in no configuration, store, log or metric.
 *
 * They come from a file named like the function in the directory that --secrets names, which only its
 * owner can read; NAME=VALUE lines, '#' begins a comment line. Read on the worker when the deployment is
 * warmed up, so a changed file counts from the next function template on.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include <stdbool.h>

struct secrets_reading;
struct secrets;
struct worker;

/* e is NULL when they are there, or when there is no such file. */
typedef void (*secrets_done_fn)(struct secrets *secrets, const struct err *e);

struct secrets {
	bool ready;
	char **environment; /* the function's own variables, then the secrets; NULL-terminated */
	size_t borrowed;    /* how many of these belong to the configuration */
	struct secrets_reading *reading;
	secrets_done_fn done;
};

/*
 * Reads them; `directory` may be NULL for none. `own`, the variables of the configuration, outlive the
 * secrets. done() may be called before this returns.
 */
void secrets_read(struct secrets *secrets, struct worker *worker, const char *directory,
	const char *function, char **own, secrets_done_fn done);

/* Forgets them, and wipes their memory; done() is not called any more. Harmless when zeroed. */
void secrets_forget(struct secrets *secrets);
