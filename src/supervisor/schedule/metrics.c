/*
 * metrics.c - see metrics.h.
 */
#include "supervisor/schedule/metrics.h"

#include "base/fd.h"
#include "supervisor/launch/manifest.h"
#include "supervisor/launch/runtime.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct runtime_launches *registry_launches(struct registry *registry, struct runtime *runtime)
{
	for (size_t i = 0; i < RUNTIMES_MAX; i++) {
		if (!registry->launches[i].runtime)
			registry->launches[i].runtime = runtime;
		if (registry->launches[i].runtime == runtime)
			return &registry->launches[i];
	}
	return NULL;
}

static double value_invocations(const struct function_stats *s)
{
	return (double)s->invocations;
}

static double value_errors(const struct function_stats *s)
{
	return (double)s->errors;
}

static double value_throttles(const struct function_stats *s)
{
	return (double)s->throttles;
}

static double value_timeouts(const struct function_stats *s)
{
	return (double)s->timeouts;
}

static double value_out_of_memory(const struct function_stats *s)
{
	return (double)s->out_of_memory;
}

static double value_replies_too_large(const struct function_stats *s)
{
	return (double)s->replies_too_large;
}

static double value_process_refusals(const struct function_stats *s)
{
	return (double)s->process_refusals;
}

static double value_cpu_throttled(const struct function_stats *s)
{
	return (double)s->cpu_throttled_usec / USEC_PER_SEC;
}

static double value_launches(const struct function_stats *s)
{
	return (double)s->launches;
}

static double value_billed(const struct function_stats *s)
{
	return (double)s->billed_ms / 1000;
}

static double value_gb_seconds(const struct function_stats *s)
{
	return s->gb_seconds;
}

static double value_idle(const struct function_stats *s)
{
	return s->isolates_idle;
}

static double value_busy(const struct function_stats *s)
{
	return s->isolates_busy;
}

static double value_waiting(const struct function_stats *s)
{
	return s->waiting;
}

/* A function's name is a legal label as it is (config_name_is_valid). */
static const struct {
	const char *name, *kind, *help;
	double (*value)(const struct function_stats *stats);
} function_metrics[] = {
	{ "polyvisor_invocations_total", "counter", "Invocations that reached the handler.",
		value_invocations },
	{ "polyvisor_invocation_errors_total", "counter",
		"Invocations that ended with a function error.", value_errors },
	{ "polyvisor_throttles_total", "counter",
		"Invocations refused because a limit was reached.", value_throttles },
	{ "polyvisor_timeouts_total", "counter", "Invocations ended by the function's timeout.",
		value_timeouts },
	{ "polyvisor_out_of_memory_total", "counter",
		"Isolates and templates ended because they held too much memory.",
		value_out_of_memory },
	{ "polyvisor_replies_too_large_total", "counter", "Replies refused for their size.",
		value_replies_too_large },
	{ "polyvisor_process_limit_hits_total", "counter",
		"Processes and threads refused at the function's limit.", value_process_refusals },
	{ "polyvisor_cpu_throttled_seconds_total", "counter",
		"Time that processes waited at the function's cpu limit.", value_cpu_throttled },
	{ "polyvisor_launches_total", "counter", "Isolates launched.", value_launches },
	{ "polyvisor_billed_seconds_total", "counter",
		"Duration, each rounded up to a millisecond.", value_billed },
	{ "polyvisor_gb_seconds_total", "counter", "Billed duration times memory size.",
		value_gb_seconds },
	{ "polyvisor_isolates_idle", "gauge", "Isolates that are ready.", value_idle },
	{ "polyvisor_isolates_busy", "gauge", "Isolates that serve, or launch to serve.",
		value_busy },
	{ "polyvisor_invocations_waiting", "gauge", "Invocations that wait for an isolate.",
		value_waiting },
};

static void render_functions(struct registry *registry, struct buffer *ret)
{
	for (size_t m = 0; m < array_size(function_metrics); m++) {
		buffer_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", function_metrics[m].name,
			function_metrics[m].help, function_metrics[m].name,
			function_metrics[m].kind);
		for (size_t i = 0; i < registry->count; i++) {
			struct function_stats stats;

			function_get_stats(registry->functions[i], &stats);
			if (stats.invocations + stats.errors + stats.throttles + stats.waiting > 0)
				buffer_printf(ret, "%s{function=\"%s\"} %.15g\n",
					function_metrics[m].name, registry->functions[i]->name,
					function_metrics[m].value(&stats));
		}
	}
}

