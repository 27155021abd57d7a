/*
 * async.c - see async.h. What the store has to do for events is collected while the worker is busy
 * with what came before, and done in one transaction: one wait for the disk for many events.
 */
#include "supervisor/front/async.h"

#include "base/log.h"
#include "supervisor/front/invoke.h"
#include "supervisor/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ACTIVE_MAX 256 /* events from the store that are loaded or run at once */
#define STORE_RETRY_DELAY USEC_PER_SEC

enum async_operation {
	EVENT_NONE,
	EVENT_PUT,      /* then 202, and run */
	EVENT_LOAD,     /* then run */
	EVENT_ATTEMPTS, /* then wait */
	EVENT_DELETE,   /* then it is over */
};

struct async_event {
	struct async *async;
	struct list link; /* in one of async's lists */
	enum async_operation operation;
	int result; /* of the operation */
	char id[UUID_SIZE], function[CONFIG_NAME_MAX + 1];
	struct invocation *invocation; /* NULL while it waits */
	struct request *request;       /* to be told that it is accepted */
	unsigned attempts, throttles;
	usec_t accepted_at; /* since 1970 */
	struct loop_timer timer;
	bool from_store; /* counted in async->active */
};

struct async {
	struct front *front;
	struct list dirty;   /* have an operation to be done */
	struct list syncing; /* have one being done */
	struct list idle;    /* run, or wait for their timers */
	struct list due;     /* wait for others from the store to finish */
	size_t count, active;
	struct job job;
	bool syncing_now;
	struct err err; /* of the job */
	struct loop_timer retry;
};

static void async_pump(struct async *async);
static void async_sync(struct async *async);

static struct loop *async_loop(struct async *async)
{
	return async->front->supervisor->loop;
}

static struct async_event *event_new(struct async *async, const char *function, const char *id)
{
	struct async_event *event = calloc(1, sizeof(*event));

	if (!event)
		return NULL;
	event->async = async;
	snprintf(event->function, sizeof(event->function), "%s", function);
	snprintf(event->id, sizeof(event->id), "%s", id);
	list_init(&event->link);
	async->count++;
	return event;
}

static void event_free(struct async_event *event)
{
	struct async *async = event->async;

	loop_timer_cancel(async_loop(async), &event->timer);
	list_remove(&event->link);
	invocation_free(event->invocation);
	async->count--;
	async->active -= event->from_store;
	free(event);
}

static void event_move(struct async_event *event, struct list *to)
{
	list_remove(&event->link);
	list_append(to, &event->link);
}

static void event_operate(struct async_event *event, enum async_operation operation)
{
	event->operation = operation;
	event_move(event, &event->async->dirty);
	async_sync(event->async);
}

static void event_drop(struct async_event *event, const char *why)
{
	log_warning("gave up the asynchronous invocation %s of function %s: %s", event->id,
		event->function, why);
	event_operate(event, EVENT_DELETE);
}

static void event_due(struct loop_timer *timer)
{
	struct async_event *event = container_of(timer, struct async_event, timer);

	event_move(event, &event->async->due);
	async_pump(event->async);
}

static void event_wait(struct async_event *event, usec_t delay)
{
	struct async *async = event->async;

	event->invocation = invocation_free(event->invocation);
	async->active -= event->from_store;
	event->from_store = false;
	event_move(event, &async->idle);
	/* Without a timer it is left to the next start. */
	if (loop_timer_set(async_loop(async), &event->timer, usec_monotonic() + delay, event_due) <
		0)
		log_error("out of memory: the event %s waits for the next start", event->id);
	async_pump(async);
}

static usec_t retry_delay(const struct async_event *event)
{
	return (usec_t)ASYNC_RETRY_DELAY * event->attempts * USEC_PER_MSEC;
}

static void event_throttled(struct async_event *event)
{
	unsigned shift = min_of(event->throttles, 16u);
	usec_t delay =
		min_of((usec_t)ASYNC_THROTTLE_DELAY << shift, (usec_t)ASYNC_THROTTLE_DELAY_MAX);

	event->throttles++;
	if (usec_realtime() > event->accepted_at + ASYNC_AGE_MAX * USEC_PER_MSEC)
		event_drop(event, "it could not be run for hours");
	else
		event_wait(event, delay * USEC_PER_MSEC);
}

static void event_failed(struct async_event *event)
{
	if (++event->attempts < ASYNC_ATTEMPTS)
		event_operate(event, EVENT_ATTEMPTS);
	else
		event_drop(event, "every attempt has failed");
}

