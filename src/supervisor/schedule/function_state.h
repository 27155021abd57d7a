/*
 * function_state.h - the inside of a function and of the registry, for the files of this folder.
 */
#pragma once

#include "base/list.h"
#include "supervisor/schedule/deployment.h"
#include "supervisor/schedule/function.h"
#include "supervisor/schedule/function_log.h"
#include "supervisor/schedule/histogram.h"
#include "supervisor/schedule/invocation.h"
#include "supervisor/schedule/uids.h"

struct supervisor;
struct runtimes;
struct runtime;
struct processes;
struct loop;

#define RUNTIMES_MAX 16 /* that have a histogram of launches */

struct runtime_launches {
	struct runtime *runtime;
	struct histogram launch; /* clones on demand and spares */
	struct histogram first;  /* with the function template */
	struct histogram exec;
};

struct registry {
	struct supervisor *supervisor;
	struct function **functions; /* in order of name */
	size_t count, capacity;
	uint32_t live;           /* isolates of all functions, ending ones not counted */
	uint32_t running;        /* of these, busy or launching */
	uint32_t processors;     /* that this process may use */
	struct list deployments; /* not COLD, least recently used first */
	struct runtime_launches launches[RUNTIMES_MAX];
	uint64_t log_lost; /* bytes of console output that were not kept */
	uint64_t memory_baseline, memory_budget, memory_used; /* bytes, see memory.c */
	uint64_t evictions;
	struct loop_timer sweep;
	struct uids uids;
	struct watch *watch;
	uint64_t groups;            /* made so far */
	struct list groups_leaving; /* of deployments that have ended, until they are empty */
	struct group_sweep *group_sweep;
};

struct function {
	struct registry *registry;
	char *name;
	struct deployment *current;
	struct list deployments; /* that one, and those that retire */
	struct list waiting;     /* invocations without an isolate */
	uint32_t waiting_count;
	struct function_log log;
	struct function_stats stats;
	struct histogram duration;
	struct loop_deferred pump;
	bool removed;
};

/* registry.c */
int registry_new(struct supervisor *supervisor, struct registry **ret) MUST_CHECK;
struct registry *registry_free(struct registry *registry);

/* After what runs has changed: the loop is to know how many processors that leaves. */
void registry_tell_outlook(struct registry *registry);

/* memory.c: looks after the memory budget once a second; to be called once the loop is there. 0 or
 * -errno. */
int registry_start(struct registry *registry) MUST_CHECK;

/* Whether no invocation waits or runs. */
bool registry_is_quiet(const struct registry *registry);

/* function_object.c */
int function_new(struct registry *registry, struct config *config, struct function **ret,
	struct err *e) MUST_CHECK;
struct function *function_free(struct function *function);
int function_configure(struct function *function, struct config *config, struct err *e) MUST_CHECK;

/* dispatch.c: finds isolates for waiting invocations, at the end of the turn. */
void function_pump_later(struct function *function);

/* From the deployment: it became READY; it could not be made (the tenant's error, or ours). */
void function_deployment_ready(struct function *function, struct deployment *d);
void function_deployment_failed(
	struct function *function, struct deployment *d, const struct template_failure *failure);

/* outcome.c: an invocation begins, and ends in one of these ways; done() is called in them. */
void invocation_begin(struct invocation *invocation, struct isolate *isolate,
	enum invocation_start start, usec_t launch_us);
void invocation_finish_reply(struct invocation *invocation, const struct isolate_reply *reply);
void invocation_finish_error(struct invocation *invocation, const char *type, const char *message);
void invocation_finish_too_large(struct invocation *invocation);
void invocation_finish_json(
	struct invocation *invocation, const char *type, const char *json, size_t size);
void invocation_finish_refused(struct invocation *invocation, enum invocation_outcome outcome,
	const char *type, const char *message);

/* A line of console output while the invocation runs (NULL: none does). */
void function_console(
	struct function *function, struct invocation *invocation, const char *line, size_t size);

/* A sentence of ours for the function's log. */
void function_note(struct function *function, const char *format, ...) PRINTF_LIKE(2, 3);

/* metrics.c */
struct runtime_launches *registry_launches(struct registry *registry, struct runtime *runtime);
