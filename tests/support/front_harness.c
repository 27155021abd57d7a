/*
 * front_harness.c - the supervisor's front and store with a registry that runs nothing.
 *
 * Speaks HTTP like `polyvisor serve --listen A --state DIR`, so that the tests and measurements of
 * the front need no language runtime. What a function does is its handler:
 *
 *     fake.echo          replies with the event, at once
 *     fake.slow          the same, after the milliseconds that the event is (a number)
 *     fake.error         fails
 *     fake.flaky         fails the first two times, then as echo
 *     fake.throttle      has no place
 *     fake.unavailable   could not be run
 *     fake.structured    replies with the text of the event's "body" member: function URLs
 *     fake.stream        replies in three parts
 *     fake.big           replies with as many bytes as the event is (a number), as a JSON string
 */
#include "base/list.h"
#include "base/log.h"
#include "supervisor/front/front.h"
#include "supervisor/loop/loop.h"
#include "supervisor/schedule/function.h"
#include "supervisor/schedule/invocation.h"
#include "supervisor/store/code.h"
#include "supervisor/store/store.h"
#include "supervisor/store/unpack.h"
#include "supervisor/store/worker.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FUNCTIONS_MAX 20000

struct function {
	struct config *config;
	unsigned long invocations;
	bool warmed;
};

struct registry {
	struct function *functions[FUNCTIONS_MAX]; /* in order of name */
	size_t count;
	struct loop *loop;
};

