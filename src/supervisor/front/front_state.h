/*
 * front_state.h - the front as its own files see it.
 */
#pragma once

#include "supervisor/front/front.h"
#include "supervisor/loop/loop.h"
#include "supervisor/store/worker.h"
#include "supervisor/supervisor.h"

#include <microhttpd.h>

struct async;
struct keys;

#define FRONT_CONNECTIONS_MAX 8192
#define FRONT_BODIES_MAX (512UL * 1024 * 1024) /* bytes of request bodies held at once */

/* The listening socket; see listener.c. */
struct listener {
	int fd;
	struct loop_source source;
	struct loop_timer retry;
	bool paused;
	char *unix_path; /* to be removed at the end, NULL for TCP */
	char address[160];
};

struct front {
	struct supervisor *supervisor;
	struct front_calls calls;
	struct worker *deployer; /* large bodies, archives, removal of code */
	struct async *async;

	struct keys *keys;               /* NULL: nobody signs; see access.h */
	char *tls_certificate, *tls_key; /* PEM, NULL: no TLS */

	struct MHD_Daemon *daemon;
	struct loop_source source; /* the daemon's epoll descriptor */
	struct loop_timer timer;   /* when the daemon wants to look at its connections' timeouts */
	struct loop_deferred wake; /* there is something to do for the daemon in this turn */

	struct listener listener;
	struct list connections;
	size_t connection_count, connection_max;
	struct loop_timer sweep; /* looks for connections that are too slow */

	struct list requests;
	size_t body_bytes;
	struct list changing; /* functions with a change on its way to the store */
	struct job collect;   /* removal of code that nothing uses any more */
	bool collecting;
	struct loop_timer collect_timer;
	bool draining;
	usec_t drained_at; /* when connections without a request are ended */
};

/* Lets the daemon look at its connections at the end of this turn of the loop. */
void front_wake(struct front *front);

/* listener.c: 0 or -errno with the sentence. */
int listener_open(struct front *front, const char *where, struct err *e) MUST_CHECK;
void listener_close(struct front *front);

/* Takes connections again after a limit was reached. */
void listener_resume(struct front *front);

/* Removes unused code soon. */
void front_collect_code(struct front *front);
