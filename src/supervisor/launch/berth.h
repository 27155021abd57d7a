/*
 * berth.h - the namespaces of one isolate, made before there is a launch that needs them.
 *
 *     MAKING --handed over--> READY --process reaped--> ended()
 *         \------could not be made-----------------------/
 *
 * Made by the spawner (child_berth.c) inside the namespaces of a function template: a pid namespace with
 * an init that does nothing but reap, a mount namespace with /tmp and /proc. The function template forks
 * the isolate into it. The kernel ends every process of a pid namespace with its init, and the init is
 * not gone before they are: ending the berth ends all of the isolate.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "supervisor/launch/function_template.h"
#include "supervisor/launch/processes.h"
#include "supervisor/loop/loop.h"

#include <stdbool.h>

struct berth;

/* It could not be made (`failure` has the sentence), or nothing is left of it: to be freed in it. */
typedef void (*berth_ended_fn)(struct berth *berth);

struct berth {
	struct loop *loop;
	struct processes *processes;
	struct process process; /* the init */
	struct spawn spawn;
	struct loop_source socket;
	struct loop_deferred ending;
	int pid_namespace, mount_namespace; /* -1 until they are handed over */
	struct err failure;
	/* Of whoever has it: first the deployment, then the isolate. */
	void *owner;
	berth_ended_fn ended;
};

/* Starts making one for a template that is ready, with a /tmp that is not mounted and stays the
 * caller's. 0 or -errno. */
int berth_make(struct function_template *t, const struct guest_spec *spec, int tmp, void *owner,
	berth_ended_fn ended, struct berth **ret) MUST_CHECK;

static inline bool berth_is_ready(const struct berth *berth)
{
	return berth && berth->process.pid && berth->mount_namespace >= 0;
}

/*
 * Its namespaces have been sent to whoever is to live in it. Kept open here, they would make the
 * supervisor the last holder of the isolate's /tmp: to free 512 MB of it takes 80 ms and more.
 */
void berth_let_go(struct berth *berth);

/* Kills everything in it; ended() follows, never before this returns. Of one that is ready. */
void berth_end(struct berth *berth);

/* Kills everything in it and forgets it: ended() is not called. NULL is accepted. */
struct berth *berth_free(struct berth *berth);
