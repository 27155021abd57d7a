/*
 * deployment.c - see deployment.h.
 */
#include "supervisor/schedule/deployment.h"

#include "base/fd.h"
#include "base/uuid.h"
#include "supervisor/launch/manifest.h"
#include "supervisor/launch/runtime.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/schedule/group.h"
#include "supervisor/schedule/memory.h"
#include "supervisor/schedule/watch.h"
#include "supervisor/store/code.h"
#include "supervisor/store/store.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define DEPLOYMENT_INIT_LIMIT (10 * USEC_PER_SEC) /* of loading the code, as on Lambda */

static void deployment_set_state(struct deployment *d, enum deployment_state state)
{
	d->state = state;
	list_remove(&d->link);
	if (state != DEPLOYMENT_COLD)
		list_append(&d->registry->deployments, &d->link);
}

/* Loading may take as long as an invocation, since the first one waits for it. */
static usec_t deployment_load_limit(const struct deployment *d)
{
	return max_of(DEPLOYMENT_INIT_LIMIT, d->config->timeout_s * USEC_PER_SEC);
}

/* Unless something serves, all that runs is about to end; until then it keeps its network. */
static void deployment_leave(struct deployment *d)
{
	if (d->busy_count > 0)
		return;
	init_end(&d->init);
	network_detach(&d->network);
	watch_remove(d);
	cgroup_entry_close(&d->entry);
	d->group = group_end(d->group);
}

/* With the berth, whose mounts are a copy of its. */
static void deployment_free_template(struct deployment *d)
{
	loop_timer_cancel(d->registry->supervisor->loop, &d->calm);
	d->berth = berth_free(d->berth);
	d->template = function_template_free(d->template);
}

static void deployment_free(struct deployment *d)
{
	list_remove(&d->link);
	list_remove(&d->sibling);
	loop_defer_cancel(d->registry->supervisor->loop, &d->make_kit);
	loop_defer_cancel(d->registry->supervisor->loop, &d->freeing);
	kit_done(&d->kit);
	deployment_free_template(d);
	deployment_leave(d);
	secrets_forget(&d->secrets);
	config_unref(d->config);
	uids_give_back(&d->registry->uids, d->uid);
	free(d->arn);
	free(d->code);
	free(d);
}

/* In Lambda's form: the day, the version, something unique. */
static void deployment_name_log_stream(struct deployment *d)
{
	time_t now = time(NULL);
	char unique[UUID_SIZE];
	struct tm utc;
	size_t n;

	gmtime_r(&now, &utc);
	uuid_make(unique);
	n = strftime(d->log_stream, sizeof(d->log_stream), "%Y/%m/%d/[$LATEST]", &utc);
	snprintf(d->log_stream + n, sizeof(d->log_stream) - n, "%.8s%.4s", unique, unique + 9);
}

static int deployment_choose_runtime(struct deployment *d, struct err *e)
{
	struct runtimes *runtimes = d->registry->supervisor->runtimes;

	d->runtime = runtimes_match(runtimes, d->config->runtime, &d->exact);
	if (!d->runtime)
		return err_set(e, -ENOENT,
			"no runtime of this machine is called %s; see `polyvisor runtimes`",
			d->config->runtime);
	d->exec = d->config->settings.launch == CONFIG_LAUNCH_EXEC ||
		  !runtime_manifest(d->runtime)->clone;
	return 0;
}

int deployment_new(
	struct function *function, struct config *config, struct deployment **ret, struct err *e)
{
	struct supervisor *s = function->registry->supervisor;
	struct deployment *d = calloc(1, sizeof(*d));
	char path[PATH_MAX];
	int r;

