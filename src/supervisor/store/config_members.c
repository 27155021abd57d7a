/*
 * config_members.c - reads the members of CreateFunction and UpdateFunctionConfiguration requests;
 * see config.h. One row per member that means something here; members that no row names are
 * ignored, as Lambda itself ignores what it does not know.
 */
#include "supervisor/store/config_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

enum member_kind {
	MEMBER_TEXT,
	MEMBER_NUMBER,
	MEMBER_OTHER, /* read by apply() */
	MEMBER_KEPT,  /* stored for clients, without meaning */
};

struct member_row {
	const char *name;
	enum member_kind kind;
	size_t offset;
	uint32_t min, max; /* of a number, or of the length of a text */
	const char *unit;
	int (*apply)(struct config *config, const json_t *value, struct err *e);
};

static int apply_environment(struct config *config, const json_t *value, struct err *e);
static int apply_tmp(struct config *config, const json_t *value, struct err *e);
static int check_architectures(struct config *config, const json_t *value, struct err *e);
static int check_package_type(struct config *config, const json_t *value, struct err *e);
static int refuse_layers(struct config *config, const json_t *value, struct err *e);
static int refuse_file_systems(struct config *config, const json_t *value, struct err *e);

#define TEXT(m, member, low, high)                                                                 \
	{                                                                                          \
		.name = m, .kind = MEMBER_TEXT, .offset = offsetof(struct config, member),         \
		.min = low, .max = high                                                            \
	}
#define NUMBER(m, member, low, high, of)                                                           \
	{                                                                                          \
		.name = m, .kind = MEMBER_NUMBER, .offset = offsetof(struct config, member),       \
		.min = low, .max = high, .unit = of                                                \
	}
#define OTHER(m, function)                                                                         \
	{                                                                                          \
		.name = m, .kind = MEMBER_OTHER, .apply = function                                 \
	}
#define KEPT(m)                                                                                    \
	{                                                                                          \
		.name = m, .kind = MEMBER_KEPT                                                     \
	}

static const struct member_row member_rows[] = {
	OTHER("Architectures", check_architectures),
	KEPT("DeadLetterConfig"),
	TEXT("Description", description, 0, 256),
	OTHER("Environment", apply_environment),
	OTHER("EphemeralStorage", apply_tmp),
	OTHER("FileSystemConfigs", refuse_file_systems),
	TEXT("Handler", handler, 1, 128),
	KEPT("KMSKeyArn"),
	OTHER("Layers", refuse_layers),
	KEPT("LoggingConfig"),
	NUMBER("MemorySize", memory_mb, CONFIG_MEMORY_MIN_MB, CONFIG_MEMORY_MAX_MB, "megabytes"),
	OTHER("PackageType", check_package_type),
	TEXT("Role", role, 0, 2048),
	TEXT("Runtime", runtime, 1, 64),
	KEPT("SnapStart"),
	NUMBER("Timeout", timeout_s, 1, CONFIG_TIMEOUT_MAX_S, "seconds"),
	KEPT("TracingConfig"),
	KEPT("VpcConfig"),
};

static int number_in_range(const char *name, const json_t *value, uint32_t min, uint32_t max,
	const char *unit, uint32_t *ret, struct err *e)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value)) {
		err_set(e, -EINVAL, "The member '%s' must be a whole number of %s.", name, unit);
		return CONFIG_INVALID;
	}
	if (number < min || number > max) {
		err_set(e, -EINVAL, "The member '%s' is %lld, but must be from %u to %u %s.", name,
			(long long)number, min, max, unit);
		return CONFIG_INVALID;
	}
	*ret = (uint32_t)number;
	return 0;
}

static int apply_number(
	struct config *config, const struct member_row *row, const json_t *value, struct err *e)
{
	uint32_t number;
	int r = number_in_range(row->name, value, row->min, row->max, row->unit, &number, e);

