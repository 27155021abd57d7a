/*
 * runtime.c - see runtime.h.
 */
#include "supervisor/launch/runtime.h"

#include "base/log.h"
#include "supervisor/launch/manifest.h"
#include "supervisor/launch/runtime_template.h"

#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct runtime {
	struct runtimes *runtimes;
	struct manifest *manifest;
	struct runtime_template *current; /* NULL, booting, or ready */
	struct runtime_template *next;    /* takes over when it is ready */
	struct list waiters;
	struct list clones; /* asked of `current`, not heard of yet */
	uint32_t sequence;
	uint64_t boots;
	struct err last_failure;
	struct list link;
};

struct runtimes {
	struct loop *loop;
	struct processes *processes;
	unsigned rotate_clones; /* of one runtime template */
	usec_t rotate_age;
	struct list all;
};

static void runtime_tell_waiters(struct runtime *runtime, const struct err *e);

static void runtime_free(struct runtime *runtime)
{
	struct err e = { 0 };

	err_set(&e, -ECANCELED, "the supervisor ends");
	runtime_tell_waiters(runtime, &e);
	list_remove(&runtime->link);
	runtime_template_free(runtime->current);
	runtime_template_free(runtime->next);
	manifest_free(runtime->manifest);
	free(runtime);
}

struct runtimes *runtimes_free(struct runtimes *runtimes)
{
	struct runtime *runtime, *following;

	if (!runtimes)
		return NULL;
	list_for_each_safe (runtime, following, &runtimes->all, link)
		runtime_free(runtime);
	free(runtimes);
	return NULL;
}

static int runtimes_load_one(
	struct runtimes *runtimes, const char *directory, const char *name, struct err *e)
{
	struct runtime *runtime = calloc(1, sizeof(*runtime));
	int r;

	if (!runtime)
		return err_errno(e, -ENOMEM, "cannot load the runtime %s", name);
	r = manifest_load(directory, name, &runtime->manifest, e);
	if (r < 0) {
		free(runtime);
		return r;
	}
	runtime->runtimes = runtimes;
	list_init(&runtime->waiters);
	list_init(&runtime->clones);
	list_append(&runtimes->all, &runtime->link);
	return 0;
}

int runtimes_load(const char *directory, struct runtimes **ret, struct err *e)
{
	_cleanup_(runtimes_free_cleanup) struct runtimes *runtimes = calloc(1, sizeof(*runtimes));
	char pattern[PATH_MAX];
	glob_t found;
	int r = 0;

	if (!runtimes)
		return err_errno(e, -ENOMEM, "cannot load the runtimes");
	list_init(&runtimes->all);
	snprintf(pattern, sizeof(pattern), "%s/*/manifest.json", directory);
	if (glob(pattern, 0, NULL, &found) != 0)
		return err_set(e, -ENOENT,
			"no runtime is in %s; name the directory with --runtimes", directory);
	for (size_t i = 0; i < found.gl_pathc && r == 0; i++) {
		*strrchr(found.gl_pathv[i], '/') = '\0';
		r = runtimes_load_one(runtimes, directory, strrchr(found.gl_pathv[i], '/') + 1, e);
	}
	globfree(&found);
	if (r == 0)
		*ret = take_ptr(runtimes);
	return r;
}

void runtimes_attach(struct runtimes *runtimes, struct loop *loop, struct processes *processes)
{
	runtimes->loop = loop;
	runtimes->processes = processes;
}

void runtimes_rotate(struct runtimes *runtimes, unsigned clones, usec_t age)
{
	runtimes->rotate_clones = clones;
	runtimes->rotate_age = age;
}

/* An interpreter in PREFIX/bin needs its PREFIX. What extends the root lives as long as the
 * runtime. */