static void render_durations(struct registry *registry, struct buffer *ret)
{
	const char *name = "polyvisor_invocation_duration_seconds";
	char labels[128];

	buffer_printf(ret, "# HELP %s Time from the event to the reply.\n# TYPE %s histogram\n",
		name, name);
	for (size_t i = 0; i < registry->count; i++) {
		struct function *function = registry->functions[i];

		if (function->duration.count == 0)
			continue;
		snprintf(labels, sizeof(labels), "function=\"%s\"", function->name);
		histogram_render(&function->duration, name, labels, ret);
	}
}

static void render_launches(struct registry *registry, struct buffer *ret)
{
	const char *name = "polyvisor_launch_duration_seconds";
	char labels[128];

	buffer_printf(ret,
		"# HELP %s Time from the decision to launch to an isolate that is ready.\n"
		"# TYPE %s histogram\n",
		name, name);
	for (size_t i = 0; i < RUNTIMES_MAX && registry->launches[i].runtime; i++) {
		const struct runtime_launches *l = &registry->launches[i];
		const struct {
			const char *kind;
			const struct histogram *histogram;
		} rows[] = { { "clone", &l->launch }, { "first", &l->first },
			{ "exec", &l->exec } };

		for (size_t k = 0; k < array_size(rows); k++) {
			snprintf(labels, sizeof(labels), "runtime=\"%s\",start=\"%s\"",
				runtime_manifest(l->runtime)->name, rows[k].kind);
			if (rows[k].histogram->count > 0)
				histogram_render(rows[k].histogram, name, labels, ret);
		}
	}
}

static uint64_t own_resident_bytes(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned long pages = 0;

	if (fd_read_file("/proc/self/statm", 256, &text, NULL) == 0)
		sscanf(text, "%*u %lu", &pages);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void render_supervisor(struct registry *registry, struct buffer *ret)
{
	const struct {
		const char *name, *kind, *help;
		uint64_t value;
	} rows[] = {
		{ "polyvisor_functions", "gauge", "Functions deployed.", registry->count },
		{ "polyvisor_isolates", "gauge", "Isolates alive.", registry->live },
		{ "polyvisor_evictions_total", "counter",
			"Deployments ended because the memory budget was used up.",
			registry->evictions },
		{ "polyvisor_payloads_refused_total", "counter",
			"Requests refused because their body was too large.",
			registry->supervisor->payloads_refused },
		{ "polyvisor_log_lost_bytes_total", "counter",
			"Console output above the functions' limits.", registry->log_lost },
		{ "polyvisor_memory_used_bytes", "gauge",
			"Memory in use beyond what was in use at the start.",
			registry->memory_used },
		{ "polyvisor_memory_budget_bytes", "gauge",
			"Memory that templates and isolates may use.", registry->memory_budget },
		{ "process_resident_memory_bytes", "gauge", "Resident memory of the supervisor.",
			own_resident_bytes() },
	};

	for (size_t i = 0; i < array_size(rows); i++)
		buffer_printf(ret, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", rows[i].name,
			rows[i].help, rows[i].name, rows[i].kind, rows[i].name, rows[i].value);
}

int metrics_render(struct supervisor *supervisor, struct buffer *ret)
{
	struct registry *registry = supervisor->registry;

	render_supervisor(registry, ret);
	render_functions(registry, ret);
	render_durations(registry, ret);
	render_launches(registry, ret);
	return ret->failed ? -ENOMEM : 0;
}

int runtimes_render(struct supervisor *supervisor, struct buffer *ret)
{
	json_t *array = json_array();
	struct runtime *runtime = NULL;
	char *text;

	while ((runtime = runtimes_next(supervisor->runtimes, runtime)))
		json_array_append_new(array, runtime_describe(runtime));
	text = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	if (!text)
		return -ENOMEM;
	buffer_append_string(ret, text);
	free(text);
	return ret->failed ? -ENOMEM : 0;
}
