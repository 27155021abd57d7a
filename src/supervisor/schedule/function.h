/*
 * function.h - the functions that exist, by name, with everything they have running.
 *
 * The registry owns the functions and is the only place where the front meets the scheduler. All of
 * it lives on the loop thread and in memory; what must survive is in the store, and is committed
 * before the registry is told.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "supervisor/store/config.h"

#include <stdbool.h>

struct function;
struct invocation;
struct registry;

/* NULL when there is no such function. */
struct function *registry_find(struct registry *registry, const char *name);

/* Adds a function or gives an existing one a new configuration (and code). Takes a reference of its
 * own. Isolates with the old configuration finish what they serve and retire. 0 or -ENOMEM. */
int registry_put(struct registry *registry, struct config *config) MUST_CHECK;

/* Forgets a function: waiting invocations fail, isolates are ended. Unknown names are ignored. */
void registry_remove(struct registry *registry, const char *name);

/* Functions in order of name, the first one after `name` (NULL: from the start), or NULL. */
struct function *registry_next(struct registry *registry, const char *name);

/* The current configuration; borrowed. */
struct config *function_config(struct function *function);

/* Takes the invocation over, see invocation.h. done() may be called before this returns. */
void function_invoke(struct function *function, struct invocation *invocation);

/* Makes the function template now instead of at first use; the outcome is in the function's log. */
void function_warm(struct function *function);

struct function_stats {
	uint64_t invocations, errors, throttles, timeouts;
	uint64_t out_of_memory;      /* isolates and templates ended for it */
	uint64_t replies_too_large;  /* refused for their size */
	uint64_t process_refusals;   /* forks that failed at the function's limit */
	uint64_t cpu_throttled_usec; /* time that its processes waited at its cpu limit */
	uint64_t billed_ms;
	double gb_seconds;
	uint32_t isolates_idle, isolates_busy, isolates_launching, waiting;
	bool template_ready;
	uint64_t launches;
	usec_t last_launch_us;
	uint64_t template_kb; /* proportional set size of the function template, 0: unknown */
	uint64_t template_anonymous_kb; /* its resident anonymous memory */
	usec_t warm_us;                 /* what making init and template took, last time */
	char note[256]; /* what `show` should say, such as an inexact runtime match; "" if nothing
			 */
};

void function_get_stats(struct function *function, struct function_stats *ret);

/*
 * Appends to `ret` the function's log from a position in its whole history, and moves the position
 * to the end of what was appended (at most `max` bytes). A position that is no longer kept is moved
 * to the oldest that is. `before_end` > 0 asks for the last so many bytes instead.
 */
int function_read_log(struct function *function, uint64_t *position, size_t before_end, size_t max,
	struct buffer *ret) MUST_CHECK;
