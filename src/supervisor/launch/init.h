/*
 * init.h - the supervisor's view of a function's init: the process that holds the namespaces.
 *
 * The init is PID 1 of the function's pid namespace and lives in its root (root.h); it does nothing
 * but wait. Ending it ends every process of the function. It hands its namespaces over when it is
 * up; templates and isolates enter them.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "supervisor/launch/processes.h"
#include "supervisor/loop/loop.h"

#include <stdbool.h>

struct init;

/* e is NULL on success. After a failure the init is as before init_start(). */
typedef void (*init_done_fn)(struct init *init, const struct err *e);

/* Called when the init ends by itself, which takes everything of the function with it. */
typedef void (*init_lost_fn)(struct init *init);

struct init {
	struct loop *loop;
	struct processes *processes;
	struct process process;
	struct spawn spawn;
	struct loop_source socket;
	int pid_namespace, mount_namespace; /* -1 while not up */
	init_done_fn done;
	init_lost_fn lost;
};

void init_prepare(struct init *init, struct loop *loop, struct processes *processes);

/* Starts it for the host directory `code`; `machine_names`: names are asked for as the machine does.
 * done() follows unless this fails. 0 or -errno. */
int init_start(struct init *init, const char *code, bool machine_names, init_done_fn done,
	init_lost_fn lost) MUST_CHECK;

static inline bool init_is_up(const struct init *init)
{
	return init->mount_namespace >= 0;
}

/* Ends it and all that lives in it; callbacks are not called any more. May be started again. */
void init_end(struct init *init);
