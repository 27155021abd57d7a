/*
 * bench_supervisor.c - a supervisor that lives as long as a bench, see bench.h.
 */
#include "base/fd.h"
#include "cli/bench.h"
#include "cli/outcome.h"
#include "cli/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIMEOUT (30 * USEC_PER_SEC)
#define START_INTERVAL_MS 10
#define STOP_TIMEOUT_MS 20000
#define LOG_MAX (1 << 20)

/* In the child: becomes the supervisor, or ends. */
static void become_supervisor(const struct bench_supervisor *s, pid_t parent)
{
	char log[512], state[512];
	int null, out;

	snprintf(log, sizeof(log), "%s/log", s->folder);
	snprintf(state, sizeof(state), "%s/state", s->folder);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_DFL);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (getppid() != parent || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(1);
	execl("/proc/self/exe", "polyvisor", "serve", "--listen", s->endpoint, "--state", state,
		"--warm", "none", (char *)NULL);
	_exit(1);
}

static int start_process(struct bench_supervisor *s, struct err *e)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become_supervisor(s, parent);
	if (pid < 0)
		return err_errno(e, -errno, "a supervisor for the bench cannot be started");
	s->pid = pid;
	s->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return s->pidfd < 0 ? err_errno(e, -errno, "the bench's supervisor cannot be watched") : 0;
}

static bool has_ended(const struct bench_supervisor *s, int timeout_ms)
{
	struct pollfd ended = { .fd = s->pidfd, .events = POLLIN };

	return poll(&ended, 1, timeout_ms) == 1;
}

/* The last line of its log is the reason it gave. */
static int start_failed(const struct bench_supervisor *s, const char *why, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[512];
	const char *line = "it logged nothing";

	snprintf(path, sizeof(path), "%s/log", s->folder);
	if (fd_read_file(path, LOG_MAX, &text, NULL) == 0) {
		size_t n = strlen(text);
		char *newline;

		while (n > 0 && text[n - 1] == '\n')
			text[--n] = '\0';
		newline = strrchr(text, '\n');
		line = n == 0 ? line : newline ? newline + 1 : text;
	}
	return err_set(e, OUTCOME_UNREACHABLE, "the bench's own supervisor %s: %s", why, line);
}

static int wait_until_healthy(struct bench_supervisor *s, struct err *e)
{
	_cleanup_(client_free_cleanup) struct client *client = NULL;
	const struct request request = { .method = "GET", .path = "/healthz" };
	usec_t deadline = usec_monotonic() + START_TIMEOUT;
	int r = client_new(s->endpoint, &client, e);

	if (r != 0)
		return r;
	while (!bench_interrupted()) {
		_cleanup_response_ struct response response = { 0 };

		if (client_send(client, &request, &response, NULL) == 0)
			return 0;
		if (has_ended(s, START_INTERVAL_MS))
			return start_failed(s, "ended at once", e);
		if (usec_monotonic() > deadline)
			return start_failed(s, "does not answer", e);
	}
	return err_set(e, -EINTR, "the bench was interrupted");
}

int bench_supervisor_start(struct bench_supervisor *s, struct err *e)
{
	int r = temporary_make("polyvisor-bench-", &s->folder, e);

	if (r != 0)
		return r;
	if (asprintf(&s->endpoint, "unix:%s/socket", s->folder) < 0) {
		s->endpoint = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	r = start_process(s, e);
	return r != 0 ? r : wait_until_healthy(s, e);
}

void bench_supervisor_stop(struct bench_supervisor *s)
{
	if (s->pid > 0) {
		if (s->pidfd >= 0)
			syscall(SYS_pidfd_send_signal, s->pidfd, SIGTERM, NULL, 0);
		if (s->pidfd < 0 || !has_ended(s, STOP_TIMEOUT_MS))
			kill(s->pid, SIGKILL); /* not reaped yet, so the number is its own */
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		s->pidfd = fd_close(s->pidfd);
		s->pid = 0;
	}
	free(take_ptr(s->endpoint));
	temporary_remove(take_ptr(s->folder));
}
