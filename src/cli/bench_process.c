/*
 * bench_process.c - see bench_process.h.
 */
#include "cli/bench_process.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (64 * 1024)

static void dir_done(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int read_file_of(pid_t pid, const char *name, char **ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fd_read_file(path, FILE_MAX, ret, NULL);
}

/* The number behind a label that starts a line, or 0. */
static uint64_t number_of(const char *text, const char *label)
{
	unsigned long long value = 0;
	const char *line = strstr(text, label);

	if (line)
		sscanf(line + strlen(label), "%llu", &value);
	return value;
}

/* How many pid namespaces the process is in, its own and those around it. */
static unsigned namespace_depth(const char *status)
{
	const char *line = strstr(status, "\nNSpid:");
	unsigned depth = 0;

	for (line = line ? line + 7 : ""; *line && *line != '\n'; line++)
		depth += *line == '\t';
	return depth;
}

static void consider(pid_t pid, pid_t supervisor, unsigned depth, struct bench_process *best)
{
	_cleanup_free_ char *status = NULL, *memory = NULL;
	uint64_t private_kb;

	if (read_file_of(pid, "status", &status) != 0 ||
		number_of(status, "\nPPid:") != (uint64_t)supervisor ||
		namespace_depth(status) != depth + 1)
		return;
	private_kb = number_of(status, "\nRssAnon:");
	if (private_kb <= best->private_kb)
		return;
	*best = (struct bench_process){ .pid = pid, .private_kb = private_kb };
	if (read_file_of(pid, "smaps_rollup", &memory) == 0)
		best->huge_kb = number_of(memory, "\nAnonHugePages:");
}

int bench_process_find_template(pid_t supervisor, struct bench_process *ret)
{
	_cleanup_(dir_done) DIR *dir = opendir("/proc");
	_cleanup_free_ char *status = NULL;
	struct bench_process best = { 0 };
	struct dirent *found;
	int r = dir ? read_file_of(supervisor, "status", &status) : -errno;

	if (r != 0)
		return r;
	while ((found = readdir(dir))) {
		pid_t pid = (pid_t)strtol(found->d_name, NULL, 10);

		if (pid > 0)
			consider(pid, supervisor, namespace_depth(status), &best);
	}
	if (best.pid == 0)
		return -ESRCH;
	*ret = best;
	return 0;
}