void runtimes_extend_root(struct runtimes *runtimes, struct root_spec *root)
{
	struct runtime *runtime;
	size_t n = 0;

	list_for_each (runtime, &runtimes->all, link) {
		char *prefix, *slash;

		if (!runtime->manifest->interpreter || n == ROOT_EXTRA_MAX)
			continue;
		prefix = realpath(runtime->manifest->interpreter, NULL);
		if (!prefix || !strncmp(prefix, "/usr/", 5) || !strncmp(prefix, "/bin/", 5)) {
			free(prefix);
			continue;
		}
		for (int i = 0; i < 2 && (slash = strrchr(prefix, '/')); i++)
			*slash = '\0';
		if (*prefix)
			root->extra[n++] = prefix;
		else
			free(prefix);
	}
}

struct runtime *runtimes_next(struct runtimes *runtimes, struct runtime *runtime)
{
	struct list *next = runtime ? runtime->link.next : runtimes->all.next;

	return next == &runtimes->all ? NULL : container_of(next, struct runtime, link);
}

struct runtime *runtimes_match(struct runtimes *runtimes, const char *identifier, bool *ret_exact)
{
	struct runtime *runtime;

	list_for_each (runtime, &runtimes->all, link) {
		struct manifest *m = runtime->manifest;
		bool plain = !strcmp(identifier, m->name);
		bool matched = plain;

		for (char **p = m->identifiers; *p && !matched; p++)
			matched = fnmatch(*p, identifier, 0) == 0;
		if (!matched)
			continue;
		*ret_exact = plain || (m->identifier && !strcmp(m->identifier, identifier));
		return runtime;
	}
	return NULL;
}

const struct manifest *runtime_manifest(const struct runtime *runtime)
{
	return runtime->manifest;
}

bool runtime_usable(const struct runtime *runtime, const char **ret_why)
{
	if (ret_why)
		*ret_why = runtime->manifest->problem;
	return !runtime->manifest->problem[0];
}

bool runtime_can_clone(const struct runtime *runtime, const char **ret_why)
{
	const char *why = runtime->manifest->problem;

	if (!*why && !runtime->manifest->clone)
		why = "its manifest allows exec only";
	if (!*why && runtime->last_failure.code)
		why = runtime->last_failure.text;
	if (ret_why)
		*ret_why = why;
	return !*why;
}

json_t *runtime_describe(const struct runtime *runtime)
{
	const struct manifest *m = runtime->manifest;
	const struct runtime_template *t = runtime->current;
	const char *why;
	bool clone = runtime_can_clone(runtime, &why);
	json_t *deploy = json_object_get(m->document, "deploy");
	json_t *identifiers = json_object_get(m->document, "identifiers");

	return json_pack(
		"{s:s, s:s, s:s?, s:s?, s:s?, s:O?, s:b, s:b, s:s, s:b, s:I, s:I, s:I, s:O?}",
		"name", m->name, "title", m->title, "interpreter", m->interpreter, "version",
		t && t->version[0] ? t->version : m->version, "identifier", m->identifier,
		"identifiers", identifiers, "usable", !m->problem[0], "clone", clone, "problem",
		why, "template_ready", t && t->ready, "template_threads",
		(json_int_t)(t ? t->thread_count : 0), "template_boot_ms",
		(json_int_t)(t && t->ready ? (t->ready_at - t->started_at) / USEC_PER_MSEC : 0),
		"template_boots", (json_int_t)runtime->boots, "deploy", deploy);
}

static void runtime_tell_waiters(struct runtime *runtime, const struct err *e)
{
	struct list batch = LIST_INIT(batch);

	while (!list_empty(&runtime->waiters)) {
		struct list *link = runtime->waiters.next;

		list_remove(link);
		list_append(&batch, link);
	}
	while (!list_empty(&batch)) {
		struct runtime_waiter *w = list_first(&batch, struct runtime_waiter, link);

		list_remove(&w->link);
		w->waiting = false;
		w->ready(w, e);
	}
}

static void runtime_template_ready(struct runtime_template *t)
{
	struct runtime *runtime = t->owner;

	log_info("runtime %s %s: template ready after %llu ms, %llu threads parked",
		runtime->manifest->name, t->version,
		(unsigned long long)((t->ready_at - t->started_at) / USEC_PER_MSEC),
		(unsigned long long)t->thread_count);
	runtime->last_failure.code = 0;
	if (t == runtime->next) {
		runtime_template_free(runtime->current);
		runtime->current = t;
		runtime->next = NULL;
	}
	runtime_tell_waiters(runtime, NULL);
}

