/*
 * bench_launch.c - how long an isolate takes to be ready, and what one more costs in memory.
 *
 * Launches and floor are measured alternately, so that whatever else the machine does meets both.
 * A launch is timed by the supervisor, from its decision to the isolate waiting for its event, and
 * reported in the header of the reply; the function has a fresh isolate for every invocation.
 */
#include "cli/bench.h"
#include "cli/bench_process.h"
#include "cli/deploy.h"
#include "cli/infer.h"
#include "cli/languages.h"
#include "cli/member.h"
#include "cli/outcome.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WARM_UP 20
#define ISOLATES 100
#define MEMORY_ROUNDS 3
#define IDLE_TIMEOUT (120 * USEC_PER_SEC)
#define IDLE_INTERVAL_US 50000
#define SETTLE_US 1000000
#define PROGRESS_EVERY 50

struct run {
	struct cli *cli;
	struct client *client;
	const struct bench_launch_options *options;
	const json_t *language;
	struct bench_launch *result;
	struct bench_floor floor;
	char sample[512], name[64];
};

void bench_launch_done(struct bench_launch *result)
{
	bench_samples_done(&result->launch);
	bench_samples_done(&result->floor);
}

static bool is_exec(const struct run *run)
{
	return run->options->launch && strcmp(run->options->launch, "exec") == 0;
}

static void show_progress(const char *what, uint64_t done, uint64_t of)
{
	if (!output_is_terminal(stderr))
		return;
	if (done >= of)
		fputs("\r\033[K", stderr);
	else if (done % PROGRESS_EVERY == 0)
		fprintf(stderr, "\r%s %llu/%llu", what, (unsigned long long)done,
			(unsigned long long)of);
}

static int deploy_sample(
	struct run *run, const char *name, const char *isolation, const char *spares, struct err *e)
{
	const char *settings[] = { spares };
	struct deploy_options options = { .name = name,
		.runtime = run->options->runtime,
		.isolation = isolation,
		.launch = run->options->launch,
		.timeout = 60,
		.settings = { settings, 1 },
		.warm = true };
	_cleanup_deploy_ struct deploy deploy = { .options = &options };

	return deploy_path(run->cli, &deploy, run->sample, e);
}

static void remove_function(struct run *run, const char *name)
{
	_cleanup_buffer_ struct buffer path = { 0 };
	_cleanup_response_ struct response response = { 0 };
	struct request request = { .method = "DELETE" };

	cli_function_path(&path, name, "");
	request.path = path.data;
	if (!path.failed && client_exchange(run->client, &request, &response, NULL) != 0)
		return; /* the supervisor has gone, and the function with it or not */
}

/* One invocation in a fresh isolate; gives its launch time. */
static int invoke(struct run *run, double *ret_us, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 };
	_cleanup_response_ struct response response = { 0 };
	struct request request = {
		.method = "POST", .body = "{}", .body_size = 2, .object = "the bench's function"
	};
	const char *start, *launch, *expected = run->options->launch;
	int r;

	cli_function_path(&path, run->name, "/invocations");
	if (path.failed)
		return -ENOMEM;
	request.path = path.data;
	r = client_send(run->client, &request, &response, e);
	if (r != 0)
		return r;
	if (client_header(run->client, "X-Amz-Function-Error"))
		return err_set(e, OUTCOME_FUNCTION_ERROR, "the bench's function failed: %.300s",
			response.body.data ? response.body.data : "no reason was given");
	start = client_header(run->client, "X-Polyvisor-Start");
	if (!start || strcmp(start, expected ? expected : "clone") != 0)
		return err_set(e, OUTCOME_SUPERVISOR,
			"the bench needs isolates that start by %s, and one started by %s: "
			"`polyvisor "
			"runtimes` may say why",
			expected ? expected : "clone", start ? start : "nothing it told");
	launch = client_header(run->client, "X-Polyvisor-Launch-Us");
	*ret_us = launch ? strtod(launch, NULL) : 0;
	return 0;
}

/* The first invocations tell other start kinds and warm what they share. */
static int warm_up(struct run *run, struct err *e)
{
	double ignored;
	int r = 0;

	for (int i = 0; i < WARM_UP && !bench_interrupted(); i++) {
		r = invoke(run, &ignored, e);
		if (r != 0 && i > 0)
			return r;
	}
	return r == OUTCOME_SUPERVISOR ? 0 : r;
}

static int sample_both(struct run *run, struct err *e)
{
	struct bench_launch *result = run->result;
	uint64_t count = run->options->count;
	double launch, floor;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < count; i++) {
		show_progress("launches", i, count);
		if (bench_interrupted())
			return err_set(e, -EINTR, "the bench was interrupted");
		r = invoke(run, &launch, e);
		if (r == 0)
			r = bench_floor_sample(&run->floor, &floor, e);
		if (r == 0)
			r = bench_samples_add(&result->launch, launch);
		if (r == 0)
			r = bench_samples_add(&result->floor, floor);
	}
	show_progress("", 1, 1);
	return r;
}

static int measure_launches(struct run *run, pid_t supervisor, struct err *e)
{
	struct bench_process template = { 0 };
	int r = deploy_sample(run, run->name, "request", "spares=0", e);

	if (r == 0)
		r = warm_up(run, e);
	if (r != 0)
		return r;
	/* exec has no template: its floor is the fork of an empty process */
	r = bench_process_find_template(supervisor, &template);
	if (r != 0 && !is_exec(run))
		return err_errno(e, r, "the function template of the bench cannot be found");
	run->result->template_kb = template.private_kb;
	run->result->template_huge_kb = template.huge_kb;
	r = bench_floor_start(&run->floor, template.private_kb, template.huge_kb, e);
	if (r == 0)
		r = sample_both(run, e);
	bench_floor_stop(&run->floor);
	remove_function(run, run->name);
	return r;
}

