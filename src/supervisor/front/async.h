/*
 * async.h - asynchronous invocations ("Event"): accepted once they are stored, run at least once.
 *
 *     accept -> stored, 202 -> run --ok--> removed from the store
 *                 ^              |
 *                 '-- wait <-----'  failed: tried again ASYNC_ATTEMPTS times in all, then given up;
 *                                   throttled: tried again for ASYNC_AGE_MAX
 *
 * A restart runs what it finds in the store, so an event may run twice when the supervisor was
 * killed between its end and the removal. Payloads of waiting events are in the store only.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "base/usec.h"

struct async;
struct front;
struct invocation;
struct request;

#define ASYNC_PAYLOAD_MAX (1024 * 1024)
#define ASYNC_ATTEMPTS 3        /* as on Lambda: one, and two retries */
#define ASYNC_EVENTS_MAX 100000 /* accepted and not finished */

/* Milliseconds; a harness has no time for those of Lambda. */
#ifndef ASYNC_RETRY_DELAY
#define ASYNC_RETRY_DELAY 60000   /* times the number of failed attempts */
#define ASYNC_THROTTLE_DELAY 1000 /* the first; doubled each time */
#define ASYNC_THROTTLE_DELAY_MAX 300000
#define ASYNC_AGE_MAX (6 * 3600000ULL) /* of an event that is throttled */
#endif

/* Loads the events that are in the store; they start when the loop runs. 0 or -errno. */
int async_new(struct front *front, struct async **ret, struct err *e) MUST_CHECK;

/* Stores the event and answers the request, then runs it; the invocation is taken over. */
void async_accept(struct request *request, const char *function, struct invocation *invocation);

/* Stores what is not stored yet and forgets the rest; it is in the store. NULL is accepted. */
struct async *async_free(struct async *async);
DEFINE_CLEANUP(struct async *, async_free)