	if (r == 0)
		memcpy((char *)config + row->offset, &number, sizeof(number));
	return r;
}

static int apply_text(
	struct config *config, const struct member_row *row, const json_t *value, struct err *e)
{
	const char *text = json_string_value(value);

	if (!text) {
		err_set(e, -EINVAL, "The member '%s' must be a string.", row->name);
		return CONFIG_INVALID;
	}
	if (strlen(text) < row->min || strlen(text) > row->max) {
		err_set(e, -EINVAL,
			"The member '%s' is %zu bytes long, but must be from %u to %u bytes.",
			row->name, strlen(text), row->min, row->max);
		return CONFIG_INVALID;
	}
	return config_set_text((char **)((char *)config + row->offset), text);
}

static int apply_kept(struct config *config, const struct member_row *row, const json_t *value)
{
	json_t *copy = json_deep_copy(value);

	return copy && json_object_set_new(config->passthrough, row->name, copy) == 0 ? 0 : -ENOMEM;
}

static int apply_member(
	struct config *config, const struct member_row *row, const json_t *value, struct err *e)
{
	switch (row->kind) {
	case MEMBER_TEXT:
		return apply_text(config, row, value, e);
	case MEMBER_NUMBER:
		return apply_number(config, row, value, e);
	case MEMBER_KEPT:
		return apply_kept(config, row, value);
	default:
		return row->apply(config, value, e);
	}
}

static int check_handler(const struct config *config, struct err *e)
{
	if (!config->handler || !strpbrk(config->handler, " \t\n\r\v\f"))
		return 0;
	err_set(e, -EINVAL, "The handler '%s' has a space in it; it must have none.",
		config->handler);
	return CONFIG_INVALID;
}

int config_apply_members(struct config *config, const json_t *request, struct err *e)
{
	for (size_t i = 0; i < array_size(member_rows); i++) {
		const json_t *value = json_object_get(request, member_rows[i].name);
		int r;

		if (!value || json_is_null(value))
			continue;
		r = apply_member(config, &member_rows[i], value, e);
		if (r != 0)
			return r;
	}
	return check_handler(config, e);
}

static int apply_tmp(struct config *config, const json_t *value, struct err *e)
{
	return number_in_range("EphemeralStorage.Size", json_object_get(value, "Size"),
		CONFIG_TMP_MIN_MB, CONFIG_TMP_MAX_MB, "megabytes", &config->tmp_mb, e);
}

/* Lambda's names for the machines that we run on. */
static const char *machine_architecture(void)
{
	struct utsname name;

	if (uname(&name) == 0 && strcmp(name.machine, "aarch64") == 0)
		return "arm64";
	return "x86_64";
}

static int check_architectures(struct config *config, const json_t *value, struct err *e)
{
	const char *wanted = json_string_value(json_array_get(value, 0));
	const struct member_row row = { .name = "Architectures" };

	if (json_array_size(value) != 1 || !wanted || strcmp(wanted, machine_architecture()) != 0) {
		err_set(e, -EINVAL,
			"The member 'Architectures' must be [\"%s\"], as this machine is.",
			machine_architecture());
		return CONFIG_INVALID;
	}
	return apply_kept(config, &row, value);
}

static int check_package_type(struct config *config, const json_t *value, struct err *e)
{
	const char *type = json_string_value(value);

	(void)config;
	if (type && strcmp(type, "Zip") == 0)
		return 0;
	err_set(e, -EINVAL,
		"The package type '%s' is not supported: give the code as a zip archive "
		"(PackageType Zip, Code.ZipFile).",
		type ? type : "");
	return CONFIG_INVALID;
}

/* Accepting a layer and not having its files would only show as an import error much later. */
static int refuse_layers(struct config *config, const json_t *value, struct err *e)
{
	(void)config;
	if (json_array_size(value) == 0)
		return 0;
	err_set(e, -EINVAL,
		"Layers are not supported: put the files of the layer into the zip archive.");
	return CONFIG_INVALID;
}

