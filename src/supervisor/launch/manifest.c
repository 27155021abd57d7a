/*
 * manifest.c - see manifest.h.
 */
#include "supervisor/launch/manifest.h"

#include "base/buffer.h"
#include "base/fd.h"
#include "supervisor/launch/version.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX (256 * 1024)

static char **strings_free(char **strings)
{
	for (char **p = strings; p && *p; p++)
		free(*p);
	free(strings);
	return NULL;
}

struct manifest *manifest_free(struct manifest *m)
{
	if (!m)
		return NULL;
	free(m->name);
	free(m->title);
	free(m->interpreter);
	free(m->version);
	free(m->identifier);
	strings_free(m->identifiers);
	strings_free(m->command);
	strings_free(m->environment);
	json_decref(m->document);
	free(m);
	return NULL;
}

/* The value of a placeholder's name, or NULL. Paths are those inside the root of functions. */
static const char *placeholder_value(
	struct manifest *m, const char *name, size_t size, char scratch[static PATH_MAX])
{
	unsigned major = 0, minor = 0;

	if (m->version)
		sscanf(m->version, "%u.%u", &major, &minor);
	if (size == 11 && !memcmp(name, "interpreter", size))
		return m->interpreter;
	if (size == 7 && !memcmp(name, "library", size))
		return "/var/lib/polyvisor";
	if (size == 7 && !memcmp(name, "runtime", size))
		snprintf(scratch, PATH_MAX, "/var/runtime/%s", m->name);
	else if (size == 5 && !memcmp(name, "major", size))
		snprintf(scratch, PATH_MAX, "%u", major);
	else if (size == 5 && !memcmp(name, "minor", size))
		snprintf(scratch, PATH_MAX, "%u", minor);
	else
		return NULL;
	return scratch;
}

static char *manifest_expand(struct manifest *m, const char *text, struct err *e)
{
	_cleanup_buffer_ struct buffer b = { 0 };
	char scratch[PATH_MAX];

	while (*text) {
		size_t plain = strcspn(text, "{");
		const char *end, *value;

		buffer_append(&b, text, plain);
		text += plain;
		if (!*text)
			break;
		end = strchr(text, '}');
		value = end ? placeholder_value(m, text + 1, (size_t)(end - text - 1), scratch)
			    : NULL;
		if (!value) {
			err_set(e, -EINVAL, "the manifest of %s has an unknown placeholder at %s",
				m->name, text);
			return NULL;
		}
		buffer_append_string(&b, value);
		text = end + 1;
	}
	buffer_append(&b, "", 0);
	return b.failed ? NULL : take_ptr(b.data);
}

/* An array of strings from an array, or NAME=VALUE from an object, expanded. */
static int manifest_strings(
	struct manifest *m, const char *member, bool expand, char ***ret, struct err *e)
{
	json_t *value = json_object_get(m->document, member), *item;
	size_t n = 0, index;
	const char *key;
	char **strings, *pair = NULL;

	strings = calloc(json_array_size(value) + json_object_size(value) + 1, sizeof(char *));
	if (!strings)
		return err_errno(e, -ENOMEM, "cannot read the manifest of %s", m->name);
	json_array_foreach(value, index, item)
	{
		const char *text = json_string_value(item);

		strings[n++] = !text ? NULL : expand ? manifest_expand(m, text, e) : strdup(text);
		if (!strings[n - 1])
			goto failed;
	}
	json_object_foreach(value, key, item)
	{
		if (!json_is_string(item) ||
			asprintf(&pair, "%s=%s", key, json_string_value(item)) < 0)
			goto failed;
		strings[n++] = manifest_expand(m, pair, e);
		free(pair);
		if (!strings[n - 1])
			goto failed;
	}
	*ret = strings;
	return 0;

failed:
	strings_free(strings);
	if (e->code)
		return e->code;
	return err_set(
		e, -EINVAL, "\"%s\" in the manifest of %s must hold strings", member, m->name);
}