	if (!d)
		return err_errno(e, -ENOMEM, "cannot deploy %s", config->name);
	d->function = function;
	d->registry = function->registry;
	d->config = config_ref(config);
	list_init(&d->idle);
	list_init(&d->spare);
	list_init(&d->busy);
	list_init(&d->launching);
	list_init(&d->ending);
	list_init(&d->link);
	list_append(&function->deployments, &d->sibling);
	list_init(&d->watch_link);
	init_prepare(&d->init, s->loop, s->processes);
	deployment_name_log_stream(d);
	d->network = (struct network_place)NETWORK_PLACE_INIT;
	d->uid = uids_take(&d->registry->uids);
	r = deployment_choose_runtime(d, e);
	if (r == 0)
		r = code_path(store_code(s->store), config->code_sha256, path, sizeof(path));
	if (r == 0) {
		d->code = strdup(path);
		if (!d->code ||
			asprintf(&d->arn, "arn:aws:lambda:us-east-1:000000000000:function:%s",
				config->name) < 0)
			r = err_errno(e, -ENOMEM, "cannot deploy %s", config->name);
	}
	if (r < 0) {
		deployment_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

uint32_t deployment_live(const struct deployment *d)
{
	return d->idle_count + d->spare_count + d->busy_count + d->launching_count;
}

static struct guest_spec deployment_spec(struct deployment *d)
{
	const struct manifest *m = runtime_manifest(d->runtime);

	return (struct guest_spec){
		.name = d->config->name,
		.handler = d->config->handler,
		.runtime_identifier = m->identifier ? m->identifier : m->name,
		.arn = d->arn,
		.log_stream = d->log_stream,
		.environment =
			d->secrets.environment ? d->secrets.environment : d->config->environment,
		.memory_mb = d->config->memory_mb,
		.tmp_mb = d->config->tmp_mb,
		.warm_up = d->config->settings.warm_up,
		.reply_bytes = d->config->settings.reply_bytes,
		.isolates = d->config->settings.concurrency,
		.confined = !d->registry->supervisor->options.envelope_off,
		.uid = d->uid,
		.system_calls = d->registry->supervisor->system_calls,
		.network = d->network.fd,
		.processes = d->config->settings.processes,
		.descriptors = d->config->settings.descriptors,
	};
}

/* Lists and counts change together, here only. */
static void isolate_move(struct deployment *d, struct isolate *isolate, struct list *to)
{
	const struct {
		struct list *list;
		uint32_t *count;
	} places[] = {
		{ &d->idle, &d->idle_count },
		{ &d->spare, &d->spare_count },
		{ &d->busy, &d->busy_count },
		{ &d->launching, &d->launching_count },
		{ &d->ending, &d->ending_count },
	};
	struct list *from = isolate->place;

	for (size_t i = 0; i < array_size(places); i++) {
		if (from == places[i].list)
			--*places[i].count;
		if (to == places[i].list)
			++*places[i].count;
	}
	if ((!from || from == &d->ending) && to && to != &d->ending)
		d->registry->live++;
	if (from && from != &d->ending && (!to || to == &d->ending))
		d->registry->live--;
	d->registry->running += (to == &d->busy || to == &d->launching);
	d->registry->running -= (from == &d->busy || from == &d->launching);
	registry_tell_outlook(d->registry);
	list_remove(&isolate->link);
	isolate->place = to;
	if (to) {
		list_append(to, &isolate->link);
		return;
	}
	watch_forget(isolate);
	group_give_slot(d->group, &isolate->slot);
}

static void deployment_free_later(struct loop_deferred *deferred)
{
	deployment_free(container_of(deferred, struct deployment, freeing));
}

static void deployment_check_retired(struct deployment *d)
{
	if (d->retiring && d->busy_count == 0 && d->ending_count == 0)
		loop_defer(d->registry->supervisor->loop, &d->freeing, deployment_free_later);
}

void deployment_end_isolate(struct deployment *d, struct isolate *isolate)
{
	if (isolate->place == &d->ending)
		return;
	if (!isolate->end.had_launched)
		d->starting--;
	isolate_move(d, isolate, &d->ending);
	isolate_end(isolate);
}

static void deployment_end_list(struct deployment *d, struct list *list)
{
	while (!list_empty(list))
		deployment_end_isolate(d, list_first(list, struct isolate, link));
}

static uid_t deployment_tmp_owner(const struct deployment *d)
{
	return d->registry->supervisor->options.envelope_off ? 0 : d->uid;
}

static int deployment_prepare_kit(struct deployment *d)
{
	int r = kit_make(&d->kit, d->config->tmp_mb, deployment_tmp_owner(d));

	if (r == 0)
		d->kit.cgroup = group_take_slot(d->group, &d->kit_slot);
	return r;
}

static void deployment_drop_kit(struct deployment *d)
{
	if (d->kit.ready)
		group_give_slot(d->group, &d->kit_slot);
	kit_done(&d->kit);
}

static void deployment_make_kit(struct loop_deferred *deferred)
{
	struct deployment *d = container_of(deferred, struct deployment, make_kit);

	/* A failure shows at the next launch, which tries again. */
	if (!d->kit.ready && d->state == DEPLOYMENT_READY && deployment_prepare_kit(d) < 0)
		return;
	group_follow(d);
}

static void deployment_became_ready(struct deployment *d)
{
	d->warm_us = usec_monotonic() - d->warmed_at;
	deployment_set_state(d, DEPLOYMENT_READY);
	if (!d->exec)
		cgroup_entry_close(&d->entry);
	loop_defer(d->registry->supervisor->loop, &d->make_kit, deployment_make_kit);
	d->uses = 0;
	memory_measure(d);
	function_deployment_ready(d->function, d);
}

static void deployment_failed(struct deployment *d, const struct template_failure *failure)
{
	deployment_free_template(d);
	deployment_leave(d);
	deployment_set_state(d, DEPLOYMENT_COLD);
	function_deployment_failed(d->function, d, failure);
}

/* Loading the code took too much memory; `how` says how that was noticed. */
static void deployment_failed_for_memory(struct deployment *d, const char *how)
{
	struct template_failure failure = { .tenant = true, .type = "Runtime.OutOfMemory" };

	d->function->stats.out_of_memory++;
	buffer_printf(&failure.json,
		"{\"errorType\":\"Runtime.OutOfMemory\",\"errorMessage\":\"Error: Runtime exited "
		"with error: signal: killed (out of memory while the code was loaded%s)\"}",
		how);
	deployment_failed(d, &failure);
	buffer_done(&failure.json);
}

void deployment_template_too_large(struct deployment *d, pid_t pid, uint64_t held_kb)
{
	char how[96];

	if (!d->template || d->template->state != TEMPLATE_LOADING ||
		d->template->process.pid != pid)
		return;
	snprintf(how, sizeof(how), ": it held %llu MB, the limit is %u MB",
		(unsigned long long)held_kb / 1024, d->config->memory_mb);
	deployment_failed_for_memory(d, how);
}

static void deployment_template_ready(struct function_template *t)
{
	deployment_became_ready(t->owner);
}

static void deployment_template_line(struct function_template *t, const char *line, size_t size)
{
	struct deployment *d = t->owner;

	function_console(d->function, NULL, line, size);
}

/* Those of its isolates that serve go on: they do not need it. */
static void deployment_template_ended(
	struct function_template *t, const struct template_failure *failure)
{
	struct deployment *d = t->owner;
	struct template_failure copy = *failure;

	/* The template, and the buffer in it, goes in deployment_failed(). */
	t->failure.json = (struct buffer){ 0 };
	if (d->state == DEPLOYMENT_READY) {
		function_note(d->function,
			"polyvisor: the function template ended (%s); the next "
			"launch makes another",
			copy.e.text);
		deployment_free_template(d);
		deployment_set_state(d, DEPLOYMENT_COLD);
		deployment_end_list(d, &d->launching);
		function_pump_later(d->function);
	} else if (copy.killed && group_claim_oom_kill(d->group)) {
		deployment_failed_for_memory(d, "");
	} else {
		deployment_failed(d, &copy);
	}
	buffer_done(&copy.json);
}

static void deployment_template_refused(
	struct function_template *t, uint32_t sequence, const struct err *e)
{
	struct deployment *d = t->owner;
	struct list *lists[] = { &d->busy, &d->launching };
	struct isolate *isolate, *following;

	for (size_t i = 0; i < array_size(lists); i++)
		list_for_each_safe (isolate, following, lists[i], link)
			if (isolate->launch_sequence == sequence &&
				isolate->state == ISOLATE_LAUNCHING) {
				d->berth_failures += isolate->berth != NULL;
				isolate_refused(isolate, e);
			}
}

static const struct function_template_events deployment_template_events = {
	.ready = deployment_template_ready,
	.line = deployment_template_line,
	.ended = deployment_template_ended,
	.refused = deployment_template_refused,
};

static void deployment_fail(struct deployment *d, int r, const char *what)
{
	struct template_failure failure = { 0 };

	err_errno(&failure.e, r, "%s of %s", what, d->config->name);
	deployment_failed(d, &failure);
}

static void deployment_start_template(struct deployment *d)
{
	struct supervisor *s = d->registry->supervisor;
	struct guest_spec spec = deployment_spec(d);
	int r;

	deployment_set_state(d, DEPLOYMENT_TEMPLATE);
	cgroup_entry_close(&d->entry);
	r = cgroup_open(s->cgroups, group_name(d->group), &d->entry);
	if (r < 0) {
		deployment_fail(d, r, "cannot open the control group");
		return;
	}
	spec.group = d->entry;
	if (d->exec) {
		deployment_became_ready(d);
		return;
	}
	r = function_template_new(d->runtime, &d->init, s->loop, s->processes, &spec,
		deployment_load_limit(d), &deployment_template_events, d, &d->template);
	if (r < 0)
		deployment_fail(d, r, "cannot make the function template");
}

/* Init, network, secrets and control group come at the same time; the last of them goes on. */
static void deployment_prepared(struct deployment *d, const struct err *e)
{
	struct template_failure failure = { 0 };

	if (d->state != DEPLOYMENT_INIT)
		return;
	if (e) {
		failure.e = *e;
		deployment_failed(d, &failure);
	} else if (d->state == DEPLOYMENT_INIT && init_is_up(&d->init) && d->network.ready &&
		   d->secrets.ready && group_is_ready(d->group)) {
		deployment_start_template(d);
	}
}

void deployment_group_ready(struct deployment *d, int result)
{
	struct err e = { 0 };

	if (result < 0)
		err_errno(&e, result, "cannot make the control group of %s", d->config->name);
	deployment_prepared(d, result < 0 ? &e : NULL);
}

static void deployment_init_done(struct init *init, const struct err *e)
{
	deployment_prepared(container_of(init, struct deployment, init), e);
}

static void deployment_network_attached(struct network_place *place, const struct err *e)
{
	struct deployment *d = container_of(place, struct deployment, network);

	if (!e && place->mode != d->config->settings.network)
		function_note(d->function, "polyvisor: %s",
			network_describe(d->registry->supervisor->network));
	deployment_prepared(d, e);
}

/* What is idle would find no way out any more; what serves may not need one. */
static void deployment_network_lost(struct network_place *place)
{
	struct deployment *d = container_of(place, struct deployment, network);
	struct isolate *isolate;

	function_note(d->function, "polyvisor: the network of the function was lost; the next "
				   "invocation gets another");
	list_for_each (isolate, &d->busy, link)
		isolate->is_last = true;
	deployment_cool_down(d);
	function_pump_later(d->function);
}

static void deployment_secrets_read(struct secrets *secrets, const struct err *e)
{
	deployment_prepared(container_of(secrets, struct deployment, secrets), e);
}

static void deployment_attach_network(struct deployment *d)
{
	struct supervisor *s = d->registry->supervisor;

	d->network.attached = deployment_network_attached;
	d->network.lost = deployment_network_lost;
	network_attach(s->network, &d->network,
		s->options.envelope_off ? CONFIG_NETWORK_NONE : d->config->settings.network);
}

/* The kernel has ended everything of the function with its init. */
static void deployment_init_lost(struct init *init)
{
	struct deployment *d = container_of(init, struct deployment, init);

	deployment_free_template(d);
	deployment_set_state(d, DEPLOYMENT_COLD);
	deployment_end_list(d, &d->idle);
	deployment_end_list(d, &d->spare);
	deployment_end_list(d, &d->launching);
	deployment_leave(d);
	function_note(d->function, "polyvisor: the init of the function was lost; the next "
				   "invocation starts another");
	function_pump_later(d->function);
}

static int deployment_begin_group(struct deployment *d)
{
	if (d->group)
		return 0;
	watch_add(d->registry->watch, d);
	return group_begin(d);
}

void deployment_warm_up(struct deployment *d)
{
	bool host = d->config->settings.network == CONFIG_NETWORK_HOST ||
		    d->registry->supervisor->options.envelope_off;
	int r;

	if (d->state != DEPLOYMENT_COLD)
		return;
	d->warmed_at = usec_monotonic();
	deployment_set_state(d, DEPLOYMENT_INIT);
	r = deployment_begin_group(d);
	/* The namespaces may still be there from before the template was lost. */
	if (r == 0 && !init_is_up(&d->init))
		r = init_start(&d->init, d->code, host, deployment_init_done, deployment_init_lost);
	if (r < 0) {
		deployment_fail(d, r, "cannot start the init");
		return;
	}
	secrets_forget(&d->secrets);
	if (!d->network.ready)
		deployment_attach_network(d);
	if (d->state == DEPLOYMENT_INIT)
		secrets_read(&d->secrets, d->registry->supervisor->worker,
			d->registry->supervisor->options.secrets, d->config->name,
			d->config->environment, deployment_secrets_read);
}

void deployment_cool_down(struct deployment *d)
{
	deployment_free_template(d);
	deployment_drop_kit(d);
	deployment_set_state(d, DEPLOYMENT_COLD);
	deployment_end_list(d, &d->idle);
	deployment_end_list(d, &d->spare);
	deployment_end_list(d, &d->launching);
	deployment_leave(d);
}

void deployment_retire(struct deployment *d)
{
	d->retiring = true;
	deployment_cool_down(d);
	deployment_check_retired(d);
}

/* Its caller is answered, whatever becomes of the handler. */
static void deployment_abandon_isolate(struct deployment *d, struct isolate *isolate)
{
	struct invocation *invocation = take_ptr(isolate->invocation);

	isolate_move(d, isolate, NULL);
	isolate_abandon(isolate);
	if (invocation)
		invocation_finish_refused(invocation, INVOCATION_UNAVAILABLE,
			"ResourceNotFoundException", "The function was deleted while it ran.");
}

void deployment_abandon(struct deployment *d)
{
	struct list *lists[] = { &d->idle, &d->spare, &d->launching, &d->busy, &d->ending };

	for (size_t i = 0; i < array_size(lists); i++)
		while (!list_empty(lists[i]))
			deployment_abandon_isolate(d, list_first(lists[i], struct isolate, link));
	deployment_free(d);
}

static void deployment_isolate_idle(struct isolate *isolate);
static void deployment_isolate_replied(struct isolate *isolate, const struct isolate_reply *reply);
static void deployment_isolate_part(struct isolate *isolate, const struct isolate_reply *part);
static void deployment_isolate_line(struct isolate *isolate, const char *line, size_t size);
static void deployment_isolate_gone(struct isolate *isolate, const struct isolate_end *end);

static const struct isolate_events deployment_isolate_events = {
	.idle = deployment_isolate_idle,
	.replied = deployment_isolate_replied,
	.part = deployment_isolate_part,
	.line = deployment_isolate_line,
	.gone = deployment_isolate_gone,
};

static struct isolate_event deployment_event(struct deployment *d, struct invocation *invocation)
{
	return (struct isolate_event){
		.request_id = invocation->request_id,
		.arn = d->arn,
		.client_context = invocation->client_context,
		.trace_id = invocation->trace_id,
		.deadline_ms =
			(usec_realtime() + d->config->timeout_s * USEC_PER_SEC) / USEC_PER_MSEC,
		.accepts_stream = invocation->accepts_stream,
		.payload = invocation->event,
		.payload_size = invocation->event_size,
	};
}

#define BERTH_CALM (3 * USEC_PER_MSEC) /* without an event, until a berth is made */
#define BERTH_FAILURES 3 /* after which no more are made: one may die at any time, all do not */

/* Whether the next invocation would need a launch, which a berth could be made for now. */
static bool deployment_is_calm(const struct deployment *d)
{
	return d->state == DEPLOYMENT_READY && d->template && d->template->sequence > 0 &&
	       d->idle_count + d->spare_count + d->busy_count + d->launching_count == 0;
}

/* A launch that finds none makes its namespaces itself. */
static void deployment_berth_ended(struct berth *berth)
{
	struct deployment *d = berth->owner;

	if (berth->failure.code) {
		d->berth_failures++;
		function_note(d->function, "polyvisor: %s; launches take a little longer for that",
			berth->failure.text);
	}
	d->berth = berth_free(berth);
}

static int deployment_make_berth(struct deployment *d)
{
	struct guest_spec spec = deployment_spec(d);
	_cleanup_close_ int tmp = kit_mount_tmp(d->config->tmp_mb, deployment_tmp_owner(d));
	int r;

	if (tmp < 0)
		return tmp;
	r = cgroup_open(d->registry->supervisor->cgroups, group_name(d->group), &spec.group);
	if (r == 0)
		r = berth_make(d->template, &spec, tmp, d, deployment_berth_ended, &d->berth);
	cgroup_entry_close(&spec.group);
	return r;
}

static void deployment_calm_over(struct loop_timer *timer)
{
	struct deployment *d = container_of(timer, struct deployment, calm);

	/* What makes it fail passes, or a launch tells of it. */
	if (deployment_is_calm(d) && deployment_make_berth(d) < 0)
		return;
}

void deployment_keep_berth(struct deployment *d)
{
	if (d->berth || d->berth_failures >= BERTH_FAILURES || d->calm.index ||
		!deployment_is_calm(d) || !d->template->confined)
		return;
	/* Without memory for the timer there is no berth, and none is needed. */
	(void)!loop_timer_set(d->registry->supervisor->loop, &d->calm,
		usec_monotonic() + BERTH_CALM, deployment_calm_over);
}

/* For an invocation; a spare is made when there is time. */
static struct berth *deployment_take_berth(struct deployment *d, bool spare)
{
	return !spare && berth_is_ready(d->berth) ? take_ptr(d->berth) : NULL;
}

int deployment_launch(struct deployment *d, struct invocation *invocation)
{
	struct supervisor *s = d->registry->supervisor;
	struct guest_spec spec = deployment_spec(d);
	struct isolate *isolate;
	int r = 0;

	if (!d->kit.ready)
		r = deployment_prepare_kit(d);
	if (r < 0)
		return r;
	spec.group = d->entry;
	if (d->kit.cgroup >= 0)
		spec.group = (struct cgroup_entry){ { d->kit.cgroup }, 1, true };
	if (d->exec)
		r = isolate_exec(d->runtime, &d->init, s->loop, s->processes, &spec, &d->kit,
			deployment_load_limit(d), &deployment_isolate_events, d, &isolate);
	else
		r = isolate_clone(d->template, &d->kit, deployment_take_berth(d, !invocation),
			&deployment_isolate_events, d, &isolate);
	if (r < 0) {
		group_give_slot(d->group, &d->kit_slot);
		return r;
	}
	isolate->slot = d->kit_slot;
	loop_defer(s->loop, &d->make_kit, deployment_make_kit);
	d->starting++;
	isolate_move(d, isolate, invocation ? &d->busy : &d->launching);
	if (invocation) {
		struct isolate_event event = deployment_event(d, invocation);

		isolate->invocation = invocation;
		invocation->isolate = isolate;
		/* One that is gone already has left its reason in the channel, before its end. */
		r = isolate_send(isolate, &event);
		if (r < 0 && r != -EPIPE && r != -ECONNRESET)
			isolate_end(isolate);
	}
	return 0;
}

struct isolate *deployment_take_ready(struct deployment *d, bool *ret_spare)
{
	/* The most recently used is the most likely to have its memory in the caches. */
	struct isolate *isolate = list_last(&d->idle, struct isolate, link);

	*ret_spare = !isolate;
	if (!isolate)
		isolate = list_first(&d->spare, struct isolate, link);
	return isolate;
}

static void deployment_deadline(struct loop_timer *timer)
{
	struct isolate *isolate = container_of(timer, struct isolate, limit);
	struct deployment *d = isolate->owner;
	struct invocation *invocation = isolate->invocation;
	char message[96];

	isolate->invocation = NULL;
	deployment_end_isolate(d, isolate);
	d->function->stats.timeouts++;
	snprintf(message, sizeof(message), "Task timed out after %u.00 seconds",
		d->config->timeout_s);
	invocation_finish_error(invocation, "Sandbox.Timedout", message);
	function_pump_later(d->function);
}

static int deployment_begin(struct deployment *d, struct isolate *isolate,
	struct invocation *invocation, enum invocation_start start, usec_t launch_us)
{
	isolate->invocation = invocation;
	invocation_begin(invocation, isolate, start, launch_us);
	return loop_timer_set(d->registry->supervisor->loop, &isolate->limit,
		invocation->started_at + d->config->timeout_s * USEC_PER_SEC, deployment_deadline);
}

int deployment_serve(struct deployment *d, struct isolate *isolate, struct invocation *invocation)
{
	struct isolate_event event = deployment_event(d, invocation);
	bool spare = isolate->place == &d->spare;
	int r = isolate_can_serve(isolate) ? isolate_send(isolate, &event) : -ESTALE;

	if (r < 0) {
		deployment_end_isolate(d, isolate);
		return r;
	}
	isolate_move(d, isolate, &d->busy);
	r = deployment_begin(
		d, isolate, invocation, spare ? START_SPARE : START_WARM, isolate->launch_us);
	if (r < 0) {
		isolate->invocation = NULL;
		deployment_end_isolate(d, isolate);
		invocation_finish_error(invocation, "ServiceException", "out of memory");
	}
	return 0;
}

static void deployment_keep_alive_over(struct loop_timer *timer)
{
	struct isolate *isolate = container_of(timer, struct isolate, limit);

	deployment_end_isolate(isolate->owner, isolate);
}

void deployment_release(struct deployment *d, struct isolate *isolate)
{
	struct config *config = d->config;
	usec_t until = usec_monotonic() + config->settings.keep_alive_s * USEC_PER_SEC;

	isolate->invocation = NULL;
	d->uses++;
	d->last_used = usec_monotonic();
	if (d->retiring || isolate->is_last || !isolate_can_serve(isolate) ||
		config->settings.isolation == CONFIG_ISOLATION_REQUEST ||
		loop_timer_set(d->registry->supervisor->loop, &isolate->limit, until,
			deployment_keep_alive_over) < 0)
		deployment_end_isolate(d, isolate);
	else
		isolate_move(d, isolate, &d->idle);
	deployment_check_retired(d);
}

static void deployment_count_launch(struct deployment *d, struct isolate *isolate, bool first)
{
	struct runtime_launches *launches = registry_launches(d->registry, d->runtime);

	d->function->stats.launches++;
	d->function->stats.last_launch_us = isolate->launch_us;
	if (!launches)
		return;
	histogram_add(d->exec ? &launches->exec : &launches->launch, isolate->launch_us);
	if (first)
		histogram_add(&launches->first, isolate->invocation->launch_us);
}

/* A launch is over. The invocation it was made for is being served already; a spare waits. */
static void deployment_isolate_idle(struct isolate *isolate)
{
	struct deployment *d = isolate->owner;
	struct invocation *invocation = isolate->invocation;
	enum invocation_start start = d->exec ? START_EXEC : START_CLONE;
	bool first = invocation && !d->exec && invocation->submitted_at < d->warmed_at + d->warm_us;
	usec_t launch_us;

	d->starting--;
	isolate->launch_us = isolate->idle_at - isolate->launched_at;
	if (!invocation) {
		deployment_count_launch(d, isolate, false);
		isolate_move(d, isolate, &d->spare);
		function_pump_later(d->function);
		return;
	}
	launch_us = first ? isolate->idle_at - invocation->submitted_at : isolate->launch_us;
	if (deployment_begin(d, isolate, invocation, first ? START_FIRST : start, launch_us) < 0)
		isolate_end(isolate);
	deployment_count_launch(d, isolate, first);
	function_pump_later(d->function);
}

static void deployment_isolate_replied(struct isolate *isolate, const struct isolate_reply *reply)
{
	struct deployment *d = isolate->owner;
	struct invocation *invocation = isolate->invocation;

	loop_timer_cancel(d->registry->supervisor->loop, &isolate->limit);
	if (!invocation)
		return;
	deployment_release(d, isolate);
	invocation_finish_reply(invocation, reply);
	function_pump_later(d->function);
}

static void deployment_isolate_part(struct isolate *isolate, const struct isolate_reply *part)
{
	struct deployment *d = isolate->owner;
	struct invocation *invocation = isolate->invocation;

	if (!invocation)
		return;
	if (invocation->part) {
		invocation->part(invocation, part->payload, part->payload_size);
		return;
	}
	if (invocation->reply.size + part->payload_size <= d->config->settings.reply_bytes) {
		buffer_append(&invocation->reply, part->payload, part->payload_size);
		return;
	}
	isolate->invocation = NULL;
	deployment_end_isolate(d, isolate);
	buffer_done(&invocation->reply);
	invocation_finish_too_large(invocation);
	function_pump_later(d->function);
}

static void deployment_isolate_line(struct isolate *isolate, const char *line, size_t size)
{
	struct deployment *d = isolate->owner;
	struct invocation *invocation = isolate->invocation;

	function_console(
		d->function, invocation && invocation->started_at ? invocation : NULL, line, size);
}

/* An invocation whose isolate never came up has not begun: it may try once more. */
static bool deployment_try_again(
	struct deployment *d, struct invocation *invocation, const struct isolate_end *end)
{
	struct function *function = d->function;

	if (end->had_launched || end->init_failed || invocation->attempts >= 2 || d->retiring)
		return false;
	invocation->attempts++;
	invocation->isolate = NULL;
	list_prepend(&function->waiting, &invocation->link);
	function->waiting_count++;
	function_note(function, "polyvisor: a launch failed (%s); trying again", end->text);
	return true;
}

/* By the kernel, at the limit of the function's control group. */
static bool deployment_was_oom_killed(struct deployment *d, const struct isolate_end *end)
{
	return !end->by_us && WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL &&
	       group_claim_oom_kill(d->group);
}

void deployment_isolate_too_large(struct deployment *d, struct isolate *isolate, uint64_t held_kb)
{
	struct isolate_end *end = &isolate->end;

	if (isolate->place == &d->ending || isolate->state == ISOLATE_ENDING)
		return;
	end->out_of_memory = true;
	snprintf(end->text, sizeof(end->text),
		"Runtime exited with error: signal: killed (out of memory: it held %llu MB, the "
		"limit is %u MB)",
		(unsigned long long)held_kb / 1024, d->config->memory_mb);
	if (isolate->invocation)
		isolate->invocation->memory_kb = held_kb;
	else
		function_note(d->function, "polyvisor: an idle isolate was ended: %s", end->text);
	deployment_end_isolate(d, isolate);
}

static void deployment_isolate_gone(struct isolate *isolate, const struct isolate_end *end)
{
	struct deployment *d = isolate->owner;
	struct invocation *invocation = isolate->invocation;
	char message[256];
	bool oom;

	if (!end->had_launched && isolate->place != &d->ending)
		d->starting--;
	oom = end->out_of_memory || deployment_was_oom_killed(d, end);
	isolate_move(d, isolate, NULL);
	group_follow(d);
	if (d->state == DEPLOYMENT_COLD)
		deployment_leave(d);
	deployment_check_retired(d);
	function_pump_later(d->function);
	if (oom)
		d->function->stats.out_of_memory++;
	if (!invocation || (!oom && deployment_try_again(d, invocation, end)))
		return;
	if (end->init_failed) {
		invocation_finish_json(invocation, end->type, end->json->data, end->json->size);
		return;
	}
	snprintf(message, sizeof(message), "RequestId: %s Error: %s%s", invocation->request_id,
		end->text,
		oom && !end->out_of_memory
			? " (out of memory: all isolates of the function together)"
			: "");
	invocation_finish_error(
		invocation, oom ? "Runtime.OutOfMemory" : "Runtime.ExitError", message);
}
