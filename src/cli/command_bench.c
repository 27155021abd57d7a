/*
 * command_bench.c - `polyvisor bench launch`, and the way to the benches that are programs.
 */
#include "cli/bench.h"
#include "cli/bench_program.h"
#include "cli/commands.h"
#include "cli/outcome.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define VALUE(member) offsetof(struct bench_launch_options, member)
#define COUNT_DEFAULT 1000

static const struct option_row rows[] = {
	option_text(
		"runtime", 'r', "RUNTIME", VALUE(runtime), "which language runtime: python, ..."),
	option_number("count", 'c', "N", VALUE(count), 1, 1000000, "how many launches (1000)"),
	option_choice("launch", "clone|exec", VALUE(launch), "how isolates are made"),
	option_flag("no-memory", 0, VALUE(no_memory), "leave out the memory of idle isolates"),
	option_end,
};

/* What a clock or a kernel's counter can tell, and no digit more. */
static double rounded(double value)
{
	return (double)(long long)(value * 10 + (value < 0 ? -0.5 : 0.5)) / 10;
}

static double percentile(struct bench_samples *samples, unsigned percent)
{
	return rounded(bench_samples_percentile(samples, percent));
}

static void print_json(const struct bench_launch_options *o, struct bench_launch *b)
{
	json_t *report = json_pack("{s:s,s:I,s:f,s:f,s:f,s:f,s:o}", "runtime", o->runtime, "count",
		(json_int_t)b->launch.count, "p50_us", percentile(&b->launch, 50), "p90_us",
		percentile(&b->launch, 90), "p99_us", percentile(&b->launch, 99), "floor_p50_us",
		percentile(&b->floor, 50), "memory_per_isolate_kb",
		b->has_memory ? json_real(rounded(b->memory_per_isolate_kb)) : json_null());

	output_json(stdout, report);
	json_decref(report);
}

static void add_row(struct table *table, const char *what, struct bench_samples *samples)
{
	static const unsigned percents[] = { 50, 90, 99, 100 };

	table_add(table, "%s", what);
	table_add(table, "%zu", samples->count);
	for (size_t i = 0; i < array_size(percents); i++)
		table_add(table, "%.0f us", bench_samples_percentile(samples, percents[i]));
}

static int print_table(const struct bench_launch_options *o, struct bench_launch *b)
{
	static const char *const headings[] = { "", ">SAMPLES", ">P50", ">P90", ">P99", ">MAX" };
	_cleanup_table_ struct table table = TABLE_INIT(headings);
	double floor = bench_samples_percentile(&b->floor, 50);
	struct utsname machine;
	double load = 0;
	int r;

	uname(&machine);
	getloadavg(&load, 1);
	printf("%s %s, %s start; polyvisor %s; Linux %s %s, %ld processors, load %.1f\n\n",
		o->runtime, b->version, o->launch ? o->launch : "clone", POLYVISOR_VERSION,
		machine.release, machine.machine, sysconf(_SC_NPROCESSORS_ONLN), load);
	add_row(&table, "launch", &b->launch);
	add_row(&table, "floor", &b->floor);
	r = table_print(&table, stdout);
	if (r != 0)
		return r;
	printf("\nlaunch / floor, both p50   %.2f\n",
		floor > 0 ? bench_samples_percentile(&b->launch, 50) / floor : 0);
	if (b->has_memory)
		printf("memory of an idle isolate  %.0f KB of the system's\n",
			b->memory_per_isolate_kb);
	printf("floor                      fork of a process with %llu KB of its own, %llu KB of "
	       "it in "
	       "huge pages\n",
		(unsigned long long)b->template_kb, (unsigned long long)b->template_huge_kb);
	return 0;
}

static int refuse_name(const char *name, struct err *e)
{
	char names[256] = "launch";

	for (const struct bench_program *b = bench_programs; b->name; b++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), ", %s", b->name);
	return err_set(e, OUTCOME_USAGE, "there is no bench %s: there are %s", name, names);
}

/* A bench that is a program parses what follows its name. */
static int take_over(struct cli *cli, char **words, bool *ret_taken, struct err *e)
{
	const struct bench_program *bench;

	*ret_taken = words[0] && words[0][0] != '-' && strcmp(words[0], "launch") != 0;
	if (!*ret_taken)
		return 0;
	bench = bench_program_find(words[0]);
	if (!bench)
		return refuse_name(words[0], e);
	if (cli->options.endpoint)
		return err_set(e, OUTCOME_USAGE,
			"bench %s starts a supervisor of its own: leave out --endpoint",
			bench->name);
	return bench_program_execute(bench, cli->options.json, words + 1, e);
}

static int run(struct cli *cli, const void *values, char **arguments, struct err *e)
{
	struct bench_launch_options options = *(const struct bench_launch_options *)values;
	struct bench_launch result = { 0 };
	int r;

	if (bench_program_find(arguments[0]))
		return err_set(e, OUTCOME_USAGE,
			"bench %s takes its options behind its name: write `polyvisor bench %s "
			"[OPTION...]`",
			arguments[0], arguments[0]);
	if (strcmp(arguments[0], "launch") != 0)
		return refuse_name(arguments[0], e);
	if (!options.runtime)
		return err_set(
			e, OUTCOME_USAGE, "bench launch needs --runtime, such as --runtime python");
	if (cli->options.endpoint)
		return err_set(e, OUTCOME_USAGE,
			"bench launch starts a supervisor of its own: leave out --endpoint");
	options.count = options.count ? options.count : COUNT_DEFAULT;
	r = bench_launch(cli, &options, &result, e);
	if (r == 0 && cli->options.json)
		print_json(&options, &result);
	else if (r == 0)
		r = print_table(&options, &result);
	bench_launch_done(&result);
	return r;
}

const struct command command_bench = {
	.name = "bench",
	.arguments = "launch|launches|throughput|density|efficiency|replay|peers|all",
	.summary = "Measure this program on this machine, beside floors and rivals",
	.details = "Each bench starts supervisors of its own; other work on the machine falsifies "
		   "all of it.\n"
		   "\n"
		   "launch       N launches one after the other, each beside the fork of an "
		   "equally large\n"
		   "             process, then the memory of 100 idle isolates; its options are "
		   "below\n"
		   "launches     launches by runtime: on demand, from a spare, first use ever\n"
		   "throughput   requests per second and latency, beside a bare HTTP reply\n"
		   "density      memory and launch time as isolates and functions grow\n"
		   "efficiency   operations per second and GB, beside other ways to run functions\n"
		   "replay       a recorded trace of a cloud, beside other ways to run functions\n"
		   "peers        other runtimes on the same work\n"
		   "all          all of these, bounded, and the table of aims and verdicts\n"
		   "\n"
		   "`polyvisor bench NAME --help` says which options a bench has; all but launch "
		   "know\n"
		   "--quick, --json and --report DIR, and need python3 and wrk, gnuplot for plots, "
		   "crun for\n"
		   "containers.",
	.options = rows,
	.values_size = sizeof(struct bench_launch_options),
	.arguments_min = 1,
	.arguments_max = 1,
	.take_over = take_over,
	.run = run,
};
