/*
 * registry.c - the functions by name, and the sweep that keeps them within the memory budget.
 */
#include "supervisor/schedule/function_state.h"
#include "supervisor/schedule/group.h"
#include "supervisor/schedule/watch.h"
#include "supervisor/supervisor.h"

#include "base/log.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static uint32_t processors_usable(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

void registry_tell_outlook(struct registry *registry)
{
	uint32_t others = max_of(registry->running, 1U); /* a client, where nothing runs */
	enum spin_outlook outlook = registry->running > 0 ? SPIN_EXPECTING : SPIN_QUIET;

	loop_expect(
		registry->supervisor->loop, others < registry->processors ? outlook : SPIN_CROWDED);
}

int registry_new(struct supervisor *supervisor, struct registry **ret)
{
	struct registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return -ENOMEM;
	registry->supervisor = supervisor;
	registry->processors = processors_usable();
	registry->uids.first = supervisor->rootless ? 0 : supervisor->options.first_uid;
	list_init(&registry->deployments);
	list_init(&registry->groups_leaving);
	registry_tell_outlook(registry);
	*ret = registry;
	return 0;
}

struct registry *registry_free(struct registry *registry)
{
	if (!registry)
		return NULL;
	loop_timer_cancel(registry->supervisor->loop, &registry->sweep);
	for (size_t i = 0; i < registry->count; i++)
		function_free(registry->functions[i]);
	free(registry->functions);
	watch_free(registry->watch);
	groups_end(registry);
	free(registry);
	return NULL;
}

/* The index of the first function whose name is not less. */
static size_t registry_position(struct registry *registry, const char *name)
{
	size_t low = 0, high = registry->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(registry->functions[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct function *registry_find(struct registry *registry, const char *name)
{
	size_t at = registry_position(registry, name);

	if (at < registry->count && !strcmp(registry->functions[at]->name, name))
		return registry->functions[at];
	return NULL;
}

struct function *registry_next(struct registry *registry, const char *name)
{
	size_t at = name ? registry_position(registry, name) : 0;

	if (name && at < registry->count && !strcmp(registry->functions[at]->name, name))
		at++;
	return at < registry->count ? registry->functions[at] : NULL;
}

static int registry_grow(struct registry *registry)
{
	size_t capacity = max_of(registry->capacity * 2, (size_t)64);
	struct function **functions;

	if (registry->count < registry->capacity)
		return 0;
	functions = reallocarray(registry->functions, capacity, sizeof(struct function *));
	if (!functions)
		return -ENOMEM;
	registry->functions = functions;
	registry->capacity = capacity;
	return 0;
}

int registry_put(struct registry *registry, struct config *config)
{
	struct function *function = registry_find(registry, config->name);
	size_t at = registry_position(registry, config->name);
	struct err e = { 0 };
	int r;

	if (function)
		r = function_configure(function, config, &e);
	else
		r = registry_grow(registry);
	if (!function && r == 0) {
		r = function_new(registry, config, &function, &e);
		if (r == 0) {
			memmove(registry->functions + at + 1, registry->functions + at,
				(registry->count - at) * sizeof(struct function *));
			registry->functions[at] = function;
			registry->count++;
		}
	}
	if (r < 0)
		log_error("cannot register the function %s: %s", config->name,
			e.code ? e.text : "out of memory");
	return r;
}

void registry_remove(struct registry *registry, const char *name)
{
	size_t at = registry_position(registry, name);
	struct function *function = registry_find(registry, name);

	if (!function)
		return;
	registry->count--;
	memmove(registry->functions + at, registry->functions + at + 1,
		(registry->count - at) * sizeof(struct function *));
	function_free(function);
}

bool registry_is_quiet(const struct registry *registry)
{
	for (size_t i = 0; i < registry->count; i++) {
		const struct function *function = registry->functions[i];

		if (function->waiting_count > 0 || function->current->busy_count > 0)
			return false;
	}
	return true;
}
