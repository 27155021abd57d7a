/*
 * loop.c - see loop.h. Timers are a binary heap in an array; index 0 of the array is not used.
 */
#include "supervisor/loop/loop.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOOP_EVENTS 64 /* descriptors handled in one turn */

struct loop {
	int epoll;
	bool stopping;
	struct list deferred;
	struct loop_timer **heap;
	size_t heap_size, heap_capacity;
	struct spin spin;
	/* The turn that is being handled, so that a source removed by a callback is skipped. */
	struct epoll_event events[LOOP_EVENTS];
	int event_count;
};

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	list_init(&loop->deferred);
	spin_init(&loop->spin);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	fd_close(loop->epoll);
	free(loop->heap);
	free(loop);
	return NULL;
}

static int loop_control(struct loop *loop, int operation, struct loop_source *source)
{
	struct epoll_event event = { .events = source->events, .data.ptr = source };

	return epoll_ctl(loop->epoll, operation, source->fd, &event) < 0 ? -errno : 0;
}

int loop_add(
	struct loop *loop, struct loop_source *source, int fd, uint32_t events, loop_ready_fn ready)
{
	int r;

	source->fd = fd;
	source->events = events;
	source->ready = ready;
	r = loop_control(loop, EPOLL_CTL_ADD, source);
	source->added = r == 0;
	return r;
}

int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	uint32_t before = source->events;
	int r;

	if (before == events)
		return 0;
	source->events = events;
	r = loop_control(loop, EPOLL_CTL_MOD, source);
	if (r < 0)
		source->events = before; /* so that the next one tries again */
	return r;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (!source->added)
		return;
	source->added = false;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == source)
			loop->events[i].data.ptr = NULL;
}

static void heap_place(struct loop *loop, size_t index, struct loop_timer *timer)
{
	loop->heap[index] = timer;
	timer->index = index;
}

static void heap_rise(struct loop *loop, struct loop_timer *timer)
{
	size_t index = timer->index;

	while (index > 1 && loop->heap[index / 2]->at > timer->at) {
		heap_place(loop, index, loop->heap[index / 2]);
		index /= 2;
	}
	heap_place(loop, index, timer);
}

static void heap_sink(struct loop *loop, struct loop_timer *timer)
{
	size_t index = timer->index;

	for (;;) {
		size_t child = index * 2;

		if (child < loop->heap_size && loop->heap[child + 1]->at < loop->heap[child]->at)
			child++;
		if (child > loop->heap_size || loop->heap[child]->at >= timer->at)
			break;
		heap_place(loop, index, loop->heap[child]);
		index = child;
	}
	heap_place(loop, index, timer);
}

static int heap_grow(struct loop *loop)
{
	size_t capacity = max_of(loop->heap_capacity * 2, (size_t)64);
	struct loop_timer **heap;

	if (loop->heap_size + 1 < loop->heap_capacity)
		return 0;
	heap = reallocarray(loop->heap, capacity, sizeof(struct loop_timer *));
	if (!heap)
		return -ENOMEM;
	loop->heap = heap;
	loop->heap_capacity = capacity;
	return 0;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, usec_t at, loop_timer_fn expired)
{
	timer->expired = expired;
	if (!timer->index) {
		if (heap_grow(loop) < 0)
			return -ENOMEM;
		timer->at = at;
		heap_place(loop, ++loop->heap_size, timer);
		heap_rise(loop, timer);
		return 0;
	}
	timer->at = at;
	heap_rise(loop, timer);
	heap_sink(loop, timer);
	return 0;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	size_t index = timer->index;
	struct loop_timer *last;

	if (!index)
		return;
	timer->index = 0;
	last = loop->heap[loop->heap_size--];
	if (last == timer)
		return;
	heap_place(loop, index, last);
	heap_rise(loop, last);
	heap_sink(loop, last);
}

void loop_defer(struct loop *loop, struct loop_deferred *deferred, loop_deferred_fn run)
{
	deferred->run = run;
	if (deferred->queued)
		return;
	deferred->queued = true;
	list_append(&loop->deferred, &deferred->link);
}

void loop_defer_cancel(struct loop *loop, struct loop_deferred *deferred)
{
	(void)loop;
	if (!deferred->queued)
		return;
	deferred->queued = false;
	list_remove(&deferred->link);
}

static void loop_run_deferred(struct loop *loop)
{
	/* Only what was queued before now: a deferred call that defers itself waits for the next
	 * turn. */
	struct list batch = LIST_INIT(batch);

	while (!list_empty(&loop->deferred)) {
		struct list *link = loop->deferred.next;

		list_remove(link);
		list_append(&batch, link);
	}
	while (!list_empty(&batch)) {
		struct loop_deferred *deferred = list_first(&batch, struct loop_deferred, link);

		list_remove(&deferred->link);
		deferred->queued = false;
		deferred->run(deferred);
	}
}

static void loop_run_timers(struct loop *loop)
{
	usec_t now = usec_monotonic();

	while (loop->heap_size > 0 && loop->heap[1]->at <= now) {
		struct loop_timer *timer = loop->heap[1];

		loop_timer_cancel(loop, timer);
		timer->expired(timer);
	}
}

/* Milliseconds that epoll may wait, rounded up so that a timer is never early. */
static int loop_patience(struct loop *loop)
{
	usec_t now, at;

	if (!list_empty(&loop->deferred))
		return 0;
	if (loop->heap_size == 0)
		return -1;
	now = usec_monotonic();
	at = loop->heap[1]->at;
	if (at <= now)
		return 0;
	return (int)min_of((at - now + 999) / 1000, (usec_t)60000);
}

static int loop_poll(struct loop *loop, int patience)
{
	return epoll_wait(loop->epoll, loop->events, LOOP_EVENTS, patience);
}

/* The number of events found before the time for it is over. */
static int loop_spin(struct loop *loop)
{
	usec_t end = usec_monotonic() + SPIN_LONGEST;
	int n;

	do
		n = loop_poll(loop, 0);
	while (n == 0 && usec_monotonic() < end);
	spin_tried(&loop->spin, n != 0);
	return n;
}

static int loop_sleep(struct loop *loop, int patience)
{
	usec_t start = usec_monotonic();
	int n = loop_poll(loop, patience);

	spin_slept(&loop->spin, usec_monotonic() - start);
	return n;
}

static int loop_wait(struct loop *loop)
{
	int patience = loop_patience(loop), n;

	if (patience == 0)
		return loop_poll(loop, 0);
	if (!spin_pays(&loop->spin))
		return loop_sleep(loop, patience);
	n = loop_spin(loop);
	return n == 0 ? loop_poll(loop, patience) : n;
}

static int loop_turn(struct loop *loop)
{
	loop->event_count = loop_wait(loop);
	if (loop->event_count < 0) {
		loop->event_count = 0;
		return errno == EINTR ? 0 : -errno;
	}
	for (int i = 0; i < loop->event_count; i++) {
		struct loop_source *source = loop->events[i].data.ptr;

		if (source)
			source->ready(source, loop->events[i].events);
	}
	loop->event_count = 0;
	loop_run_timers(loop);
	loop_run_deferred(loop);
	return 0;
}

void loop_expect(struct loop *loop, enum spin_outlook outlook)
{
	loop->spin.outlook = outlook;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	loop->stopping = false;
	while (!loop->stopping && r == 0)
		r = loop_turn(loop);
	return r;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

void loop_finish(struct loop *loop)
{
	while (!list_empty(&loop->deferred))
		loop_run_deferred(loop);
}