static int refuse_file_systems(struct config *config, const json_t *value, struct err *e)
{
	(void)config;
	if (json_array_size(value) == 0)
		return 0;
	err_set(e, -EINVAL,
		"FileSystemConfigs is not supported: there is no file system to mount.");
	return CONFIG_INVALID;
}

/*
 * Names that the supervisor sets itself. Lambda reserves the AWS credentials as well, because it
 * sets them from the role; nothing does so here, so a function may bring its own.
 */
static const char *const reserved_names[] = {
	"_HANDLER",
	"_X_AMZN_TRACE_ID",
	"AWS_DEFAULT_REGION",
	"AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
	"AWS_LAMBDA_FUNCTION_NAME",
	"AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE",
	"AWS_LAMBDA_LOG_GROUP_NAME",
	"AWS_LAMBDA_LOG_STREAM_NAME",
	"AWS_LAMBDA_RUNTIME_API",
	"AWS_REGION",
	"LAMBDA_RUNTIME_DIR",
	"LAMBDA_TASK_ROOT",
};

static bool name_is_reserved(const char *name)
{
	for (size_t i = 0; i < array_size(reserved_names); i++)
		if (strcmp(reserved_names[i], name) == 0)
			return true;
	return strncmp(name, "POLYVISOR_", strlen("POLYVISOR_")) == 0;
}

static bool name_is_legal(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

	return *name && strchr(letters, *name) && strspn(name, all) == strlen(name);
}

static int check_variable(const char *name, const json_t *value, size_t *size, struct err *e)
{
	const char *text = json_string_value(value);

	if (name_is_reserved(name))
		err_set(e, -EINVAL,
			"The environment variable '%s' is reserved: the supervisor sets it itself.",
			name);
	else if (!name_is_legal(name))
		err_set(e, -EINVAL,
			"The environment variable '%s' has an illegal name: use letters, digits "
			"and "
			"'_', with a letter first.",
			name);
	else if (!text)
		err_set(e, -EINVAL, "The value of the environment variable '%s' must be a string.",
			name);
	else {
		*size += strlen(name) + strlen(text);
		return 0;
	}
	return CONFIG_INVALID;
}

static int check_variables(const json_t *variables, struct err *e)
{
	size_t size = 0;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)variables, name, value)
	{
		int r = check_variable(name, value, &size, e);

		if (r != 0)
			return r;
	}
	if (size <= CONFIG_ENVIRONMENT_MAX)
		return 0;
	err_set(e, -EINVAL,
		"The environment variables are %zu bytes together, more than the limit of 4 KB "
		"(%d bytes).",
		size, CONFIG_ENVIRONMENT_MAX);
	return CONFIG_INVALID;
}

static char **environment_from(const json_t *variables)
{
	char **environment = calloc(json_object_size(variables) + 1, sizeof(*environment));
	size_t count = 0;
	const char *name;
	json_t *value;

	if (!environment)
		return NULL;
	json_object_foreach((json_t *)variables, name, value)
	{
		if (asprintf(&environment[count], "%s=%s", name, json_string_value(value)) < 0) {
			environment[count] = NULL;
			config_free_environment(environment);
			return NULL;
		}
		count++;
	}
	return environment;
}

static int apply_environment(struct config *config, const json_t *value, struct err *e)
{
	const json_t *variables = json_object_get(value, "Variables");
	char **environment;
	int r;

	if (!json_is_object(value) ||
		(variables && !json_is_object(variables) && !json_is_null(variables))) {
		err_set(e, -EINVAL,
			"The member 'Environment' must be an object with an object 'Variables' of "
			"strings.");
		return CONFIG_INVALID;
	}
	r = check_variables(variables, e);
	if (r != 0)
		return r;
	environment = environment_from(variables);
	if (!environment)
		return -ENOMEM;
	config_free_environment(config->environment);
	config->environment = environment;
	return 0;
}

