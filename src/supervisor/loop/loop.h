/*
 * loop.h - the supervisor's one event loop: descriptors, timers, work at the end of a turn.
 *
 * One thread. Sources, timers and deferred calls are embedded in the objects they belong to and may
 * be added and removed from inside any callback. A callback does a bounded piece of work: nothing
 * that waits for a disk or lasts longer than a millisecond.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "base/usec.h"
#include "supervisor/loop/spin.h"

#include <stdbool.h>

struct loop;
struct loop_source;
struct loop_timer;
struct loop_deferred;

/* events: EPOLLIN and the like, as epoll reported them. */
typedef void (*loop_ready_fn)(struct loop_source *source, uint32_t events);
typedef void (*loop_timer_fn)(struct loop_timer *timer);
typedef void (*loop_deferred_fn)(struct loop_deferred *deferred);

struct loop_source {
	loop_ready_fn ready;
	int fd; /* the owner's; remove the source before closing it */
	uint32_t events;
	bool added;
};

struct loop_timer {
	loop_timer_fn expired;
	usec_t at;    /* monotonic */
	size_t index; /* in the heap, from 1; 0: not set */
};

/* Runs once, after all descriptors of this turn: the place to free what a callback may still use.
 */
struct loop_deferred {
	loop_deferred_fn run;
	struct list link;
	bool queued;
};

int loop_new(struct loop **ret) MUST_CHECK;
struct loop *loop_free(struct loop *loop);
DEFINE_CLEANUP(struct loop *, loop_free)

int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events,
	loop_ready_fn ready) MUST_CHECK;
int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events) MUST_CHECK;
void loop_remove(struct loop *loop, struct loop_source *source);

/* Sets or moves a timer. 0 or -ENOMEM. */
int loop_timer_set(
	struct loop *loop, struct loop_timer *timer, usec_t at, loop_timer_fn expired) MUST_CHECK;
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

void loop_defer(struct loop *loop, struct loop_deferred *deferred, loop_deferred_fn run);
void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred);

/* What is likely to come next, see spin.h. */
void loop_expect(struct loop *loop, enum spin_outlook outlook);

/* Runs until loop_stop(). 0 or -errno of epoll itself. */
int loop_run(struct loop *loop) MUST_CHECK;
void loop_stop(struct loop *loop);

/* After the last turn: runs what the end of its owners has deferred since. */
void loop_finish(struct loop *loop);