static bool interpreter_in_path(const char *name, char path[static PATH_MAX])
{
	const char *directories = getenv("PATH");

	for (const char *p = directories; p && *p; p += strcspn(p, ":"), p += *p == ':') {
		int size = (int)strcspn(p, ":");

		snprintf(path, PATH_MAX, "%.*s/%s", size, p, name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void manifest_find_interpreter(struct manifest *m)
{
	json_t *candidates = json_object_get(m->document, "interpreter"), *item;
	char path[PATH_MAX];
	size_t index;

	json_array_foreach(candidates, index, item)
	{
		const char *candidate = json_string_value(item);

		if (!candidate)
			continue;
		snprintf(path, sizeof(path), "%s", candidate);
		if (strchr(candidate, '/') ? access(path, X_OK) == 0
					   : interpreter_in_path(candidate, path)) {
			m->interpreter = strdup(path);
			return;
		}
	}
	snprintf(m->problem, sizeof(m->problem),
		"no interpreter of %s is installed; install its package", m->title);
}

static int manifest_find_version(struct manifest *m, struct err *e)
{
	const char *minimum = json_string_value(json_object_get(m->document, "version_minimum"));
	char **argv = NULL;
	int r = manifest_strings(m, "version_command", true, &argv, e);

	if (r < 0)
		return r;
	m->version = argv[0] ? version_ask(argv) : NULL;
	strings_free(argv);
	if (!m->version)
		snprintf(m->problem, sizeof(m->problem), "%s does not tell its version",
			m->interpreter);
	else if (minimum && version_is_older(m->version, minimum))
		snprintf(m->problem, sizeof(m->problem), "%s is version %s, %s or newer is needed",
			m->interpreter, m->version, minimum);
	return 0;
}

static int manifest_expand_all(struct manifest *m, struct err *e)
{
	const char *identifier = json_string_value(json_object_get(m->document, "identifier"));
	json_t *launch = json_object_get(m->document, "launch"), *item;
	size_t index;
	int r;

	json_array_foreach(launch, index, item)
	{
		const char *mode = json_string_value(item);

		m->clone |= mode && !strcmp(mode, "clone");
		m->exec |= mode && !strcmp(mode, "exec");
	}
	r = manifest_strings(m, "identifiers", false, &m->identifiers, e);
	if (r < 0 || m->problem[0])
		return r;
	if (identifier)
		m->identifier = manifest_expand(m, identifier, e);
	r = manifest_strings(m, "command", true, &m->command, e);
	if (r == 0)
		r = manifest_strings(m, "environment", true, &m->environment, e);
	if (r == 0 && (!m->command[0] || (!m->clone && !m->exec)))
		r = err_set(e, -EINVAL,
			"the manifest of %s names no command or no way to launch it", m->name);
	return r;
}

int manifest_load(const char *directory, const char *name, struct manifest **ret, struct err *e)
{
	_cleanup_(manifest_free_cleanup) struct manifest *m = calloc(1, sizeof(*m));
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	json_error_t where;
	const char *title;
	int r;

	if (!m || !(m->name = strdup(name)))
		return err_errno(e, -ENOMEM, "cannot read the manifest of %s", name);
	snprintf(path, sizeof(path), "%s/%s/manifest.json", directory, name);
	r = fd_read_file(path, MANIFEST_MAX, &text, NULL);
	if (r < 0)
		return err_errno(e, r, "cannot read %s", path);
	m->document = json_loads(text, 0, &where);
	if (!m->document)
		return err_set(e, -EINVAL, "%s, line %d: %s", path, where.line, where.text);
	title = json_string_value(json_object_get(m->document, "title"));
	m->title = strdup(title ? title : name);
	if (!m->title)
		return err_errno(e, -ENOMEM, "cannot read %s", path);
	manifest_find_interpreter(m);
	r = m->interpreter ? manifest_find_version(m, e) : 0;
	if (r == 0)
		r = manifest_expand_all(m, e);
	if (r < 0)
		return r;
	*ret = take_ptr(m);
	return 0;
}

static int request_add_environment(struct spawn_request *request, const char *pair)
{
	request->environment_count++;
	return spawn_request_add(request, pair);
}

int manifest_fill_request(const struct manifest *m, const char *role, struct spawn_request *request)
{
	static const char *const own[] = { "POLYVISOR_FD=3", "LAMBDA_RUNTIME_DIR=/var/runtime",
		"LD_LIBRARY_PATH=/var/lib/polyvisor", "PATH=/usr/local/bin:/usr/bin:/bin",
		"HOME=/tmp" };
	char role_pair[64];
	int r = 0;

	for (char **p = m->command; *p && r == 0; p++, request->argument_count++)
		r = spawn_request_add(request, *p);
	for (size_t i = 0; i < array_size(own) && r == 0; i++)
		r = request_add_environment(request, own[i]);
	for (char **p = m->environment; *p && r == 0; p++)
		r = request_add_environment(request, *p);
	snprintf(role_pair, sizeof(role_pair), "POLYVISOR_ROLE=%s", role);
	return r < 0 ? r : request_add_environment(request, role_pair);
}
