/*
 * front.h - the supervisor's HTTP side: AWS Lambda's API, function URLs, health and metrics.
 *
 * Owns the listening socket, the connections and every request on them, all on the loop thread. A
 * request whose answer is not there at once is suspended, and its connection costs nothing until
 * there is one. Reading large bodies, unpacking code and the store's commits happen on workers: the
 * supervisor's own for the store, and one of the front's for deploys, so that a large deploy delays
 * no acceptance of an event.
 *
 *     accept -> connection.c -> libmicrohttpd -> front.c -> request.c -> routes.c -> a handler
 *                                                                             |
 *     registry, store, code <- change.c (what changes a function) <-----------+-> invoke.c, ...
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "base/macros.h"

#include <stdbool.h>

struct front;
struct supervisor;

/* What the front asks the rest of the supervisor, beyond the registry. */
struct front_calls {
	/* Whether a function could run with that runtime; if not, *ret_why (may stay NULL) is a
	 * sentence. */
	bool (*runtime_known)(
		struct supervisor *supervisor, const char *name, const char **ret_why);
	/* Append a whole document: 0 or -ENOMEM. */
	int (*metrics_render)(struct supervisor *supervisor, struct buffer *ret);
	int (*runtimes_render)(struct supervisor *supervisor, struct buffer *ret);
};

/*
 * Listens at options.listen, and starts what was accepted and not finished before a restart. The
 * supervisor has its loop, worker, store and registry by then. 0 or -errno with the sentence.
 */
int front_new(struct supervisor *supervisor, const struct front_calls *calls, struct front **ret,
	struct err *e) MUST_CHECK;

/* "127.0.0.1:8480": where it listens, the port included that the system chose. */
const char *front_address(const struct front *front);

/* Takes no more connections, and ends each that there is with the reply to its current request. */
void front_drain(struct front *front);

/* Whether no request is in the middle of being answered. */
bool front_is_idle(const struct front *front);

/* Answers what is left with 503 and closes everything. Invocations that have not ended yet stay
 * valid, and are freed when they do. NULL is accepted. */
struct front *front_free(struct front *front);
DEFINE_CLEANUP(struct front *, front_free)