static void event_done(struct invocation *invocation)
{
	struct async_event *event = invocation->owner;
	enum invocation_outcome outcome = invocation->outcome;

	event->invocation = invocation_free(invocation);
	switch (outcome) {
	case INVOCATION_OK:
		event_operate(event, EVENT_DELETE);
		break;
	case INVOCATION_FUNCTION_ERROR:
		event_failed(event);
		break;
	default:
		event_throttled(event);
	}
}

static void event_run(struct async_event *event)
{
	struct function *function =
		registry_find(event->async->front->supervisor->registry, event->function);

	event_move(event, &event->async->idle);
	if (!function) {
		event_drop(event, "the function does not exist any more");
	} else if (event->async->front->draining) {
		/* It is in the store, for the next start. */
		event->invocation = invocation_free(event->invocation);
	} else if (function_config(function)->settings.concurrency == 0) {
		event_throttled(event);
	} else {
		event->invocation->owner = event;
		event->invocation->done = event_done;
		function_invoke(function, event->invocation);
	}
}

/* Worker: one event's part of the transaction. */
static int event_store(struct async_event *event, struct store *store, struct err *e)
{
	const struct invocation *invocation = event->invocation;
	struct store_event row = {
		.request_id = event->id,
		.function = event->function,
		.attempts = event->attempts,
		.accepted_at = event->accepted_at,
	};

	switch (event->operation) {
	case EVENT_PUT:
		row.client_context = invocation->client_context;
		row.trace_id = invocation->trace_id;
		row.payload = invocation->event;
		row.payload_size = invocation->event_size;
		return store_event_put(store, &row, e);
	case EVENT_ATTEMPTS:
		return store_event_set_attempts(store, event->id, event->attempts, e);
	case EVENT_DELETE:
		return store_event_delete(store, event->id, e);
	default:
		return 0;
	}
}

static char *copy_or_null(const char *text, bool *failed)
{
	char *copy = text ? strdup(text) : NULL;

	*failed |= text && !copy;
	return copy;
}

static int event_load_row(void *data, const struct store_event *row)
{
	struct async_event *event = data;
	struct invocation *invocation = invocation_new();
	bool failed = !invocation;

	if (failed)
		return -ENOMEM;
	strcpy(invocation->request_id, event->id);
	invocation->client_context = copy_or_null(row->client_context, &failed);
	invocation->trace_id = copy_or_null(row->trace_id, &failed);
	invocation->event = malloc(row->payload_size + 1);
	invocation->event_size = row->payload_size;
	if (failed || !invocation->event) {
		invocation_free(invocation);
		return -ENOMEM;
	}
	memcpy(invocation->event, row->payload, row->payload_size);
	invocation->event[row->payload_size] = '\0';
	event->invocation = invocation;
	return 0;
}

static int async_transact(struct async *async, struct store *store)
{
	struct async_event *event;
	int r = store_begin(store, &async->err);

	list_for_each (event, &async->syncing, link)
		if (r == 0)
			r = event_store(event, store, &async->err);
	if (r == 0)
		r = store_commit(store, &async->err);
	if (r < 0)
		store_rollback(store);
	return r;
}

static void async_work(struct job *job)
{
	struct async *async = container_of(job, struct async, job);
	struct store *store = async->front->supervisor->store;
	struct async_event *event;
	int r;

	async->err = (struct err){ 0 };
	r = async_transact(async, store);
	list_for_each (event, &async->syncing, link) {
		event->result = r;
		if (event->operation == EVENT_LOAD)
			event->result =
				store_event_get(store, event->id, event_load_row, event, NULL);
	}
}

static void event_answer(struct async_event *event)
{
	struct request *request = take_ptr(event->request);

	request->ended = NULL;
	request->state_of_handler = NULL;
	if (event->result == 0)
		reply_empty(request, 202);
	else
		reply_fault(request, event->result, &event->async->err);
}

/* The operation could not be done; the disk may be full, and may not stay so. */
static void event_store_failed(struct async_event *event, enum async_operation operation)
{
	switch (operation) {
	case EVENT_PUT:
		event_free(event);
		break;
	case EVENT_DELETE:
		event->operation = operation;
		event_move(event, &event->async->dirty);
		break;
	case EVENT_LOAD:
		if (event->result == -ENOENT)
			event_free(event);
		else
			event_wait(event, STORE_RETRY_DELAY);
		break;
	default:
		event_wait(event, retry_delay(event));
	}
}

