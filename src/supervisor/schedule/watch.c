/*
 * watch.c - see watch.h.
 *
 * One round is under way at a time. The objects that it is about may end meanwhile: they clear the
 * pointer to themselves in the round, which only the loop thread touches. A process that the loop has
 * not reaped when the round is over is the one that was measured, since nobody else could have had its
 * pid.
 */
#include "supervisor/schedule/watch.h"

#include "base/log.h"
#include "supervisor/launch/held.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/schedule/group.h"
#include "supervisor/store/worker.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WATCH_INTERVAL (100 * USEC_PER_MSEC)
#define WATCH_ALL 10 /* every how many rounds idle isolates are looked at too */

/* A process to measure. */
struct watch_sample {
	struct isolate *isolate; /* NULL: it has ended, or this is about a template */
	bool template;
	bool berth; /* the isolate lives in one */
	pid_t pid;
	uint64_t base_kb;
	struct held held; /* all 0 when there was no need to look */
};

/* A deployment in a round, and its samples. */
struct watch_entry {
	struct deployment *deployment; /* NULL: it has ended */
	char name[CGROUP_NAME_MAX];
	uint64_t limit_kb;
	size_t first, count;
	struct cgroup_figures figures;
};

struct watch {
	struct job job;
	struct registry *registry;
	struct loop_timer timer;
	struct list deployments; /* that have processes */
	bool working;
	unsigned turn;
	size_t entry_count, sample_count;
	struct watch_entry entries[WATCH_ROUND];
	struct watch_sample samples[WATCH_ROUND];
};

void watch_add(struct watch *watch, struct deployment *d)
{
	list_append(&watch->deployments, &d->watch_link);
}

void watch_remove(struct deployment *d)
{
	list_remove(&d->watch_link);
	if (d->watched)
		d->watched->deployment = NULL;
	d->watched = NULL;
}

void watch_forget(struct isolate *isolate)
{
	if (isolate->watched)
		isolate->watched->isolate = NULL;
	isolate->watched = NULL;
}

static void measure_entry(struct watch *watch, struct watch_entry *entry)
{
	const struct cgroups *cgroups = watch->registry->supervisor->cgroups;

	if (cgroups_version(cgroups) != CGROUP_NONE)
		cgroup_measure(cgroups, entry->name, &entry->figures);
	/* No isolate can hold more than all of them together. */
	if (entry->figures.charged > 0 && entry->figures.charged / 1024 <= entry->limit_kb)
		return;
	for (size_t i = entry->first; i < entry->first + entry->count; i++) {
		struct watch_sample *sample = &watch->samples[i];
		int r = sample->template
				? held_by_process(sample->pid, &sample->held)
				: held_by_isolate(sample->pid, sample->berth, &sample->held);

		if (r < 0)
			sample->held = (struct held){ 0 };
	}
}

static void watch_work(struct job *job)
{
	struct watch *watch = container_of(job, struct watch, job);

	for (size_t i = 0; i < watch->entry_count; i++)
		measure_entry(watch, &watch->entries[i]);
}

static void judge(struct watch_entry *entry, struct watch_sample *sample)
{
	struct deployment *d = entry->deployment;
	uint64_t held = sample->held.anonymous_kb;

	held -= min_of(held, sample->base_kb);
	held += sample->held.shared_kb;
	if (!d || held <= entry->limit_kb)
		return;
	if (sample->template)
		deployment_template_too_large(d, sample->pid, held);
	else if (sample->isolate)
		deployment_isolate_too_large(d, sample->isolate, held);
}

static void watch_done(struct job *job)
{
	struct watch *watch = container_of(job, struct watch, job);

	watch->working = false;
	for (size_t i = 0; i < watch->entry_count; i++) {
		struct watch_entry *entry = &watch->entries[i];

		if (entry->deployment)
			group_note_figures(entry->deployment->group, &entry->figures);
		for (size_t k = entry->first; k < entry->first + entry->count; k++) {
			struct watch_sample *sample = &watch->samples[k];

			judge(entry, sample);
			if (sample->isolate)
				watch_forget(sample->isolate);
		}
		if (entry->deployment)
			entry->deployment->watched = NULL;
	}
}

static bool is_full(const struct watch *watch)
{
	return watch->entry_count == WATCH_ROUND || watch->sample_count == WATCH_ROUND;
}

