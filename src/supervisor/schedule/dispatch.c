/*
 * dispatch.c - finds an isolate for every waiting invocation, and keeps spares ready.
 *
 * Policy: an idle isolate first, else a spare, else a launch, as far as the limits allow; else it
 * waits, and when the queue is full it is throttled. A launch takes the invocation it was made for
 * with it, which spares a round trip between supervisor and isolate.
 */
#include "supervisor/launch/runtime.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <stdio.h>

/* A template makes one clone at a time; what waits behind these is better off with whichever
 * isolate becomes idle first. */
#define DISPATCH_STARTING_MAX 8

static struct invocation *waiting_take(struct function *function)
{
	struct invocation *invocation = list_first(&function->waiting, struct invocation, link);

	list_remove(&invocation->link);
	function->waiting_count--;
	return invocation;
}

static void waiting_put_back(struct function *function, struct invocation *invocation)
{
	list_prepend(&function->waiting, &invocation->link);
	function->waiting_count++;
}

static void function_fail_waiting(struct function *function, const struct template_failure *failure)
{
	while (!list_empty(&function->waiting)) {
		struct invocation *invocation = waiting_take(function);

		if (failure->tenant)
			invocation_finish_json(
				invocation, failure->type, failure->json.data, failure->json.size);
		else if (failure->e.code == -ETIMEDOUT)
			invocation_finish_error(invocation, "Sandbox.Timedout", failure->e.text);
		else
			invocation_finish_error(invocation, "Runtime.ExitError", failure->e.text);
	}
}

void function_deployment_ready(struct function *function, struct deployment *d)
{
	function_note(function, "polyvisor: ready to launch after %.1f ms",
		(double)d->warm_us / USEC_PER_MSEC);
	function_pump_later(function);
}

void function_deployment_failed(
	struct function *function, struct deployment *d, const struct template_failure *failure)
{
	if (failure->tenant)
		function_note(function, "polyvisor: the code did not load: %s: %.*s", failure->type,
			(int)min_of(failure->json.size, (size_t)800), failure->json.data);
	else
		function_note(function, "polyvisor: %s", failure->e.text);
	if (d == function->current)
		function_fail_waiting(function, failure);
}

static bool function_may_launch(struct function *function)
{
	struct deployment *d = function->current;

	return d->starting < DISPATCH_STARTING_MAX &&
	       deployment_live(d) < d->config->settings.concurrency &&
	       function->registry->live < function->registry->supervisor->options.concurrency;
}

/* 1: it found an isolate, 0: it must wait. */
static int function_dispatch_one(struct function *function)
{
	struct deployment *d = function->current;
	bool spare;
	struct isolate *isolate = deployment_take_ready(d, &spare);
	struct invocation *invocation;
	struct template_failure failure = { 0 };
	int r;

	if (!isolate && d->state != DEPLOYMENT_READY) {
		deployment_warm_up(d);
		return 0;
	}
	if (!isolate && !function_may_launch(function))
		return 0;
	invocation = waiting_take(function);
	if (isolate) {
		if (deployment_serve(d, isolate, invocation) < 0)
			waiting_put_back(function, invocation);
		return 1;
	}
	r = deployment_launch(d, invocation);
	if (r == 0)
		return 1;
	waiting_put_back(function, invocation);
	if (r == -EAGAIN || r == -ESTALE || d->busy_count > 0)
		return 0;
	err_errno(&failure.e, r, "cannot launch an isolate of %s", function->name);
	function_fail_waiting(function, &failure);
	return 0;
}

/* A launch beside an event slows that event: with another spare in hand, it waits for the reply. */
static bool spares_can_wait(const struct deployment *d)
{
	return d->spare_count > 0 && d->busy_count > 0;
}

static void function_keep_spares(struct function *function)
{
	struct deployment *d = function->current;
	uint32_t wanted = d->config->settings.spares;

	if (d->state != DEPLOYMENT_READY || d->exec || spares_can_wait(d))
		return;
	while (d->spare_count + d->launching_count < wanted && function_may_launch(function))
		if (deployment_launch(d, NULL) < 0)
			return;
}

static void function_pump(struct loop_deferred *deferred)
{
	struct function *function = container_of(deferred, struct function, pump);

	if (!function->current)
		return;
	while (!list_empty(&function->waiting) && function_dispatch_one(function) > 0)
		continue;
	if (!list_empty(&function->waiting))
		return;
	function_keep_spares(function);
	deployment_keep_berth(function->current);
}

void function_pump_later(struct function *function)
{
	if (!function->removed)
		loop_defer(function->registry->supervisor->loop, &function->pump, function_pump);
}

static void function_refuse(struct function *function, struct invocation *invocation)
{
	char message[256];

	snprintf(message, sizeof(message),
		"Rate Exceeded: %u invocations of %s wait already, which is its queue limit.",
		function->waiting_count, function->name);
	invocation_finish_refused(invocation, INVOCATION_THROTTLED,
		"ReservedFunctionConcurrentInvocationLimitExceeded", message);
}

void function_invoke(struct function *function, struct invocation *invocation)
{
	struct deployment *d = function->current;
	uint32_t concurrency = d->config->settings.concurrency, live = deployment_live(d);

	invocation->function = function;
	invocation->submitted_at = usec_monotonic();
	d->last_used = invocation->submitted_at;
	list_append(&function->waiting, &invocation->link);
	function->waiting_count++;
	/* At once, not at the end of the turn: this is the launch path. */
	if (concurrency > 0 && function->waiting_count == 1 && function_dispatch_one(function) > 0)
		return;
	/* One that waits for a launch that the limits allow does not count as queued. */
	if (function->waiting_count >
		d->config->settings.queue + (concurrency - min_of(live, concurrency))) {
		list_remove(&invocation->link);
		function->waiting_count--;
		function_refuse(function, invocation);
		return;
	}
	function_pump_later(function);
}

void function_warm(struct function *function)
{
	deployment_warm_up(function->current);
}