static void event_synced(struct async_event *event)
{
	enum async_operation operation = event->operation;

	event->operation = EVENT_NONE;
	if (operation == EVENT_PUT && event->request)
		event_answer(event);
	if (event->result < 0)
		event_store_failed(event, operation);
	else if (operation == EVENT_ATTEMPTS)
		event_wait(event, retry_delay(event));
	else if (operation == EVENT_DELETE)
		event_free(event);
	else
		event_run(event);
}

static void async_retry(struct loop_timer *timer)
{
	async_sync(container_of(timer, struct async, retry));
}

static void async_synced(struct job *job)
{
	struct async *async = container_of(job, struct async, job);
	struct async_event *event;
	bool failed = async->err.code < 0;

	if (failed)
		log_error("asynchronous invocations: %s", async->err.text);
	while ((event = list_first(&async->syncing, struct async_event, link)))
		event_synced(event);
	async->syncing_now = false;
	if (!failed)
		async_sync(async);
	else if (loop_timer_set(async_loop(async), &async->retry,
			 usec_monotonic() + STORE_RETRY_DELAY, async_retry) < 0)
		log_error("out of memory: finished events wait for the next one");
	async_pump(async);
}

static void async_sync(struct async *async)
{
	if (async->syncing_now || list_empty(&async->dirty))
		return;
	while (!list_empty(&async->dirty)) {
		struct list *link = async->dirty.next;

		list_remove(link);
		list_append(&async->syncing, link);
	}
	async->syncing_now = true;
	async->job.work = async_work;
	async->job.done = async_synced;
	worker_submit(async->front->supervisor->worker, &async->job);
}

/* Starts events from the store, as many as may be in memory at once. */
static void async_pump(struct async *async)
{
	struct async_event *event;

	if (async->front->draining)
		return;
	while (async->active < ACTIVE_MAX &&
		(event = list_first(&async->due, struct async_event, link))) {
		event->from_store = true;
		async->active++;
		event_operate(event, EVENT_LOAD);
	}
}

static int async_load_row(void *data, const struct store_event *row)
{
	struct async *async = data;
	struct async_event *event = event_new(async, row->function, row->request_id);

	if (!event)
		return -ENOMEM;
	event->attempts = row->attempts;
	event->accepted_at = row->accepted_at;
	list_append(&async->due, &event->link);
	return 0;
}

int async_new(struct front *front, struct async **ret, struct err *e)
{
	_cleanup_(async_free_cleanup) struct async *async = calloc(1, sizeof(*async));
	int r;

	if (!async)
		return err_errno(e, -ENOMEM, "Could not load the asynchronous invocations");
	async->front = front;
	list_init(&async->dirty);
	list_init(&async->syncing);
	list_init(&async->idle);
	list_init(&async->due);
	r = store_event_load(front->supervisor->store, async_load_row, async, e);
	if (r < 0)
		return r;
	async_pump(async);
	*ret = take_ptr(async);
	return 0;
}

/* The request ends before its event is stored: only at the end of the front. */
static void event_forget_request(struct request *request)
{
	struct async_event *event = request->state_of_handler;

	event->request = NULL;
}

void async_accept(struct request *request, const char *function, struct invocation *invocation)
{
	struct async *async = request->front->async;
	struct async_event *event = NULL;

	if (async->count < ASYNC_EVENTS_MAX)
		event = event_new(async, function, invocation->request_id);
	if (!event) {
		invocation_free(invocation);
		reply_error(request, API_THROTTLED,
			"%d asynchronous invocations are waiting already: try again later.",
			ASYNC_EVENTS_MAX);
		return;
	}
	event->invocation = invocation;
	event->accepted_at = usec_realtime();
	event->request = request;
	request->state_of_handler = event;
	request->ended = event_forget_request;
	event_operate(event, EVENT_PUT);
}

static void discard_invocation(struct invocation *invocation)
{
	invocation_free(invocation);
}

static void free_events(struct list *events)
{
	struct async_event *event, *following;

	list_for_each_safe (event, following, events, link) {
		if (event->invocation && event->invocation->owner == event) {
			/* It runs, and is the scheduler's. */
			event->invocation->owner = NULL;
			event->invocation->done = discard_invocation;
			event->invocation = NULL;
		}
		event_free(event);
	}
}

struct async *async_free(struct async *async)
{
	if (!async)
		return NULL;
	free_events(&async->dirty);
	free_events(&async->syncing);
	free_events(&async->idle);
	free_events(&async->due);
	loop_timer_cancel(async_loop(async), &async->retry);
	free(async);
	return NULL;
}
