/*
 * supervisor.c - the daemon from its start to its end; see supervisor.h.
 */
#include "supervisor/supervisor.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/front/front.h"
#include "supervisor/host/features.h"
#include "supervisor/host/precedence.h"
#include "supervisor/host/rootless.h"
#include "supervisor/host/subordinate_ids.h"
#include "supervisor/launch/cgroup.h"
#include "supervisor/launch/manifest.h"
#include "supervisor/launch/network.h"
#include "supervisor/launch/processes.h"
#include "supervisor/launch/runtime.h"
#include "supervisor/launch/system_calls.h"
#include "supervisor/loop/loop.h"
#include "supervisor/options.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/schedule/group.h"
#include "supervisor/schedule/metrics.h"
#include "supervisor/schedule/watch.h"
#include "supervisor/store/code.h"
#include "supervisor/store/config.h"
#include "supervisor/store/store.h"
#include "supervisor/store/worker.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAIN_LIMIT (30 * USEC_PER_SEC) /* how long running invocations may take after SIGTERM */
#define DRAIN_CHECK (20 * USEC_PER_MSEC)

/* What lives as long as main: the supervisor, and what is about the process rather than the
 * service. */
struct daemon {
	struct supervisor s;
	struct root_spec root;
	char mount_point[PATH_MAX], runtimes[PATH_MAX], library[PATH_MAX], state[PATH_MAX];
	struct loop_source signals;
	struct loop_timer drain;
	usec_t drain_until;
};

/* The folder that has `proof`: `built` beside the program, or `installed` beside its folder. */
static void beside_program(
	const char *built, const char *installed, const char *proof, char path[static PATH_MAX])
{
	const char *const places[] = { built, installed };
	char program[PATH_MAX / 2], file[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	program[max_of(n, (ssize_t)0)] = '\0';
	if (strrchr(program, '/'))
		*strrchr(program, '/') = '\0';
	for (size_t i = 0; i < array_size(places); i++) {
		snprintf(path, PATH_MAX, "%s/%s", program, places[i]);
		snprintf(file, sizeof(file), "%.2000s/%s", path, proof);
		if (access(file, F_OK) == 0)
			return;
	}
}

static void daemon_find_files(struct daemon *d)
{
	struct options *o = &d->s.options;

	beside_program(
		"runtimes", "../lib/polyvisor/runtimes", "python/manifest.json", d->runtimes);
	beside_program("src/guest", "../lib/polyvisor", "libpolyvisor.so", d->library);
	if (o->runtimes)
		snprintf(d->runtimes, sizeof(d->runtimes), "%s", o->runtimes);
	if (o->library)
		snprintf(d->library, sizeof(d->library), "%s", o->library);
	o->runtimes = d->runtimes;
	o->library = d->library;
	d->root.runtimes = d->runtimes;
	d->root.library = d->library;
}

static void daemon_find_state(struct daemon *d)
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (d->s.options.state)
		return;
	if (geteuid() == 0)
		snprintf(d->state, sizeof(d->state), "/var/lib/polyvisor");
	else if (base && *base)
		snprintf(d->state, sizeof(d->state), "%s/polyvisor", base);
	else
		snprintf(d->state, sizeof(d->state), "%s/.local/state/polyvisor", home ? home : "");
	d->s.options.state = d->state;
}

static int daemon_make_mount_point(struct daemon *d, struct err *e)
{
	char state[PATH_MAX];

	if (!realpath(d->s.options.state, state))
		return err_errno(
			e, -errno, "cannot find the state directory %s", d->s.options.state);
	snprintf(d->mount_point, sizeof(d->mount_point), "%.4000s/root", state);
	if (mkdir(d->mount_point, 0755) < 0 && errno != EEXIST)
		return err_errno(e, -errno, "cannot make %s", d->mount_point);
	d->root.mount_point = d->mount_point;
	return 0;
}

