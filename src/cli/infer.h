/*
 * infer.h - what `deploy` can tell about a function without being told.
 *
 * All knowledge of languages comes from the "deploy" member of the runtimes' manifests, as the
 * supervisor lists them; the format is in docs/adding-a-language.md.
 */
#pragma once

#include "cli/package.h"

#include <jansson.h>

struct inference {
	char *runtime, *handler;
	char *reason; /* why one of them is NULL, as the end of a sentence; else NULL */
	bool nothing; /* no file of it may hold a handler */
};

void inference_done(struct inference *inference);
#define _cleanup_inference_ _cleanup_(inference_done)

struct infer;

/*
 * `runtimes` is the array of manifests, borrowed. `runtime` is the one given by the user, or NULL.
 * With kind PACKAGE_FILE the suffix of the file decides, else the files that are in the package.
 */
int infer_new(const json_t *runtimes, const char *runtime, enum package_kind kind,
	struct infer **ret) MUST_CHECK;
struct infer *infer_free(struct infer *infer);
DEFINE_CLEANUP(struct infer *, infer_free)

/* Sees the files of the package. */
struct package_visitor infer_visitor(struct infer *infer);

/* To be called after the visit. What could not be told is NULL, which is no failure. */
int infer_finish(struct infer *infer, struct inference *ret) MUST_CHECK;

/* A function's name after its path: the last part without its suffix. malloc'd, NULL if memory is
 * out. */
char *infer_name(const char *path, enum package_kind kind);

/* The manifest that a runtime's plain name or identifier selects, or NULL. */
const json_t *infer_find_runtime(const json_t *runtimes, const char *runtime);

/* Whether the path ends with one of an array of suffixes. */
bool infer_has_suffix(const json_t *suffixes, const char *path);
