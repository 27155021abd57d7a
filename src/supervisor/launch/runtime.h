/*
 * runtime.h - the language runtimes of this machine and their templates.
 *
 * A runtime is a manifest and, once somebody wanted it, a runtime template: a process that booted
 * the language, parked, and is cloned into function templates. A template that dies is made again
 * by the next who wants it; one that is old or was cloned often is replaced by a fresh one in the
 * background, since all clones of a template share its address-space layout.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/macros.h"
#include "base/usec.h"
#include "supervisor/launch/processes.h"

#include <jansson.h>
#include <stdbool.h>

struct loop;
struct manifest;
struct runtime;
struct runtimes;
struct runtime_template;

#define RUNTIME_START_LIMIT (60 * USEC_PER_SEC) /* from exec to parked */

/* Reads all manifests below `directory`. 0 or -errno with the sentence. */
int runtimes_load(const char *directory, struct runtimes **ret, struct err *e) MUST_CHECK;
struct runtimes *runtimes_free(struct runtimes *runtimes);
DEFINE_CLEANUP(struct runtimes *, runtimes_free)

/* What the loaded runtimes work with from now on; both outlive them. */
void runtimes_attach(struct runtimes *runtimes, struct loop *loop, struct processes *processes);

/* When a runtime template is replaced: after so many function templates, or at such an age. */
void runtimes_rotate(struct runtimes *runtimes, unsigned clones, usec_t age);

/* Adds the directories of interpreters that are not below /usr to a root. */
void runtimes_extend_root(struct runtimes *runtimes, struct root_spec *root);

struct runtime *runtimes_next(struct runtimes *runtimes, struct runtime *runtime);

/* The runtime for an identifier of the API ("python3.12", "python"), or NULL. *ret_exact says
 * whether the installed version is the one that was named. */
struct runtime *runtimes_match(struct runtimes *runtimes, const char *identifier, bool *ret_exact);

const struct manifest *runtime_manifest(const struct runtime *runtime);

/* Whether it can run functions at all, and whether by cloning; `why` (may be NULL) is then a
 * sentence. */
bool runtime_usable(const struct runtime *runtime, const char **ret_why);
bool runtime_can_clone(const struct runtime *runtime, const char **ret_why);

/* A new object for GET /polyvisor/runtimes, or NULL. */
json_t *runtime_describe(const struct runtime *runtime);

/* Someone who waits for the runtime template. Called once, on the loop; e is NULL when it is ready.
 */
struct runtime_waiter {
	void (*ready)(struct runtime_waiter *waiter, const struct err *e);
	struct list link;
	bool waiting;
};

/* Starts the template if there is none. ready() may be called before this returns. */
void runtime_want(struct runtime *runtime, struct runtime_waiter *waiter);
void runtime_unwant(struct runtime_waiter *waiter);

/* A clone that was asked for and has not said HELLO yet. */
struct runtime_clone {
	void (*refused)(struct runtime_clone *clone, const struct err *e);
	uint32_t sequence;
	struct list link;
	bool pending;
};

/*
 * Asks the template to become a function: `frame` is a BECOME whose sequence is from
 * runtime_clone_begin(). 0 or -errno (-ESTALE: the template is not there; want it again).
 */
uint32_t runtime_clone_begin(struct runtime *runtime, struct runtime_clone *clone);
int runtime_clone_send(struct runtime *runtime, struct runtime_clone *clone, const void *frame,
	size_t size, const int *fds, size_t fd_count) MUST_CHECK;
void runtime_clone_done(struct runtime_clone *clone);
