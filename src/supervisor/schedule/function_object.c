/*
 * function_object.c - a function from its registration to its removal, and what others may ask of
 * it.
 */
#include "supervisor/launch/manifest.h"
#include "supervisor/launch/runtime.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The log says what a user would otherwise wonder about. */
static void function_note_deployment(struct function *function, struct deployment *d)
{
	const struct manifest *m = runtime_manifest(d->runtime);
	const char *why;

	function->stats.note[0] = '\0';
	if (!d->exact)
		snprintf(function->stats.note, sizeof(function->stats.note),
			"runtime %s is served by %s %s", d->config->runtime, m->title,
			m->version ? m->version : "of an unknown version");
	else if (!runtime_usable(d->runtime, &why))
		snprintf(function->stats.note, sizeof(function->stats.note), "%.255s", why);
	if (function->stats.note[0])
		function_note(function, "polyvisor: %s", function->stats.note);
}

int function_configure(struct function *function, struct config *config, struct err *e)
{
	struct deployment *fresh;
	int r = deployment_new(function, config, &fresh, e);

	if (r < 0)
		return r;
	if (function->current)
		deployment_retire(function->current);
	function->current = fresh;
	function_note_deployment(function, fresh);
	function_pump_later(function);
	return 0;
}

int function_new(
	struct registry *registry, struct config *config, struct function **ret, struct err *e)
{
	struct function *function = calloc(1, sizeof(*function));
	int r;

	if (!function || !(function->name = strdup(config->name))) {
		free(function);
		return err_errno(e, -ENOMEM, "cannot register %s", config->name);
	}
	function->registry = registry;
	list_init(&function->waiting);
	list_init(&function->deployments);
	r = function_configure(function, config, e);
	if (r < 0) {
		function_free(function);
		return r;
	}
	*ret = function;
	return 0;
}

struct function *function_free(struct function *function)
{
	struct loop *loop = function->registry->supervisor->loop;

	function->removed = true;
	while (!list_empty(&function->waiting)) {
		struct invocation *invocation =
			list_first(&function->waiting, struct invocation, link);

		list_remove(&invocation->link);
		invocation_finish_refused(invocation, INVOCATION_UNAVAILABLE,
			"ResourceNotFoundException", "The function was deleted.");
	}
	loop_defer_cancel(loop, &function->pump);
	while (!list_empty(&function->deployments))
		deployment_abandon(list_first(&function->deployments, struct deployment, sibling));
	function_log_done(&function->log);
	free(function->name);
	free(function);
	return NULL;
}

struct config *function_config(struct function *function)
{
	return function->current->config;
}

void function_get_stats(struct function *function, struct function_stats *ret)
{
	struct deployment *d = function->current;

	*ret = function->stats;
	ret->isolates_idle = d->idle_count + d->spare_count;
	ret->isolates_busy = d->busy_count;
	ret->isolates_launching = d->launching_count;
	ret->waiting = function->waiting_count;
	ret->template_kb = d->memory_bytes / 1024;
	ret->template_anonymous_kb = d->anonymous_kb;
	ret->warm_us = d->warm_us;
	ret->template_ready = d->template && d->template->state == TEMPLATE_READY;
}

int function_read_log(struct function *function, uint64_t *position, size_t before_end, size_t max,
	struct buffer *ret)
{
	return function_log_read(&function->log, position, before_end, max, ret);
}