static size_t position_of(struct registry *registry, const char *name)
{
	size_t low = 0, high = registry->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(registry->functions[middle]->config->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct function *registry_find(struct registry *registry, const char *name)
{
	size_t at = position_of(registry, name);

	if (at == registry->count || strcmp(registry->functions[at]->config->name, name) != 0)
		return NULL;
	return registry->functions[at];
}

int registry_put(struct registry *registry, struct config *config)
{
	struct function *function = registry_find(registry, config->name);
	size_t at = position_of(registry, config->name);

	if (function) {
		config_unref(function->config);
		function->config = config_ref(config);
		return 0;
	}
	function = calloc(1, sizeof(*function));
	if (!function || registry->count == FUNCTIONS_MAX) {
		free(function);
		return -ENOMEM;
	}
	function->config = config_ref(config);
	memmove(registry->functions + at + 1, registry->functions + at,
		(registry->count - at) * sizeof(registry->functions[0]));
	registry->functions[at] = function;
	registry->count++;
	return 0;
}

void registry_remove(struct registry *registry, const char *name)
{
	struct function *function = registry_find(registry, name);
	size_t at = position_of(registry, name);

	if (!function)
		return;
	registry->count--;
	memmove(registry->functions + at, registry->functions + at + 1,
		(registry->count - at) * sizeof(registry->functions[0]));
	config_unref(function->config);
	free(function);
}

struct function *registry_next(struct registry *registry, const char *name)
{
	size_t at = name ? position_of(registry, name) : 0;

	if (name && at < registry->count &&
		strcmp(registry->functions[at]->config->name, name) == 0)
		at++;
	return at < registry->count ? registry->functions[at] : NULL;
}

struct config *function_config(struct function *function)
{
	return function->config;
}

void function_warm(struct function *function)
{
	function->warmed = true;
}

void function_get_stats(struct function *function, struct function_stats *ret)
{
	*ret = (struct function_stats){ .invocations = function->invocations,
		.template_ready = function->warmed };
}

static const char log_text[] = "START RequestId: fake\nhello\nEND RequestId: fake\n";

int function_read_log(struct function *function, uint64_t *position, size_t before_end, size_t max,
	struct buffer *ret)
{
	size_t end = function->invocations ? sizeof(log_text) - 1 : 0;

	if (before_end > 0)
		*position = end - min_of(before_end, end);
	if (*position >= end)
		return 0;
	buffer_append(ret, log_text + *position, min_of(end - *position, max));
	*position += min_of(end - *position, max);
	return ret->failed ? -ENOMEM : 0;
}

static struct loop *the_loop; /* of the timers below; there is one */

struct later {
	struct loop_timer timer;
	struct invocation *invocation;
	unsigned step;
};

static void echo(struct invocation *invocation)
{
	invocation->start = START_WARM;
	invocation->launch_us = 123;
	buffer_append(&invocation->reply, invocation->event, invocation->event_size);
	if (invocation->wants_tail)
		buffer_append_string(&invocation->tail, log_text);
	invocation->done(invocation);
}

static void fail(struct invocation *invocation, enum invocation_outcome outcome, const char *type)
{
	invocation->outcome = outcome;
	snprintf(invocation->error_type, sizeof(invocation->error_type), "%s", type);
	snprintf(invocation->message, sizeof(invocation->message), "the fake function says %s",
		type);
	if (outcome == INVOCATION_FUNCTION_ERROR)
		buffer_printf(
			&invocation->reply, "{\"errorType\":\"%s\",\"errorMessage\":\"x\"}", type);
	invocation->done(invocation);
}

static void later_run(struct loop_timer *timer)
{
	struct later *later = container_of(timer, struct later, timer);
	struct invocation *invocation = later->invocation;

	if (later->step > 0 && invocation->part) {
		later->step--;
		invocation->part(invocation, "part ", 5);
		if (loop_timer_set(
			    the_loop, timer, usec_monotonic() + 20 * USEC_PER_MSEC, later_run) == 0)
			return;
	}
	free(later);
	echo(invocation);
}

static void run_later(struct invocation *invocation, usec_t delay, unsigned steps)
{
	struct later *later = calloc(1, sizeof(*later));

	later->invocation = invocation;
	later->step = steps;
	if (loop_timer_set(the_loop, &later->timer, usec_monotonic() + delay, later_run) < 0)
		fail(invocation, INVOCATION_UNAVAILABLE, "ServiceException");
}

static void structured(struct invocation *invocation)
{
	json_t *event = json_loadb(invocation->event, invocation->event_size, 0, NULL);
	const char *body = json_string_value(json_object_get(event, "body"));

	invocation->start = START_CLONE;
	if (body)
		buffer_append_string(&invocation->reply, body);
	else
		buffer_append(&invocation->reply, invocation->event, invocation->event_size);
	json_decref(event);
	invocation->done(invocation);
}

static void big(struct invocation *invocation)
{
	size_t size = (size_t)atol(invocation->event);
	char *space;

	buffer_append_string(&invocation->reply, "\"");
	space = buffer_reserve(&invocation->reply, size);
	if (space) {
		memset(space, 'x', size);
		invocation->reply.size += size;
	}
	buffer_append_string(&invocation->reply, "\"");
	invocation->done(invocation);
}

void function_invoke(struct function *function, struct invocation *invocation)
{
	const char *handler = function->config->handler;
	unsigned long before = function->invocations++;

	if (strcmp(handler, "fake.slow") == 0)
		run_later(invocation, (usec_t)atol(invocation->event) * USEC_PER_MSEC, 0);
	else if (strcmp(handler, "fake.error") == 0)
		fail(invocation, INVOCATION_FUNCTION_ERROR, "Runtime.ExitError");
	else if (strcmp(handler, "fake.flaky") == 0 && before < 2)
		fail(invocation, INVOCATION_FUNCTION_ERROR, "Flaky");
	else if (strcmp(handler, "fake.throttle") == 0)
		fail(invocation, INVOCATION_THROTTLED,
			"ReservedFunctionConcurrentInvocationLimitExceeded");
	else if (strcmp(handler, "fake.unavailable") == 0)
		fail(invocation, INVOCATION_UNAVAILABLE, "InvalidRuntimeException");
	else if (strcmp(handler, "fake.structured") == 0)
		structured(invocation);
	else if (strcmp(handler, "fake.stream") == 0)
		run_later(invocation, 0, 3);
	else if (strcmp(handler, "fake.big") == 0)
		big(invocation);
	else
		echo(invocation);
}

static bool runtime_known(struct supervisor *supervisor, const char *name, const char **ret_why)
{
	(void)supervisor;
	*ret_why = "this is a harness with the runtimes python, node and java.";
	return strncmp(name, "python", 6) == 0 || strncmp(name, "node", 4) == 0 ||
	       strncmp(name, "java", 4) == 0;
}

static int render_nothing(struct supervisor *supervisor, struct buffer *ret)
{
	(void)supervisor;
	buffer_append_string(ret, "{}");
	return 0;
}

static const struct front_calls calls = {
	.runtime_known = runtime_known,
	.metrics_render = render_nothing,
	.runtimes_render = render_nothing,
};

static int load(void *data, const char *name, const char *document)
{
	struct supervisor *s = data;
	_cleanup_(config_unref_cleanup) struct config *config = NULL;
	struct err e;

	if (config_from_document(&s->options, store_code(s->store), document, &config, &e) != 0) {
		log_error("%s: %s", name, e.text);
		return 0;
	}
	return registry_put(s->registry, config);
}

static int start(struct supervisor *s, struct err *e)
{
	int r = loop_new(&s->loop);

	the_loop = s->loop;
	if (r == 0)
		r = store_new(s->options.state, &s->store, e);
	if (r == 0)
		r = worker_new(s->loop, &s->worker);
	if (r == 0)
		r = store_load(s->store, load, s, e);
	if (r == 0)
		code_sweep(store_code(s->store));
	return r ? r : front_new(s, &calls, &s->front, e);
}

struct signals {
	struct loop_source source;
	struct supervisor *supervisor;
	struct loop_timer timer;
};

static void end_when_idle(struct loop_timer *timer)
{
	struct signals *signals = container_of(timer, struct signals, timer);
	struct supervisor *s = signals->supervisor;

	if (front_is_idle(s->front) ||
		loop_timer_set(
			s->loop, timer, usec_monotonic() + 10 * USEC_PER_MSEC, end_when_idle) < 0)
		loop_stop(s->loop);
}

static void signalled(struct loop_source *source, uint32_t events)
{
	struct signals *signals = container_of(source, struct signals, source);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	front_drain(signals->supervisor->front);
	end_when_idle(&signals->timer);
}

static int watch_signals(struct signals *signals)
{
	sigset_t mask;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigdelset(&mask, SIGCHLD);
	return loop_add(signals->supervisor->loop, &signals->source,
		signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK), EPOLLIN, signalled);
}

static void stop(struct supervisor *s)
{
	front_free(s->front);
	while (s->registry->count > 0)
		registry_remove(s->registry, s->registry->functions[0]->config->name);
	worker_free(s->worker);
	store_free(s->store);
	loop_free(s->loop);
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return otherwise;
}

int main(int argc, char **argv)
{
	static struct registry registry;
	struct supervisor s = { .registry = &registry,
		.options = { .listen = option(argc, argv, "--listen", "127.0.0.1:8480"),
			.state = option(argc, argv, "--state", "state"),
			.concurrency = 1000,
			.keep_alive_s = 600 } };
	struct signals signals = { .supervisor = &s };
	struct err e = { 0 };
	int r;

	if (argc > 1 && strcmp(argv[1], UNPACK_COMMAND) == 0)
		return unpack_main(argc, argv);
	r = start(&s, &e);
	registry.loop = s.loop;
	if (r == 0)
		r = watch_signals(&signals);
	if (r == 0) {
		log_info("serving at %s", front_address(s.front));
		r = loop_run(s.loop);
	}
	if (r < 0)
		log_error("%s", e.code ? e.text : strerror(-r));
	stop(&s);
	return r < 0;
}