static void add_isolate(struct watch *watch, struct deployment *d, struct isolate *isolate)
{
	struct watch_entry *entry = &watch->entries[watch->entry_count - 1];
	struct watch_sample *sample;

	/* Until the template was measured there is nothing to compare with. */
	if (watch->sample_count == WATCH_ROUND || !isolate->process.pid ||
		(!d->exec && d->anonymous_kb == 0))
		return;
	sample = &watch->samples[watch->sample_count++];
	*sample = (struct watch_sample){
		.isolate = isolate,
		.pid = isolate->process.pid,
		.berth = isolate->berth,
		.base_kb = d->exec ? 0 : d->anonymous_kb,
	};
	isolate->watched = sample;
	entry->count++;
}

static bool template_loads(const struct deployment *d)
{
	return d->template && d->template->state == TEMPLATE_LOADING && d->template->process.pid;
}

static void add_template(struct watch *watch, struct deployment *d)
{
	struct watch_entry *entry = &watch->entries[watch->entry_count - 1];

	watch->samples[watch->sample_count++] = (struct watch_sample){
		.template = true,
		.pid = d->template->process.pid,
	};
	entry->count++;
}

static void add_deployment(struct watch *watch, struct deployment *d, bool all)
{
	struct watch_entry *entry = &watch->entries[watch->entry_count++];
	struct list *idle[] = { &d->idle, &d->spare };
	struct isolate *isolate;

	*entry = (struct watch_entry){
		.deployment = d,
		.limit_kb = (uint64_t)d->config->memory_mb * 1024,
		.first = watch->sample_count,
	};
	snprintf(entry->name, sizeof(entry->name), "%s", group_name(d->group));
	d->watched = entry;
	if (template_loads(d))
		add_template(watch, d);
	/* Those that were looked at go to the end: with many, the next round begins behind them. */
	for (uint32_t n = d->busy_count; n > 0 && watch->sample_count < WATCH_ROUND; n--) {
		isolate = list_first(&d->busy, struct isolate, link);
		list_remove(&isolate->link);
		list_append(&d->busy, &isolate->link);
		add_isolate(watch, d, isolate);
	}
	for (size_t i = 0; all && i < array_size(idle); i++)
		list_for_each (isolate, idle[i], link)
			add_isolate(watch, d, isolate);
}

static bool is_wanted(const struct deployment *d, bool all)
{
	return group_is_ready(d->group) &&
	       (all || template_loads(d) || d->busy_count > 0 || group_gives_way(d->group));
}

static void collect(struct watch *watch)
{
	struct list visited = LIST_INIT(visited);
	bool all = watch->turn++ % WATCH_ALL == 0;

	watch->entry_count = watch->sample_count = 0;
	while (!list_empty(&watch->deployments) && !is_full(watch)) {
		struct deployment *d =
			list_first(&watch->deployments, struct deployment, watch_link);

		list_remove(&d->watch_link);
		list_append(&visited, &d->watch_link);
		if (is_wanted(d, all))
			add_deployment(watch, d, all);
	}
	while (!list_empty(&visited)) {
		struct list *link = visited.next;

		list_remove(link);
		list_append(&watch->deployments, link);
	}
}

static void watch_look(struct loop_timer *timer)
{
	struct watch *watch = container_of(timer, struct watch, timer);
	struct supervisor *s = watch->registry->supervisor;

	if (loop_timer_set(s->loop, timer, usec_monotonic() + WATCH_INTERVAL, watch_look) < 0)
		log_error("the memory of isolates is not watched any more: out of memory");
	if (watch->working)
		return;
	collect(watch);
	if (watch->entry_count == 0)
		return;
	watch->working = true;
	watch->job.work = watch_work;
	watch->job.done = watch_done;
	worker_submit(s->keeper, &watch->job);
}

int watch_new(struct registry *registry, struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	watch->registry = registry;
	list_init(&watch->deployments);
	r = loop_timer_set(registry->supervisor->loop, &watch->timer,
		usec_monotonic() + WATCH_INTERVAL, watch_look);
	if (r < 0)
		free(watch);
	else
		*ret = watch;
	return r;
}

struct watch *watch_free(struct watch *watch)
{
	if (!watch)
		return NULL;
	loop_timer_cancel(watch->registry->supervisor->loop, &watch->timer);
	worker_flush(watch->registry->supervisor->keeper);
	free(watch);
	return NULL;
}