#define TAGS_MAX 50
#define TAG_KEY_MAX 128
#define TAG_VALUE_MAX 256

static int check_tag(const char *key, const json_t *value, struct err *e)
{
	const char *text = json_string_value(value);

	if (*key && strlen(key) <= TAG_KEY_MAX && text && strlen(text) <= TAG_VALUE_MAX)
		return 0;
	err_set(e, -EINVAL,
		"The tag '%.128s' is illegal: a key has 1 to %d bytes, a value is a string of at "
		"most %d bytes.",
		key, TAG_KEY_MAX, TAG_VALUE_MAX);
	return CONFIG_INVALID;
}

static int check_tags(const json_t *tags, struct err *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(tags) || json_object_size(tags) > TAGS_MAX) {
		err_set(e, -EINVAL, "The member 'Tags' must be an object of at most %d strings.",
			TAGS_MAX);
		return CONFIG_INVALID;
	}
	json_object_foreach((json_t *)tags, key, value)
	{
		int r = check_tag(key, value, e);

		if (r != 0)
			return r;
	}
	return 0;
}

int config_set_tags(struct config *config, const json_t *tags, struct err *e)
{
	json_t *copy;
	int r = check_tags(tags, e);

	if (r != 0)
		return r;
	copy = json_deep_copy(tags);
	if (!copy)
		return -ENOMEM;
	json_decref(config->tags);
	config->tags = copy;
	return 0;
}

static int check_complete(const struct config *config, struct err *e)
{
	if (config->runtime && config->handler)
		return 0;
	err_set(e, -EINVAL, "The member '%s' is missing: a function needs a runtime and a handler.",
		config->runtime ? "Handler" : "Runtime");
	return CONFIG_INVALID;
}

static int create_members(struct config *config, const json_t *request, struct err *e)
{
	const json_t *tags = json_object_get(request, "Tags");
	int r = config_apply_members(config, request, e);

	if (r == 0 && tags && !json_is_null(tags))
		r = config_set_tags(config, tags, e);
	return r ? r : check_complete(config, e);
}

int config_create(const struct options *options, const char *name, const json_t *request,
	struct config **ret, struct err *e)
{
	_cleanup_(config_unref_cleanup) struct config *config = config_new();
	int r;

	if (!config)
		return -ENOMEM;
	if (!config_name_is_valid(name)) {
		err_set(e, -EINVAL,
			"The name '%.80s' is not one that a function can have: use 1 to %d "
			"letters, "
			"digits, '-' and '_'.",
			name, CONFIG_NAME_MAX);
		return CONFIG_INVALID;
	}
	r = config_set_text(&config->name, name);
	if (r == 0)
		r = create_members(config, request, e);
	if (r == 0)
		r = config_accept_settings(config, options, e);
	if (r == 0)
		r = config_stamp(config);
	if (r == 0)
		*ret = take_ptr(config);
	return r;
}

int config_update(const struct options *options, const struct config *old, const json_t *request,
	struct config **ret, struct err *e)
{
	_cleanup_(config_unref_cleanup) struct config *config = config_copy(old);
	int r = config ? 0 : -ENOMEM;

	if (r == 0 && request)
		r = config_apply_members(config, request, e);
	if (r == 0)
		r = config_accept_settings(config, options, e);
	if (r == 0)
		r = config_stamp(config);
	if (r == 0)
		*ret = take_ptr(config);
	return r;
}

int config_retag(const struct options *options, const struct config *old, json_t *tags,
	struct config **ret, struct err *e)
{
	_cleanup_(config_unref_cleanup) struct config *config = config_copy(old);
	int r = config ? 0 : -ENOMEM;

	if (r == 0)
		r = config_set_tags(config, tags, e);
	if (r == 0)
		r = config_accept_settings(config, options, e);
	if (r == 0)
		r = config_stamp(config);
	if (r == 0)
		*ret = take_ptr(config);
	return r;
}
