/*
 * bench_program.c - see bench_program.h.
 */
#include "cli/bench_program.h"
#include "base/macros.h"
#include "cli/outcome.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 256

/* The names are those of bench/__main__.py. */
const struct bench_program bench_programs[] = {
	{ "launches", "launches by runtime: on demand, from a spare, first use ever" },
	{ "throughput", "requests per second and latency, beside a bare HTTP reply" },
	{ "density", "memory and launch time as isolates and functions grow" },
	{ "efficiency", "operations per second and GB, beside other ways to run functions" },
	{ "replay", "a recorded trace of a cloud, beside other ways to run functions" },
	{ "peers", "other runtimes on the same work" },
	{ "all", "all of these, bounded, and the table of aims and verdicts" },
	{ NULL, NULL },
};

/* Where the folder is, seen from the program's: in a build, and in an installation. */
static const char *const places[] = { "bench", "../lib/polyvisor/bench" };
static const char *const interpreters[] = { "/usr/bin/python3", "python3" };

const struct bench_program *bench_program_find(const char *name)
{
	for (const struct bench_program *b = bench_programs; b->name; b++)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}

/* The folder, and in the environment the program that the bench is to measure: this one. */
static int find_folder(char folder[static PATH_MAX], struct err *e)
{
	char program[PATH_MAX / 2], file[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (n < 0)
		return err_errno(e, -errno, "the program's own folder cannot be found");
	program[n] = '\0';
	if (setenv("POLYVISOR_PROGRAM", program, 1) < 0)
		return -errno;
	*strrchr(program, '/') = '\0';
	for (size_t i = 0; i < array_size(places); i++) {
		snprintf(folder, PATH_MAX, "%s/%s", program, places[i]);
		snprintf(file, sizeof(file), "%s/__main__.py", folder);
		if (access(file, R_OK) == 0)
			return 0;
	}
	return err_set(e, -ENOENT,
		"the benches are not beside %s: build or install all of the tree", program);
}

int bench_program_execute(const struct bench_program *bench, bool json, char **words, struct err *e)
{
	const char *line[WORDS_MAX + 8];
	char folder[PATH_MAX];
	size_t count = 3;
	int r = find_folder(folder, e);

	if (r != 0)
		return r;
	line[1] = folder;
	line[2] = bench->name;
	if (json)
		line[count++] = "--json";
	for (; *words; words++) {
		if (count > WORDS_MAX)
			return err_set(e, OUTCOME_USAGE,
				"bench %s was given too many words: "
				"give at most %d",
				bench->name, WORDS_MAX);
		line[count++] = *words;
	}
	line[count] = NULL;
	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; i < array_size(interpreters); i++) {
		line[0] = interpreters[i];
		execvp(line[0], (char **)line);
	}
	return err_errno(e, -errno, "bench %s needs python3, which cannot be started", bench->name);
}
