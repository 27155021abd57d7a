/*
 * environment.c - the environment of a function: its own variables, and the ones Lambda reserves.
 *
 * Nothing of the template's environment is left, so that a function cannot come to depend on how
 * the supervisor was started. It is made once, when the process has all its threads, and belongs to
 * the process from then on.
 */
#include "guest/handle.h"

#include "wire/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What a function finds unless it brings its own: an attribute behind a prefix, and nothing where
 * there is no such attribute; or, without the name of one, the text itself. */
static const struct environment_reserved {
	const char *name, *attribute, *text;
} environment_reserved[] = {
	{ "_HANDLER", "handler", "" },
	{ "LAMBDA_TASK_ROOT", "task_root", "" },
	{ "AWS_LAMBDA_FUNCTION_NAME", "name", "" },
	{ "AWS_LAMBDA_FUNCTION_VERSION", SETTING_VERSION, "" },
	{ "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", SETTING_MEMORY_MB, "" },
	{ "AWS_LAMBDA_LOG_GROUP_NAME", SETTING_LOG_GROUP, "" },
	{ "AWS_LAMBDA_LOG_STREAM_NAME", SETTING_LOG_STREAM, "" },
	{ "AWS_EXECUTION_ENV", SETTING_RUNTIME, "AWS_Lambda_" },
	{ "AWS_REGION", SETTING_REGION, "" },
	{ "AWS_DEFAULT_REGION", SETTING_REGION, "" },
	{ "PATH", NULL, "/usr/local/bin:/usr/bin:/bin:/opt/bin" },
	{ "LANG", NULL, "C.UTF-8" },
	{ "TZ", NULL, ":UTC" },
	{ "HOME", NULL, "/tmp" },
	/* OpenMP's threads wait for each other by spinning, as if the processors were theirs alone. Eight
	 * isolates with scikit-learn on two processors answered 22 requests a second, and so 539. */
	{ "OMP_WAIT_POLICY", NULL, "PASSIVE" },
	/* OpenBLAS's too: 2 to the power of 4 cycles, the least, instead of 26. Products of matrices in
	 * eight isolates: 370 requests a second, and so 820; the same with one isolate alone. */
	{ "OPENBLAS_THREAD_TIMEOUT", NULL, "4" },
};

static bool environment_has(const struct environment *environment, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < environment->count; i++)
		if (strncmp(environment->list[i], name, length) == 0 &&
			environment->list[i][length] == '=')
			return true;
	return false;
}

/* Appends a variable unless the function brought one of that name. 0 or -ENOMEM. */
static int environment_add(
	struct environment *environment, const char *name, const char *prefix, const char *value)
{
	if (!value || environment_has(environment, name))
		return 0;
	if (asprintf(&environment->list[environment->count], "%s=%s%s", name, prefix, value) < 0) {
		environment->list[environment->count] = NULL;
		return -ENOMEM;
	}
	environment->count++;
	return 0;
}

static int environment_add_reserved(
	struct pv_handle *handle, const struct environment_reserved *reserved)
{
	if (!reserved->attribute)
		return environment_add(&handle->environment, reserved->name, "", reserved->text);
	return environment_add(&handle->environment, reserved->name, reserved->text,
		pv_function(handle, reserved->attribute));
}

/* How the function sees the runtime's folder and how it was started depends on the process. */
static int environment_add_own(struct pv_handle *handle)
{
	const char *namespaces = role_setting(&handle->become, SETTING_NAMESPACES);
	bool inside = !namespaces || strcmp(namespaces, "0") != 0;
	int r;

	r = environment_add(&handle->environment, "LAMBDA_RUNTIME_DIR", "",
		inside ? "/var/runtime" : getenv("LAMBDA_RUNTIME_DIR"));
	if (r < 0)
		return r;
	return environment_add(&handle->environment, "AWS_LAMBDA_INITIALIZATION_TYPE", "",
		handle->exec ? "on-demand" : "snap-start");
}

static size_t environment_count(const struct role *role)
{
	struct wire_field field;
	size_t count = 0;

	wire_for_each_field (field, role->fields, role->fields_size)
		count += field.key == WIRE_ENVIRONMENT;
	return count;
}

/* The process gets a list of its own, which setenv() and unsetenv() change in place. */
static int environment_install(const struct environment *environment)
{
	char **list = calloc(environment->count + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	memcpy(list, environment->list, environment->count * sizeof(*list));
	environ = list;
	tzset();
	return 0;
}

int environment_apply(struct pv_handle *handle)
{
	size_t most = environment_count(&handle->become) + array_size(environment_reserved) + 2;
	struct environment *environment = &handle->environment;
	struct wire_field field;
	int r;

	environment->list = calloc(most + 1, sizeof(*environment->list));
	if (!environment->list)
		return -ENOMEM;
	wire_for_each_field (field, handle->become.fields, handle->become.fields_size)
		if (field.key == WIRE_ENVIRONMENT && strchr(field.value, '='))
			environment->list[environment->count++] = (char *)field.value;
	for (size_t i = 0; i < array_size(environment_reserved); i++) {
		r = environment_add_reserved(handle, &environment_reserved[i]);
		if (r < 0)
			return r;
	}
	r = environment_add_own(handle);
	if (r < 0)
		return r;
	return environment_install(environment);
}

const char *pv_environment(pv_handle *handle, size_t index)
{
	if (!handle || index >= handle->environment.count)
		return NULL;
	return handle->environment.list[index];
}