/* An isolate takes five descriptors, so as many as the system allows are wanted. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files to %llu",
			(unsigned long long)limit.rlim_max);
}

static void daemon_stop_if_quiet(struct loop_timer *timer)
{
	struct daemon *d = container_of(timer, struct daemon, drain);
	usec_t now = usec_monotonic();
	bool quiet = registry_is_quiet(d->s.registry) && front_is_idle(d->s.front);

	if (!quiet && now >= d->drain_until)
		log_warning("invocations still run after %llu seconds; ending them",
			(unsigned long long)(DRAIN_LIMIT / USEC_PER_SEC));
	if (quiet || now >= d->drain_until ||
		loop_timer_set(d->s.loop, timer, now + DRAIN_CHECK, daemon_stop_if_quiet) < 0)
		loop_stop(d->s.loop);
}

/* The first signal drains, a second one ends at once. */
static void daemon_signalled(struct loop_source *source, uint32_t events)
{
	struct daemon *d = container_of(source, struct daemon, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (d->s.draining) {
		loop_stop(d->s.loop);
		return;
	}
	log_info("%s: finishing what runs", strsignal((int)info.ssi_signo));
	d->drain_until = usec_monotonic() + DRAIN_LIMIT;
	front_drain(d->s.front);
	daemon_stop_if_quiet(&d->drain);
	d->s.draining = true;
}

static int daemon_watch_signals(struct daemon *d, struct err *e)
{
	sigset_t mask;
	int fd, r;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return err_errno(e, -errno, "cannot block signals");
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_errno(e, -errno, "cannot watch for signals");
	r = loop_add(d->s.loop, &d->signals, fd, EPOLLIN, daemon_signalled);
	if (r < 0) {
		fd_close(fd);
		return err_errno(e, r, "cannot watch for signals");
	}
	return 0;
}

static bool call_runtime_known(struct supervisor *s, const char *name, const char **ret_why)
{
	bool exact;
	struct runtime *runtime = runtimes_match(s->runtimes, name, &exact);

	return runtime && runtime_usable(runtime, ret_why);
}

static const struct front_calls supervisor_front_calls = {
	.runtime_known = call_runtime_known,
	.metrics_render = metrics_render,
	.runtimes_render = runtimes_render,
};

/* One stored function that cannot be registered is reported and skipped: the others are served. */
static int load_function(void *data, const char *name, const char *document)
{
	struct supervisor *s = data;
	_cleanup_(config_unref_cleanup) struct config *config = NULL;
	struct err e = { 0 };
	int r = config_from_document(&s->options, store_code(s->store), document, &config, &e);

	if (r == -ENOMEM)
		return r;
	if (r != 0)
		log_error("the stored function %s cannot be loaded: %s", name, e.text);
	else if (registry_put(s->registry, config) < 0)
		log_error("the stored function %s is not served", name);
	return 0;
}

static int supervisor_load_functions(struct supervisor *s, struct err *e)
{
	int r = store_load(s->store, load_function, s, e);

	if (r == 0)
		code_sweep(store_code(s->store));
	return r;
}

static int supervisor_start_network(struct supervisor *s, struct err *e)
{
	const struct network_options options = {
		.unconfined = s->options.envelope_off,
		.egress = !s->options.network_none && !s->options.envelope_off,
		.host = s->options.allow_host_network,
		.allowed = s->options.egress_allow,
	};

	return network_new(s->loop, s->processes, &options, &s->network, e);
}

/* Says once what is weaker here than it could be; in strict mode that ends the start. */
static int daemon_check_features(struct daemon *d, struct err *e)
{
	size_t count;
	const struct feature *features = features_table(&count);

	for (size_t i = 0; i < count; i++) {
		char detail[128] = "";
		enum feature_state state = features[i].probe(detail, sizeof(detail));

		if (state == FEATURE_PRESENT || features[i].need == FEATURE_USEFUL)
			continue;
		if (state == FEATURE_ABSENT && features[i].need == FEATURE_STRICT &&
			d->s.options.strict)
			return err_set(e, -ENOTSUP,
				"strict isolation needs %s, without which %s; see `polyvisor "
				"doctor`",
				features[i].name, features[i].without);
		log_warning("weaker here: %s%s%s%s: %s", features[i].name, *detail ? " (" : "",
			detail, *detail ? ")" : "", features[i].without);
	}
	return 0;
}

/* With the /proc of another namespace every look at a process would be a look at another one, or at
 * none; the first to notice would be the mapping of a function's ids. */
static int daemon_check_proc(struct err *e)
{
	char link[32] = "";

	if (readlink("/proc/self", link, sizeof(link) - 1) > 0 && atoi(link) == getpid())
		return 0;
	return err_set(e, -ENOTSUP,
		"/proc is not that of this process's pid namespace: it has process %d as %s; mount "
		"its own (mount -t proc proc /proc, or unshare --fork --pid --mount-proc)",
		getpid(), *link ? link : "nothing");
}

/* What there is of control groups is known once they were tried; they describe the rest themselves. */
static int daemon_start_cgroups(struct daemon *d, struct err *e)
{
	int r = cgroups_new(d->s.options.cgroups, &d->s.cgroups, e);

	if (r < 0 || !d->s.options.strict || cgroups_version(d->s.cgroups) != CGROUP_NONE)
		return r;
	return err_set(e, -ENOTSUP,
		"strict isolation needs control groups, without which memory files escape the "
		"limits of memory; see `polyvisor doctor`");
}

static void daemon_check_user_ids(const struct daemon *d)
{
	uint32_t first = d->s.options.first_uid;
	char owner[64];

	if (geteuid() == 0 && subordinate_ids_overlap(SUBORDINATE_IDS, first, FUNCTION_UIDS_COUNT,
				      owner, sizeof(owner)))
		log_warning("weaker here: user ids from %u on are also %s's (%s), who may signal "
			    "functions; use another range by --first-uid",
			first, owner, SUBORDINATE_IDS);
}

static int daemon_become_rootless(struct daemon *d, struct err *e)
{
	if (geteuid() == 0)
		return 0;
	d->s.rootless = true;
	return rootless_enter(e);
}

static int supervisor_start_limits(struct supervisor *s, struct err *e)
{
	char text[CGROUPS_TEXT_MAX];
	int r = worker_new(s->loop, &s->keeper);

	if (r == 0)
		r = watch_new(s->registry, &s->registry->watch);
	if (r < 0)
		return err_errno(e, r, "cannot watch over the limits of functions");
	cgroups_describe(s->cgroups, text);
	log_info("%s", text);
	groups_start(s->registry);
	return 0;
}

/* The order matters: the spawner is forked while there is one thread and little memory. */
static int daemon_start(struct daemon *d, struct err *e)
{
	struct supervisor *s = &d->s;
	int r;

	r = daemon_check_proc(e);
	if (r == 0)
		r = daemon_check_features(d, e);
	daemon_check_user_ids(d);
	if (r == 0)
		r = daemon_become_rootless(d, e);
	if (r < 0)
		return r;
	r = loop_new(&s->loop);
	if (r < 0)
		return err_errno(e, r, "cannot make the event loop");
	r = store_new(s->options.state, &s->store, e);
	if (r == 0)
		r = runtimes_load(s->options.runtimes, &s->runtimes, e);
	if (r == 0)
		r = daemon_make_mount_point(d, e);
	if (r == 0)
		r = system_calls_compile(&s->system_calls, e);
	if (r == 0)
		r = daemon_start_cgroups(d, e);
	if (r < 0)
		return r;
	runtimes_extend_root(s->runtimes, &d->root);
	r = processes_new(s->loop, &d->root, &s->processes, e);
	if (r == 0)
		r = daemon_watch_signals(d, e);
	if (r < 0)
		return r;
	runtimes_attach(s->runtimes, s->loop, s->processes);
	runtimes_rotate(
		s->runtimes, s->options.rotate_functions, s->options.rotate_seconds * USEC_PER_SEC);
	r = supervisor_start_network(s, e);
	if (r < 0)
		return r;
	r = worker_new(s->loop, &s->worker);
	if (r == 0)
		r = registry_new(s, &s->registry);
	if (r == 0)
		r = registry_start(s->registry);
	if (r < 0)
		return err_errno(e, r, "cannot start the scheduler");
	r = supervisor_start_limits(s, e);
	if (r == 0)
		r = supervisor_load_functions(s, e);
	return r < 0 ? r : front_new(s, &supervisor_front_calls, &s->front, e);
}

static void daemon_stop(struct daemon *d)
{
	struct supervisor *s = &d->s;

	s->stopping = true;
	s->front = front_free(s->front);
	if (s->worker)
		worker_flush(s->worker);
	s->registry = registry_free(s->registry);
	/* Isolates that were abandoned with it are freed by a deferred call. */
	if (s->loop)
		loop_finish(s->loop);
	s->runtimes = runtimes_free(s->runtimes);
	s->network = network_free(s->network);
	s->worker = worker_free(s->worker);
	if (s->keeper)
		s->keeper = worker_free(s->keeper);
	s->processes = processes_free(s->processes);
	s->cgroups = cgroups_free(s->cgroups);
	s->store = store_free(s->store);
	if (s->loop)
		loop_remove(s->loop, &d->signals);
	fd_close(d->signals.fd);
	fd_close(s->system_calls);
	s->loop = loop_free(s->loop);
}

/* Whether a name is in a comma-separated list, or the list is "all". */
static bool list_names(const char *list, const char *name)
{
	size_t size = strlen(name);

	if (!strcmp(list, "all"))
		return true;
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (!strncmp(p, name, size) && (p[size] == ',' || !p[size]))
			return true;
	return false;
}

static void nobody_waits(struct runtime_waiter *waiter, const struct err *e)
{
	(void)e; /* the runtime has said it in the log */
	free(waiter);
}

static void supervisor_warm_runtimes(struct supervisor *s)
{
	struct runtime *runtime = NULL;

	while ((runtime = runtimes_next(s->runtimes, runtime))) {
		const struct manifest *m = runtime_manifest(runtime);
		struct runtime_waiter *waiter;

		if (m->problem[0])
			log_info("runtime %s: %s", m->name, m->problem);
		if (m->problem[0] || !m->clone || !list_names(s->options.warm, m->name))
			continue;
		waiter = calloc(1, sizeof(*waiter));
		if (!waiter)
			return;
		waiter->ready = nobody_waits;
		runtime_want(runtime, waiter);
	}
}

int supervisor_main(int argc, char **argv)
{
	static struct daemon d;
	struct err e = { 0 };
	int r, code = 0;

	if (options_parse(argc, argv, &d.s.options, &code) > 0)
		return code;
	d.signals.fd = d.s.system_calls = -1;
	raise_descriptor_limit();
	precedence_take();
	daemon_find_files(&d);
	daemon_find_state(&d);
	r = daemon_start(&d, &e);
	if (r == 0) {
		log_info("serving at %s, state in %s", front_address(d.s.front), d.s.options.state);
		supervisor_warm_runtimes(&d.s);
		r = loop_run(d.s.loop);
		if (r < 0)
			err_errno(&e, r, "the event loop failed");
	}
	if (r < 0)
		log_error("%s", e.text);
	daemon_stop(&d);
	return r < 0 ? 1 : 0;
}
