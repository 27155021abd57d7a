/*
 * secrets.c - see secrets.h.
 */
#include "supervisor/schedule/secrets.h"

#include "base/fd.h"
#include "supervisor/store/worker.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SECRETS_MAX (64 * 1024)

struct secrets_reading {
	struct job job;
	struct secrets *secrets; /* NULL once they are forgotten */
	char path[PATH_MAX];
	char *text;
	char **own;
	struct err e;
};

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void secrets_forget(struct secrets *secrets)
{
	if (secrets->reading)
		secrets->reading->secrets = NULL;
	for (char **p = secrets->environment ? secrets->environment + secrets->borrowed : NULL;
		p && *p; p++)
		wipe(*p);
	free(secrets->environment);
	*secrets = (struct secrets){ 0 };
}

static void reading_work(struct job *job)
{
	struct secrets_reading *reading = container_of(job, struct secrets_reading, job);
	struct stat st;
	int r;

	if (stat(reading->path, &st) < 0) {
		if (errno != ENOENT)
			err_errno(&reading->e, -errno, "cannot read the secrets %s", reading->path);
		return;
	}
	if (st.st_mode & 077) {
		err_set(&reading->e, -EPERM,
			"the secrets %s can be read by others than their owner; chmod 600 the file",
			reading->path);
		return;
	}
	r = fd_read_file(reading->path, SECRETS_MAX, &reading->text, NULL);
	if (r < 0)
		err_errno(&reading->e, r, "cannot read the secrets %s", reading->path);
}

static bool line_is_variable(const char *line)
{
	size_t size = strcspn(line, "=");

	if (!line[size] || size == 0 || isdigit((unsigned char)*line))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)line[i]) && line[i] != '_')
			return false;
	return true;
}

static size_t count_strings(char **strings)
{
	size_t n = 0;

	while (strings && strings[n])
		n++;
	return n;
}

/* The lines of the file behind the variables of the configuration. 0 or -errno; no value is told. */
static int secrets_take(struct secrets *secrets, struct secrets_reading *reading)
{
	size_t lines = 1, n = count_strings(reading->own);
	char *rest, *line;

	for (const char *p = reading->text; p && *p; p++)
		lines += *p == '\n';
	secrets->environment = calloc(n + lines + 1, sizeof(char *));
	if (!secrets->environment)
		return err_errno(&reading->e, -ENOMEM, "cannot keep the secrets %s", reading->path);
	secrets->borrowed = n;
	if (n > 0)
		memcpy(secrets->environment, reading->own, n * sizeof(char *));
	line = reading->text ? strtok_r(reading->text, "\r\n", &rest) : NULL;
	for (int number = 1; line; line = strtok_r(NULL, "\r\n", &rest), number++) {
		if (*line == '#')
			continue;
		if (!line_is_variable(line))
			return err_set(&reading->e, -EINVAL,
				"entry %d of the secrets %s is not NAME=VALUE", number,
				reading->path);
		secrets->environment[n] = strdup(line);
		if (!secrets->environment[n++])
			return err_errno(
				&reading->e, -ENOMEM, "cannot keep the secrets %s", reading->path);
	}
	return 0;
}

static void reading_done(struct job *job)
{
	struct secrets_reading *reading = container_of(job, struct secrets_reading, job);
	struct secrets *secrets = reading->secrets;
	secrets_done_fn done = secrets ? secrets->done : NULL;
	struct err e = reading->e;

	if (secrets) {
		secrets->reading = NULL;
		if (e.code == 0 && secrets_take(secrets, reading) < 0) {
			e = reading->e;
			secrets_forget(secrets);
		}
		secrets->ready = e.code == 0;
	}
	wipe(reading->text);
	free(reading);
	if (done)
		done(secrets, e.code ? &e : NULL);
}

void secrets_read(struct secrets *secrets, struct worker *worker, const char *directory,
	const char *function, char **own, secrets_done_fn done)
{
	struct secrets_reading *reading;
	struct err e = { 0 };

	if (!directory) {
		secrets->ready = true;
		done(secrets, NULL);
		return;
	}
	reading = calloc(1, sizeof(*reading));
	if (!reading) {
		err_errno(&e, -ENOMEM, "cannot read the secrets of %s", function);
		done(secrets, &e);
		return;
	}
	snprintf(reading->path, sizeof(reading->path), "%.3000s/%.200s", directory, function);
	reading->own = own;
	reading->secrets = secrets;
	reading->job.work = reading_work;
	reading->job.done = reading_done;
	secrets->reading = reading;
	secrets->done = done;
	worker_submit(worker, &reading->job);
}
