/*
 * invocation.h - one invocation from the request that asked for it to its result.
 *
 * The front makes it and fills the first part; after scheduler_submit() took it, the scheduler owns
 * it, fills the second part and calls done() once on the loop thread; then it is the front's again,
 * to read and to free. Events and replies are opaque bytes.
 */
#pragma once

#include "base/buffer.h"
#include "base/list.h"
#include "base/usec.h"
#include "supervisor/loop/loop.h"

#include <stdbool.h>

#define INVOCATION_ID_SIZE 37 /* a UUID and its NUL */
#define INVOCATION_TAIL                                                                            \
	4096 /* bytes of log that a client can have with the reply, as on Lambda                   \
	      */

struct function;
struct isolate;

enum invocation_start {
	START_NONE,  /* it did not reach an isolate */
	START_WARM,  /* an isolate that had served before */
	START_SPARE, /* one that was made ahead */
	START_CLONE, /* one cloned for this invocation */
	START_FIRST, /* the function template had to be made too */
	START_EXEC,  /* a new runtime process */
};

enum invocation_outcome {
	INVOCATION_OK,             /* `reply` is the handler's */
	INVOCATION_FUNCTION_ERROR, /* the function failed: `reply` is the error as JSON */
	INVOCATION_THROTTLED, /* limit reached; `error_type` is the Reason, `message` says which */
	INVOCATION_UNAVAILABLE, /* could not be run, and not for the function's fault */
};

struct invocation {
	/* The front's part. */
	char *event; /* malloc'd, owned */
	size_t event_size;
	char *client_context; /* JSON, NULL if none; malloc'd, owned */
	char *trace_id;       /* NULL if none; malloc'd, owned */
	bool wants_tail;
	bool accepts_stream;
	void (*part)(
		struct invocation *invocation, const void *data, size_t size); /* NULL: buffer */
	void (*done)(struct invocation *invocation);
	void *owner;

	/* The scheduler's part. */
	/* Set once parts may come: no more of them for now, or on with them. */
	void (*hold)(struct invocation *invocation, bool on);
	char request_id[INVOCATION_ID_SIZE];
	enum invocation_outcome outcome;
	struct buffer reply;
	char *content_type; /* NULL: application/json */
	char error_type[128];
	char message[512];
	enum invocation_start start;
	usec_t launch_us; /* of the isolate that served it; for a warm one, when it was launched */
	usec_t submitted_at, started_at, ended_at; /* monotonic */
	struct buffer tail; /* the last INVOCATION_TAIL bytes of its log, if wanted */
	struct function *function;
	struct isolate *isolate;
	struct list link;
	size_t log_size, log_lost;
	unsigned attempts; /* launches that failed before the handler could begin */
	uint64_t memory_kb;
};

/* NULL when memory is out. request_id is set. */
struct invocation *invocation_new(void);
struct invocation *invocation_free(struct invocation *invocation);
DEFINE_CLEANUP(struct invocation *, invocation_free)

/* "warm", "spare", "clone", "first", "exec"; "none" before an isolate was found. */
const char *invocation_start_name(enum invocation_start start);
