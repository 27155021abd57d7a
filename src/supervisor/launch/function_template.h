/*
 * function_template.h - the function template: a clone of a runtime template that loaded a tenant's
 * code and parked. Isolates are clones of it.
 *
 *     new --init up, runtime template ready--> CLONING --HELLO--> LOADING --READY--> READY
 *                                                 \------------------\----------------\--> ENDED
 *
 * It is made inside the namespaces of the function's init, which the owner started. From HELLO on
 * it is hostile: what it says is checked, and it is signalled through its pidfd only.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "base/macros.h"
#include "base/usec.h"
#include "supervisor/launch/cgroup.h"
#include "supervisor/launch/channel.h"
#include "supervisor/launch/console.h"
#include "supervisor/launch/init.h"
#include "supervisor/launch/runtime.h"

#include <stdbool.h>

struct function_template;

/* What a function is to its templates and isolates; copied where it must last. */
struct guest_spec {
	const char *name, *handler, *runtime_identifier, *arn, *log_stream;
	char *const *environment; /* NAME=VALUE, NULL-terminated */
	uint32_t memory_mb, tmp_mb;
	uint32_t warm_up; /* rounds of the package's warm-up events */
	uint32_t reply_bytes;
	uint32_t processes, descriptors; /* 0: no limit */
	uint32_t isolates;               /* that may live at once */
	bool confined;                   /* in the whole envelope */
	uid_t uid;                       /* of its processes outside its user namespace */
	int system_calls;                /* the program of those that are allowed; borrowed */
	int network;               /* a namespace to join, -1: an empty one of its own; borrowed */
	struct cgroup_entry group; /* to enter; borrowed until READY */
};

enum template_state {
	TEMPLATE_CLONING,
	TEMPLATE_LOADING,
	TEMPLATE_READY,
	TEMPLATE_ENDED,
};

struct template_failure {
	bool tenant; /* the tenant's code failed: `type` and `json` are its error */
	char type[128];
	struct buffer json;
	struct err e; /* otherwise */
	bool killed;  /* by SIGKILL, and not by us */
};

struct function_template_events {
	void (*ready)(struct function_template *t);
	void (*line)(struct function_template *t, const char *line, size_t size);
	/* It could not be made, or ended later. To be freed in it. */
	void (*ended)(struct function_template *t, const struct template_failure *failure);
	/* It refused to be cloned for the launch with this sequence. */
	void (*refused)(struct function_template *t, uint32_t sequence, const struct err *e);
};

struct function_template {
	const struct function_template_events *events;
	void *owner;
	struct loop *loop;
	struct processes *processes;
	struct runtime *runtime;
	struct init *init;
	enum template_state state;
	struct runtime_waiter waiter;
	struct runtime_clone clone;
	struct process process;
	struct channel control;
	struct console console;
	struct loop_timer limit; /* of loading; and of a retry while the runtime template is busy */
	struct loop_deferred ending;
	struct buffer become; /* the fields, encoded once */
	bool confined;
	uid_t uid;
	int system_calls, network;
	uint32_t reply_bytes; /* of its isolates, at most */
	struct cgroup_entry group;
	usec_t load_limit;
	usec_t started_at, hello_at, ready_at; /* monotonic */
	uint32_t sequence;                     /* of the last launch */
	struct template_failure failure;
};

/* Starts making one; `init` must be up and outlive it. load_limit: longest time from HELLO to
 * READY. 0 or -errno. */
int function_template_new(struct runtime *runtime, struct init *init, struct loop *loop,
	struct processes *processes, const struct guest_spec *spec, usec_t load_limit,
	const struct function_template_events *events, void *owner,
	struct function_template **ret) MUST_CHECK;
struct function_template *function_template_free(struct function_template *t);

/* Encodes a BECOME or the fields of one, for templates and for exec. 0 or -errno. */
int guest_spec_encode(
	const struct guest_spec *spec, uint32_t sequence, struct buffer *ret) MUST_CHECK;

/* Sends a LAUNCH; 0, or -errno (-EAGAIN: it has as many to do as its socket holds). berth: whether its
 * namespaces are among the descriptors (settings.h). */
int function_template_launch(struct function_template *t, bool berth, const int *fds,
	size_t fd_count, uint32_t *ret_sequence) MUST_CHECK;