static void runtime_refuse_clones(struct runtime *runtime, uint32_t sequence, const struct err *e)
{
	struct runtime_clone *clone, *following;

	list_for_each_safe (clone, following, &runtime->clones, link) {
		if (sequence && clone->sequence != sequence)
			continue;
		runtime_clone_done(clone);
		clone->refused(clone, e);
	}
}

static void runtime_template_refused(
	struct runtime_template *t, uint32_t sequence, const struct err *e)
{
	runtime_refuse_clones(t->owner, sequence, e);
}

static void runtime_template_lost(struct runtime_template *t, const struct err *e)
{
	struct runtime *runtime = t->owner;
	struct err copy = *e;
	bool was_ready = t->ready;

	log_warning("%s", copy.text);
	if (t == runtime->next) {
		runtime->next = runtime_template_free(t);
		return;
	}
	runtime->current = runtime_template_free(t);
	if (!was_ready)
		runtime->last_failure = copy;
	runtime_refuse_clones(runtime, 0, &copy);
	runtime_tell_waiters(runtime, &copy);
}

static const struct runtime_template_events runtime_template_events = {
	.ready = runtime_template_ready,
	.lost = runtime_template_lost,
	.refused = runtime_template_refused,
};

static int runtime_boot(struct runtime *runtime, struct runtime_template **ret)
{
	runtime->boots++;
	return runtime_template_new(runtime->manifest, runtime->runtimes->loop,
		runtime->runtimes->processes, &runtime_template_events, runtime, ret);
}

void runtime_want(struct runtime *runtime, struct runtime_waiter *waiter)
{
	struct err e = { 0 };
	int r = 0;

	if (runtime->current && runtime->current->ready && !runtime->current->ended) {
		waiter->ready(waiter, NULL);
		return;
	}
	waiter->waiting = true;
	list_append(&runtime->waiters, &waiter->link);
	if (runtime->manifest->problem[0])
		r = err_set(&e, -ENOENT, "%s", runtime->manifest->problem);
	else if (!runtime->current)
		r = runtime_boot(runtime, &runtime->current);
	if (r < 0 && !e.code)
		err_errno(&e, r, "cannot start the runtime %s", runtime->manifest->name);
	if (r < 0)
		runtime_tell_waiters(runtime, &e);
}

void runtime_unwant(struct runtime_waiter *waiter)
{
	if (!waiter->waiting)
		return;
	waiter->waiting = false;
	list_remove(&waiter->link);
}

uint32_t runtime_clone_begin(struct runtime *runtime, struct runtime_clone *clone)
{
	runtime->sequence = runtime->sequence == UINT32_MAX ? 1 : runtime->sequence + 1;
	clone->sequence = runtime->sequence;
	return clone->sequence;
}

/* One address-space layout is shared by so many function templates, or for so long, and no more. */
static void runtime_rotate(struct runtime *runtime)
{
	struct runtime_template *t = runtime->current;

	if (runtime->next ||
		(t->clones < runtime->runtimes->rotate_clones &&
			usec_monotonic() - t->started_at < runtime->runtimes->rotate_age))
		return;
	if (runtime_boot(runtime, &runtime->next) < 0)
		log_warning("cannot replace the runtime template of %s; it stays in use",
			runtime->manifest->name);
}

int runtime_clone_send(struct runtime *runtime, struct runtime_clone *clone, const void *frame,
	size_t size, const int *fds, size_t fd_count)
{
	struct runtime_template *t = runtime->current;
	int r;

	if (!t || !t->ready || t->ended || !channel_is_open(&t->control))
		return -ESTALE;
	r = channel_send_fds(&t->control, frame, size, fds, fd_count);
	if (r < 0)
		return r;
	clone->pending = true;
	list_append(&runtime->clones, &clone->link);
	t->clones++;
	runtime_rotate(runtime);
	return 0;
}

void runtime_clone_done(struct runtime_clone *clone)
{
	if (!clone->pending)
		return;
	clone->pending = false;
	list_remove(&clone->link);
}
