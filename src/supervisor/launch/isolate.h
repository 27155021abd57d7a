/*
 * isolate.h - one execution environment: a process that serves invocations, one at a time.
 *
 *     LAUNCHING --HELLO, IDLE--> IDLE <--event sent, reply--> BUSY
 *         \----------------------\-------------------------\--> ENDING --process reaped--> gone()
 *
 * A clone of a function template, or (launch = exec) a runtime process of its own. Hostile from its
 * first message on. The event may be sent while it is still launching: it waits in the socket,
 * which spares a round trip.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"
#include "base/macros.h"
#include "base/usec.h"
#include "supervisor/launch/berth.h"
#include "supervisor/launch/channel.h"
#include "supervisor/launch/console.h"
#include "supervisor/launch/kit.h"
#include "supervisor/launch/function_template.h"

#include <stdbool.h>

struct invocation;
struct isolate;

enum isolate_state {
	ISOLATE_LAUNCHING,
	ISOLATE_IDLE,
	ISOLATE_BUSY,
	ISOLATE_ENDING,
};

struct isolate_event {
	const char *request_id, *arn, *client_context, *trace_id; /* the last two may be NULL */
	uint64_t deadline_ms;                                     /* since 1970 */
	bool accepts_stream;
	const void *payload;
	size_t payload_size;
};

struct isolate_reply {
	bool failed;              /* the handler failed: `payload` is the error as JSON */
	const char *error_type;   /* of a failure */
	const char *content_type; /* NULL: application/json */
	const void *payload;
	size_t payload_size;
	uint64_t memory_kb; /* as the guest says */
};

/* How it ended, for the invocation that it was serving, if any. */
struct isolate_end {
	bool had_launched;  /* it reached IDLE once */
	bool init_failed;   /* exec only: `type` and `json` are the error of the tenant's code */
	bool malformed;     /* it broke the protocol */
	bool by_us;         /* isolate_end() was called */
	bool out_of_memory; /* the owner's: that is why */
	int status;         /* as of waitpid() */
	const char *type;
	const struct buffer *json;
	char text[128]; /* "Runtime exited with error: signal: killed" */
};

struct isolate_events {
	void (*idle)(struct isolate *isolate);
	void (*replied)(struct isolate *isolate, const struct isolate_reply *reply);
	void (*part)(struct isolate *isolate, const struct isolate_reply *part);
	void (*line)(struct isolate *isolate, const char *line, size_t size);
	/* Nothing is left of it; the last call. The isolate is freed afterwards. */
	void (*gone)(struct isolate *isolate, const struct isolate_end *end);
};

struct isolate {
	const struct isolate_events *events;
	void *owner;
	struct loop *loop;
	struct processes *processes;
	enum isolate_state state;
	struct process process;
	struct berth *berth;    /* it lives in; NULL: its namespaces end with its process */
	struct spawn spawn;     /* exec only */
	struct channel mapping; /* exec only: until the ids of its user namespace are mapped */
	uid_t uid;
	size_t reply_bytes; /* the function's limit */
	struct channel channel;
	struct console console;
	struct loop_timer limit; /* of launching; the owner's while it is idle or busy */
	struct loop_deferred freeing;
	uint32_t launch_sequence;    /* of the LAUNCH, for a refusal */
	uint32_t event_sequence;     /* of the event being served */
	usec_t launched_at, idle_at; /* monotonic: decision, first IDLE */
	uint32_t served;             /* events finished */
	bool event_sent;             /* while LAUNCHING: it is in the socket already */
	struct isolate_end end;
	char end_type[128];
	struct buffer end_json;
	/* The owner's. */
	struct invocation *invocation;
	usec_t launch_us;
	bool is_last;       /* what it serves now is the last that it serves */
	struct list *place; /* the list it is in */
	struct watch_sample *watched;
	struct cgroup_slot slot;
	struct list link;
};

/* Whether it can be given an event now. */
static inline bool isolate_can_serve(const struct isolate *isolate)
{
	return isolate->state == ISOLATE_IDLE && isolate->process.pid;
}

/* Clones one from a ready template with a kit and (or NULL) in a berth, which are used up whatever
 * happens, but for the kit's /tmp where the berth has one. 0 or -errno. */
int isolate_clone(struct function_template *t, struct kit *kit, struct berth *berth,
	const struct isolate_events *events, void *owner, struct isolate **ret) MUST_CHECK;

/* Starts a runtime process as one; `limit`: longest time until it is idle. 0 or -errno. */
int isolate_exec(struct runtime *runtime, struct init *init, struct loop *loop,
	struct processes *processes, const struct guest_spec *spec, struct kit *kit, usec_t limit,
	const struct isolate_events *events, void *owner, struct isolate **ret) MUST_CHECK;

/* Sends an event to an isolate that is IDLE or LAUNCHING without one. 0 or -errno. */
int isolate_send(struct isolate *isolate, const struct isolate_event *event) MUST_CHECK;

/* Whether what it says waits, because nobody takes the parts of its reply; until its reply is over. */
void isolate_hold(struct isolate *isolate, bool on);

/* Kills it with everything it started; gone() follows when it is reaped, never before this returns.
 */
void isolate_end(struct isolate *isolate);

/* The template refused the launch: gone() follows. */
void isolate_refused(struct isolate *isolate, const struct err *e);

/* Kills it and forgets it at once: gone() is not called. */
void isolate_abandon(struct isolate *isolate);