/* Idle isolates of a function, by the supervisor's statistics; -1 before it has its template. */
static int count_idle(struct run *run, const char *name, long long *ret, struct err *e)
{
	_cleanup_json_ json_t *stats = NULL;
	json_t *function;
	size_t i;
	int r = cli_get_json(run->cli, "/polyvisor/stats", "the statistics", &stats, e);

	*ret = -1;
	if (r != 0)
		return r;
	json_array_foreach(json_object_get(stats, "functions"), i, function)
	{
		if (strcmp(member_text(function, "name"), name) == 0 &&
			json_is_true(json_object_get(function, "template_ready")))
			*ret = member_number(json_object_get(function, "isolates"), "idle");
	}
	return 0;
}

static int wait_for_idle(struct run *run, const char *name, long long wanted, struct err *e)
{
	usec_t deadline = usec_monotonic() + IDLE_TIMEOUT;
	long long idle = 0;
	int r = 0;

	while (r == 0 && !bench_interrupted()) {
		r = count_idle(run, name, &idle, e);
		if (r == 0 && idle == wanted)
			return 0;
		if (r == 0 && usec_monotonic() > deadline)
			return err_set(e, OUTCOME_SUPERVISOR,
				"the bench waited for %lld idle isolates and there are %lld: its "
				"memory budget may be too small",
				wanted, max_of(idle, 0LL));
		usleep(IDLE_INTERVAL_US);
	}
	return r != 0 ? r : err_set(e, -EINTR, "the bench was interrupted");
}

/* Memory that is available while a function has so many idle isolates. */
static int available_with(
	struct run *run, const char *name, int isolates, double *ret_kb, struct err *e)
{
	char spares[32];
	int r;

	snprintf(spares, sizeof(spares), "spares=%d", isolates);
	r = deploy_sample(run, name, "function", spares, e);
	if (r == 0)
		r = wait_for_idle(run, name, isolates, e);
	return r == 0 ? bench_memory_available(ret_kb, e) : r;
}

/*
 * With one function after the other, so that isolates only come and none goes: what processes free
 * stays for seconds in lists that do not count as free. The median of the rounds counts, since
 * whatever else the machine does shows in each.
 */
static int measure_memory(struct run *run, struct err *e)
{
	struct bench_samples rounds = { 0 };
	double with_none = 0, with_all = 0;
	char name[64];
	int r = 0;

	for (int i = 0; r == 0 && i < MEMORY_ROUNDS; i++) {
		snprintf(name, sizeof(name), "bench-idle-%d", i);
		show_progress("memory", (uint64_t)i, MEMORY_ROUNDS);
		r = available_with(run, name, 0, &with_none, e);
		if (r == 0)
			r = available_with(run, name, ISOLATES, &with_all, e);
		if (r == 0)
			r = bench_samples_add(&rounds, (with_none - with_all) / ISOLATES);
	}
	show_progress("", 1, 1);
	run->result->has_memory = r == 0;
	run->result->memory_per_isolate_kb = bench_samples_percentile(&rounds, 50);
	bench_samples_done(&rounds);
	for (int i = 0; i < MEMORY_ROUNDS; i++) {
		snprintf(name, sizeof(name), "bench-idle-%d", i);
		remove_function(run, name);
	}
	usleep(SETTLE_US);
	return r;
}

static int find_sample(struct run *run, struct err *e)
{
	const char *hello = member_text(run->language, "hello");

	if (!*hello)
		return err_set(e, OUTCOME_USAGE, "runtime %s has no sample function to measure",
			run->options->runtime);
	snprintf(run->sample, sizeof(run->sample), "%s/%s", member_text(run->language, "folder"),
		hello);
	return 0;
}

/* The version of the runtime, as the supervisor found it. */
static int read_version(struct run *run, struct err *e)
{
	_cleanup_json_ json_t *runtimes = NULL;
	const json_t *runtime;
	int r = cli_get_runtimes(run->cli, &runtimes, e);

	if (r != 0)
		return r;
	runtime = infer_find_runtime(runtimes, member_text(run->language, "name"));
	snprintf(run->result->version, sizeof(run->result->version), "%s",
		member_text(runtime, "version"));
	return 0;
}

static int measure(struct run *run, struct bench_launch *ret, struct err *e)
{
	struct bench_supervisor supervisor = { .pidfd = -1 };
	int r = bench_supervisor_start(&supervisor, e);

	run->cli->options.endpoint = supervisor.endpoint;
	run->result = ret;
	snprintf(run->name, sizeof(run->name), "bench-launch");
	if (r == 0)
		r = cli_client(run->cli, &run->client, e);
	if (r == 0)
		r = read_version(run, e);
	if (r == 0)
		r = is_exec(run) || run->options->no_memory ? 0 : measure_memory(run, e);
	if (r == 0)
		r = measure_launches(run, supervisor.pid, e);
	bench_supervisor_stop(&supervisor);
	return r;
}

int bench_launch(struct cli *cli, const struct bench_launch_options *options,
	struct bench_launch *ret, struct err *e)
{
	_cleanup_json_ json_t *languages = NULL;
	struct run run = { .cli = cli, .options = options };
	int r = languages_load_all(&languages, e);

	if (r != 0)
		return r;
	run.language = infer_find_runtime(languages, options->runtime);
	if (!run.language)
		return err_set(e, OUTCOME_USAGE,
			"there is no runtime %s: `polyvisor runtimes` lists them",
			options->runtime);
	r = find_sample(&run, e);
	if (r != 0)
		return r;
	bench_catch_signals();
	return measure(&run, ret, e);
}
