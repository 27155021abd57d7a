/*
 * reap.c - orphans that came to this process because it is PID 1 of its namespace.
 *
 * A child's exit status can be taken once. What the adapter knows to have been started by the
 * language itself is left to whoever waits for it there; everything else that has ended was started
 * by a child that is gone, and nobody else will ever ask.
 */
#include "guest/handle.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#define REAP_LIST_MAX 65536 /* bytes of a list of children, some 8,000 of them */

static bool reap_is_known(pid_t pid, const int *known, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (known[i] == pid)
			return true;
	return false;
}

static void reap_one(pid_t pid)
{
	siginfo_t ended;

	while (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG) < 0 && errno == EINTR)
		continue;
}

static int reap_children_of_thread(const char *tid, const int *known, size_t count)
{
	_cleanup_free_ char *list = NULL;
	char path[64], *position, *end;
	int r;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", tid);
	r = fd_read_file(path, REAP_LIST_MAX, &list, NULL);
	if (r < 0)
		return r;
	for (position = list;; position = end) {
		long pid = strtol(position, &end, 10);

		if (end == position || pid <= 0)
			return 0;
		if (!reap_is_known((pid_t)pid, known, count))
			reap_one((pid_t)pid);
	}
}

static void reap_close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* The kernel shows one ended child at a time, and always the same one until it is taken: to get
 * past a known one, all children have to be looked at. */
static int reap_around_known(const int *known, size_t count)
{
	_cleanup_(reap_close_directory) DIR *threads = opendir("/proc/self/task");
	struct dirent *thread;
	int r;

	if (!threads)
		return -errno;
	while ((thread = readdir(threads))) {
		if (thread->d_name[0] == '.')
			continue;
		r = reap_children_of_thread(thread->d_name, known, count);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

int pv_reap(pv_handle *handle, const int *known, size_t count)
{
	if (!handle || (!known && count > 0))
		return -EINVAL;
	for (;;) {
		siginfo_t ended = { 0 };

		if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) < 0) {
			if (errno == EINTR)
				continue;
			return errno == ECHILD ? 0 : -errno;
		}
		if (ended.si_pid == 0)
			return 0;
		if (reap_is_known(ended.si_pid, known, count))
			return reap_around_known(known, count);
		reap_one(ended.si_pid);
	}
}
