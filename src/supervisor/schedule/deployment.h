/*
 * deployment.h - what one configuration of a function has running: init, function template,
 * isolates.
 *
 * A function has one current deployment; a change of its configuration or code makes a new one, and
 * the old one retires: it takes no new invocation, and ends when what it serves is served.
 *
 *     COLD --warm up--> INIT --init up--> TEMPLATE --ready--> READY
 *      ^                  \ failed           \ failed           \ template lost, evicted
 *      +-------------------+------------------+------------------+
 *
 * With launch = exec there is no template: READY follows INIT.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/macros.h"
#include "supervisor/launch/berth.h"
#include "supervisor/launch/init.h"
#include "supervisor/launch/isolate.h"
#include "supervisor/launch/kit.h"
#include "supervisor/schedule/secrets.h"
#include "supervisor/launch/network.h"
#include "supervisor/launch/function_template.h"
#include "supervisor/store/config.h"

#include <stdbool.h>

struct deployment;
struct function;
struct function_group;
struct registry;
struct watch_entry;

enum deployment_state {
	DEPLOYMENT_COLD,
	DEPLOYMENT_INIT,
	DEPLOYMENT_TEMPLATE,
	DEPLOYMENT_READY,
};

struct deployment {
	struct function *function;
	struct registry *registry;
	struct config *config;
	struct runtime *runtime;
	bool exact; /* the installed runtime is the one that was named */
	bool exec;  /* launch = exec */
	bool retiring;
	enum deployment_state state;
	uid_t uid; /* of its processes outside their user namespaces; its own */
	struct network_place network;
	char log_stream[64];
	char *arn, *code; /* code: the host directory */
	struct init init;
	struct secrets secrets;
	struct function_template *template;
	struct function_group *group; /* while it has, or may get, processes */
	struct cgroup_entry entry;    /* of the group, while something is to enter it */
	struct kit kit;               /* the next launch's */
	struct cgroup_slot kit_slot;
	struct berth *berth; /* the next launch's that an invocation waits for; NULL: none yet */
	unsigned berth_failures; /* could not be made, or not be used */
	struct loop_timer calm;  /* until there is time to make one */
	struct loop_deferred make_kit, freeing;
	struct list idle;      /* isolates that served; the most recent last */
	struct list spare;     /* isolates that are ready and never served */
	struct list busy;      /* serving, or launching for an invocation */
	struct list launching; /* to become spares */
	struct list ending;    /* killed, not reaped */
	uint32_t idle_count, spare_count, busy_count, launching_count, ending_count;
	uint32_t starting;           /* isolates that have not been idle yet, bound or not */
	usec_t warmed_at, last_used; /* monotonic */
	usec_t warm_us;              /* what it took to become READY */
	uint64_t uses;               /* invocations since it is warm */
	uint64_t memory_bytes;       /* of the template, measured; 0: not yet */
	uint64_t anonymous_kb;       /* of the template's resident memory */
	struct list sibling;         /* in the function's, the current one and those that retire */
	struct list link;            /* in the registry's, least recently used first */
	struct list watch_link;
	struct watch_entry *watched;
};

/* Takes a reference to the configuration. 0 or -errno with the sentence. */
int deployment_new(struct function *function, struct config *config, struct deployment **ret,
	struct err *e) MUST_CHECK;

/* Begins to make it READY; the function hears of the outcome by function_deployment_*(). */
void deployment_warm_up(struct deployment *d);

/* Ends template, init and every isolate that is not busy. Back to COLD unless something is busy. */
void deployment_cool_down(struct deployment *d);

/* No more invocations; frees itself when the last busy isolate has gone. */
void deployment_retire(struct deployment *d);

/* Ends everything now; invocations that it serves fail. */
void deployment_abandon(struct deployment *d);

/* Isolates that exist, those that end not counted. */
uint32_t deployment_live(const struct deployment *d);

/* Launches an isolate for an invocation, or (NULL) a spare. 0 or -errno. */
int deployment_launch(struct deployment *d, struct invocation *invocation) MUST_CHECK;

/* When nothing is to do and the next invocation would need a launch: has its namespaces made. */
void deployment_keep_berth(struct deployment *d);

/* A ready isolate, taken out of its list; NULL if there is none. *ret_spare: it never served. */
struct isolate *deployment_take_ready(struct deployment *d, bool *ret_spare);

/* Gives the isolate the event of an invocation. 0 or -errno; the isolate is ended on failure. */
int deployment_serve(
	struct deployment *d, struct isolate *isolate, struct invocation *invocation) MUST_CHECK;

/* After its invocation ended: back to the idle ones, or to its end. */
void deployment_release(struct deployment *d, struct isolate *isolate);

/* Ends an isolate of this deployment, whatever list it is in. */
void deployment_end_isolate(struct deployment *d, struct isolate *isolate);

/* From its control group (group.h): it was made, or (-errno) could not be. */
void deployment_group_ready(struct deployment *d, int result);

/* From the watch (watch.h): an isolate, or the template that loads the code, holds too much. */
void deployment_isolate_too_large(struct deployment *d, struct isolate *isolate, uint64_t held_kb);
void deployment_template_too_large(struct deployment *d, pid_t pid, uint64_t held_kb);
