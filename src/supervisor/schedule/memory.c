/*
 * memory.c - keeps templates and isolates within the memory budget.
 *
 * What the machine has in use beyond what it had when the supervisor started is taken for ours: it
 * costs one small read a second, counts kernel memory and page tables too, and gives way when
 * other programs grow. Above the budget the deployment goes first that is worth least: worth is
 * what it took to load, times how often it is used, by the memory it holds. What nobody has used
 * for long goes whatever the budget.
 */
#include "supervisor/schedule/memory.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/store/worker.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_SWEEP_INTERVAL USEC_PER_SEC
#define MEMORY_EVICTIONS_MAX 32        /* in one sweep: each is some milliseconds of teardown */
#define MEMORY_GUESS (8 * 1024 * 1024) /* of a deployment that was not measured yet */

/* The number behind a name in a file of /proc such as "MemTotal:   123 kB", in kB; 0 if not there.
 */
static uint64_t proc_kb(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static int memory_read(uint64_t *ret_total, uint64_t *ret_used)
{
	_cleanup_free_ char *text = NULL;
	uint64_t available;
	int r = fd_read_file("/proc/meminfo", 16 * 1024, &text, NULL);

	if (r < 0)
		return r;
	*ret_total = proc_kb(text, "MemTotal:") * 1024;
	available = proc_kb(text, "MemAvailable:") * 1024;
	*ret_used = *ret_total - min_of(available, *ret_total);
	return 0;
}

static double deployment_worth(struct deployment *d, usec_t now)
{
	double lifetime = (double)max_of(now - d->warmed_at, USEC_PER_SEC);
	double idle = (double)max_of(now - min_of(now, d->last_used), USEC_PER_SEC);
	double rate = min_of((double)(d->uses + 1) / lifetime, 1 / idle);
	double memory = (double)(d->memory_bytes ? d->memory_bytes : MEMORY_GUESS);

	return (double)(d->warm_us + 1) * rate / memory;
}

static struct deployment *memory_least_worth(struct registry *registry, usec_t now)
{
	struct deployment *d, *least = NULL;
	double least_worth = 0;

	list_for_each (d, &registry->deployments, link) {
		double worth = deployment_worth(d, now);

		if (d->state != DEPLOYMENT_READY || d->busy_count > 0 || d->launching_count > 0)
			continue;
		if (!least || worth < least_worth) {
			least = d;
			least_worth = worth;
		}
	}
	return least;
}

static void memory_evict(struct registry *registry, uint64_t excess)
{
	usec_t now = usec_monotonic();

	for (int i = 0; i < MEMORY_EVICTIONS_MAX && excess > 0; i++) {
		struct deployment *d = memory_least_worth(registry, now);
		uint64_t memory;

		if (!d)
			return;
		memory = d->memory_bytes ? d->memory_bytes : MEMORY_GUESS;
		function_note(d->function, "polyvisor: evicted, the memory budget is used up");
		registry->evictions++;
		deployment_cool_down(d);
		excess -= min_of(excess, memory);
	}
}

/* With spares, a function is kept ready for its first use after any time. */
static bool deployment_is_forgotten(struct deployment *d, usec_t unused_since)
{
	return d->state == DEPLOYMENT_READY && d->uses > 0 && d->last_used < unused_since &&
	       deployment_live(d) == 0;
}

static void memory_forget(struct registry *registry)
{
	usec_t keep = registry->supervisor->options.template_keep_alive_s * USEC_PER_SEC;
	usec_t now = usec_monotonic();
	struct deployment *d, *following;
	int forgotten = 0;

	list_for_each_safe (d, following, &registry->deployments, link) {
		if (now < keep || !deployment_is_forgotten(d, now - keep))
			continue;
		deployment_cool_down(d);
		if (++forgotten == MEMORY_EVICTIONS_MAX)
			return;
	}
}

static void memory_sweep(struct loop_timer *timer)
{
	struct registry *registry = container_of(timer, struct registry, sweep);
	struct loop *loop = registry->supervisor->loop;
	uint64_t total, used = 0, ours, budget = registry->memory_budget;

	if (memory_read(&total, &used) == 0) {
		ours = used - min_of(used, registry->memory_baseline);
		registry->memory_used = ours;
		if (ours > budget)
			memory_evict(registry, ours - budget);
	}
	memory_forget(registry);
	if (loop_timer_set(loop, timer, usec_monotonic() + MEMORY_SWEEP_INTERVAL, memory_sweep) < 0)
		log_error("the memory budget is not watched any more: out of memory");
}

int registry_start(struct registry *registry)
{
	struct supervisor *s = registry->supervisor;
	uint64_t total = 0;
	int r = memory_read(&total, &registry->memory_baseline);

	if (r < 0)
		return r;
	registry->memory_budget = s->options.memory_budget ? s->options.memory_budget : total / 2;
	return loop_timer_set(
		s->loop, &registry->sweep, usec_monotonic() + MEMORY_SWEEP_INTERVAL, memory_sweep);
}

/* One measurement of a template, on the worker, since the kernel walks its page tables for it. */
struct memory_sample {
	struct job job;
	struct registry *registry;
	char *name;
	pid_t pid;
	uint64_t pss_kb, anonymous_kb;
};

static void memory_sample_work(struct job *job)
{
	struct memory_sample *sample = container_of(job, struct memory_sample, job);
	_cleanup_free_ char *text = NULL, *status = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", sample->pid);
	if (fd_read_file(path, 16 * 1024, &text, NULL) == 0)
		sample->pss_kb = proc_kb(text, "Pss:");
	snprintf(path, sizeof(path), "/proc/%d/status", sample->pid);
	if (fd_read_file(path, 16 * 1024, &status, NULL) == 0)
		sample->anonymous_kb = proc_kb(status, "RssAnon:");
}

static void memory_sample_done(struct job *job)
{
	struct memory_sample *sample = container_of(job, struct memory_sample, job);
	struct function *function = registry_find(sample->registry, sample->name);
	struct deployment *d = function ? function->current : NULL;

	/* Only if the process that was measured is still the template. */
	if (d && d->template && d->template->process.pid == sample->pid) {
		d->memory_bytes = sample->pss_kb * 1024;
		d->anonymous_kb = sample->anonymous_kb;
	}
	free(sample->name);
	free(sample);
}

void memory_measure(struct deployment *d)
{
	struct memory_sample *sample = calloc(1, sizeof(*sample));

	if (!sample || !d->template || !(sample->name = strdup(d->config->name))) {
		free(sample);
		return;
	}
	sample->registry = d->registry;
	sample->pid = d->template->process.pid;
	sample->job.work = memory_sample_work;
	sample->job.done = memory_sample_done;
	worker_submit(d->registry->supervisor->worker, &sample->job);
}
