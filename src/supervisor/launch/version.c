/*
 * version.c - see version.h. A JVM may say other things before its version, on either stream:
 * "[0.001s][warning][cds] ...", "OpenJDK 64-Bit Server VM warning: ...", "Picked up
 * JAVA_TOOL_OPTIONS: ...". Neither 0.001 nor 64 is its version.
 */
#include "supervisor/launch/version.h"

#include "base/fd.h"
#include "base/usec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (20 * USEC_PER_SEC) /* a cold JVM on a busy machine has taken seconds */
#define OUTPUT_MAX 8192
#define DIGITS "0123456789"

/* All it says until it ends its output or the text is full. False when it took too long. */
static bool read_output(int output, char text[static OUTPUT_MAX])
{
	usec_t until = usec_monotonic() + PATIENCE;
	size_t length = 0;
	bool ended = false;

	while (!ended && length < OUTPUT_MAX - 1) {
		struct pollfd readable = { .fd = output, .events = POLLIN };
		usec_t now = usec_monotonic();
		ssize_t n;

		if (now >= until || poll(&readable, 1, (int)((until - now) / 1000) + 1) <= 0)
			break;
		n = read(output, text + length, OUTPUT_MAX - 1 - length);
		if (n < 0 && errno == EINTR)
			continue;
		ended = n <= 0;
		length += n > 0 ? (size_t)n : 0;
	}
	text[length] = '\0';
	return ended;
}

static int start(char **argv, int output, pid_t *ret)
{
	extern char **environ;
	posix_spawn_file_actions_t actions;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	r = -posix_spawn(ret, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

char *version_ask(char **argv)
{
	_cleanup_close_ int output = -1, input = -1;
	char text[OUTPUT_MAX];
	int pair[2], status;
	pid_t pid = 0;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return NULL;
	output = pair[0];
	input = pair[1];
	if (start(argv, input, &pid) < 0)
		return NULL;
	input = fd_close(input);
	/* Not reaped yet, so the number is still its own. */
	if (!read_output(output, text) && pid > 1)
		kill(pid, SIGKILL);
	output = fd_close(output);
	waitpid(pid, &status, 0);
	return version_in(text);
}

/* "17.0.15", "v20.20.2", "22-ea" and "17.0.9+9" have one; "64-Bit", "0.001s" and "2nd" have none. */
static size_t version_length(const char *word)
{
	size_t digits = strspn(word, DIGITS ".");
	char next = word[digits];

	if (!*word || !strchr(DIGITS, *word))
		return 0;
	if (next == '-' && word[digits + 1] >= 'A' && word[digits + 1] <= 'Z')
		return 0;
	return next == '\0' || strchr(" \t\r\n\"'-+_,)", next) ? digits : 0;
}

static char *version_in_line(char *line)
{
	char *rest = NULL;

	if (*line == '[' || strcasestr(line, "warning") || strcasestr(line, "picked up "))
		return NULL;
	for (char *word = strtok_r(line, " \t\"'(", &rest); word;
		word = strtok_r(NULL, " \t\"'(", &rest)) {
		size_t n;

		word += *word == 'v';
		n = version_length(word);
		if (n > 0)
			return strndup(word, n);
	}
	return NULL;
}

char *version_in(const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, length);
		char *version = line ? version_in_line(line) : NULL;

		if (version)
			return version;
		text += length + (text[length] == '\n');
	}
	return NULL;
}

bool version_is_older(const char *version, const char *minimum)
{
	unsigned major = 0, minor = 0, least_major = 0, least_minor = 0;

	sscanf(version, "%u.%u", &major, &minor);
	sscanf(minimum, "%u.%u", &least_major, &least_minor);
	return major < least_major || (major == least_major && minor < least_minor);
}
