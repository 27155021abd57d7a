/*
 * config_json.c - a configuration as JSON: what clients see, and what the store keeps.
 */
#include "supervisor/store/config_parts.h"

#include "base/base64.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DOCUMENT_VERSION 1

void config_format_time(usec_t t, char ret[static CONFIG_TIME_SIZE])
{
	time_t seconds = (time_t)(t / USEC_PER_SEC);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(ret, CONFIG_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + n, CONFIG_TIME_SIZE - n, ".%03u+0000", (unsigned)(t / USEC_PER_MSEC % 1000));
}

static json_t *environment_to_json(const struct config *config)
{
	json_t *variables = json_object();

	for (char **p = config->environment; variables && *p; p++) {
		const char *equals = strchr(*p, '=');
		_cleanup_free_ char *name = strndup(*p, (size_t)(equals - *p));

		if (!name || json_object_set_new(variables, name, json_string(equals + 1)) < 0) {
			json_decref(variables);
			return NULL;
		}
	}
	return variables;
}

/* CodeSha256 is the digest's bytes in base64; the store names code by hexadecimal digits. */
static json_t *digest_to_json(const char *hex)
{
	_cleanup_buffer_ struct buffer text = { 0 };
	unsigned char bytes[32];

	for (size_t i = 0; i < sizeof(bytes); i++)
		if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1)
			return NULL;
	buffer_append_base64(&text, bytes, sizeof(bytes));
	return text.failed ? NULL : json_string(text.data);
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

/* The members that no update of this version changes, where the client did not say otherwise. */
static int add_constants(json_t *json)
{
	static const char text[] =
		"{\"PackageType\":\"Zip\",\"State\":\"Active\",\"Version\":\"$LATEST\","
		"\"LastUpdateStatus\":\"Successful\",\"TracingConfig\":{\"Mode\":\"PassThrough\"},"
		"\"SnapStart\":{\"ApplyOn\":\"None\",\"OptimizationStatus\":\"Off\"},"
#if defined(__aarch64__)
		"\"Architectures\":[\"arm64\"]}";
#else
		"\"Architectures\":[\"x86_64\"]}";
#endif
	json_t *constants = json_loads(text, 0, NULL);
	int r = constants ? json_object_update_missing(json, constants) : -1;

	json_decref(constants);
	return r;
}

static int add_logging(json_t *json, const char *name)
{
	json_t *logging;

	if (json_object_get(json, "LoggingConfig"))
		return 0;
	logging = json_pack("{s:s, s:s+}", "LogFormat", "Text", "LogGroup", "/aws/lambda/", name);
	return json_object_set_new(json, "LoggingConfig", logging);
}

/* What both forms have: the members that a client gave, under Lambda's names. */
static json_t *members_to_json(const struct config *config)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:{s:i}, s:I, s:s}", "FunctionName",
		config->name, "Runtime", or_empty(config->runtime), "Handler",
		or_empty(config->handler), "Role", or_empty(config->role), "Description",
		or_empty(config->description), "Timeout", (int)config->timeout_s, "MemorySize",
		(int)config->memory_mb, "EphemeralStorage", "Size", (int)config->tmp_mb, "CodeSize",
		(json_int_t)config->code_size, "RevisionId", or_empty(config->revision_id));
}

static int add_derived(json_t *json, const struct config *config)
{
	char arn[sizeof(CONFIG_ARN_PREFIX) + CONFIG_NAME_MAX], time[CONFIG_TIME_SIZE];
	json_t *variables;

	snprintf(arn, sizeof(arn), CONFIG_ARN_PREFIX "%s", config->name);
	config_format_time(config->last_modified, time);
	if (json_object_set_new(json, "FunctionArn", json_string(arn)) < 0 ||
		json_object_set_new(json, "LastModified", json_string(time)) < 0)
		return -1;
	if (config->code_sha256 &&
		json_object_set_new(json, "CodeSha256", digest_to_json(config->code_sha256)) < 0)
		return -1;
	if (!config->environment[0])
		return 0;
	variables = environment_to_json(config);
	return json_object_set_new(json, "Environment", json_pack("{s:o}", "Variables", variables));
}

json_t *config_to_json(const struct config *config)
{
	json_t *json = members_to_json(config);

	if (!json || add_derived(json, config) < 0 ||
		json_object_update(json, config->passthrough) < 0 || add_constants(json) < 0 ||
		add_logging(json, config->name) < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static int add_stored(json_t *json, const struct config *config)
{
	if (json_object_set_new(json, "DocumentVersion", json_integer(DOCUMENT_VERSION)) < 0 ||
		json_object_set_new(json, "ModifiedMicroseconds",
			json_integer((json_int_t)config->last_modified)) < 0 ||
		json_object_set_new(json, "Variables", environment_to_json(config)) < 0 ||
		json_object_set(json, "Tags", config->tags) < 0 ||
		json_object_set(json, "Kept", config->passthrough) < 0)
		return -1;
	if (config->url && json_object_set(json, "Url", config->url) < 0)
		return -1;
	return json_object_set_new(json, "CodeDigest", json_string(or_empty(config->code_sha256)));
}

char *config_to_document(const struct config *config)
{
	json_t *json = members_to_json(config);
	char *document = NULL;

	if (json && add_stored(json, config) == 0)
		document = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(json);
	return document;
}

/* A request with the document's members, so that one code reads both. */
static int read_members(struct config *config, json_t *json, struct err *e)
{
	json_t *variables = json_object_get(json, "Variables"), *environment;
	int r;

	environment = json_pack("{s:O}", "Variables", variables);
	if (!environment || json_object_set_new(json, "Environment", environment) < 0)
		return -ENOMEM;
	r = config_set_text(
		&config->name, or_empty(json_string_value(json_object_get(json, "FunctionName"))));
	if (r == 0)
		r = config_set_text(&config->revision_id,
			or_empty(json_string_value(json_object_get(json, "RevisionId"))));
	return r ? r : config_apply_members(config, json, e);
}

static int read_stored(struct config *config, struct code *code, const json_t *json, struct err *e)
{
	const json_t *kept = json_object_get(json, "Kept"), *url = json_object_get(json, "Url");
	const char *digest = json_string_value(json_object_get(json, "CodeDigest"));
	int r = config_set_tags(config, json_object_get(json, "Tags"), e);

	if (r != 0)
		return r;
	config->last_modified =
		(usec_t)json_integer_value(json_object_get(json, "ModifiedMicroseconds"));
	if (json_object_update(config->passthrough, (json_t *)kept) < 0)
		return -ENOMEM;
	if (url && !(config->url = json_deep_copy(url)))
		return -ENOMEM;
	return config_set_code(config, code, or_empty(digest),
		(uint64_t)json_integer_value(json_object_get(json, "CodeSize")));
}

static int read_document(struct config *config, const struct options *options, struct code *code,
	json_t *json, struct err *e)
{
	int r;

	if (json_integer_value(json_object_get(json, "DocumentVersion")) != DOCUMENT_VERSION ||
		!json_is_object(json_object_get(json, "Variables")) ||
		!json_is_object(json_object_get(json, "Kept"))) {
		err_set(e, -EINVAL, "A stored configuration is not in the form of this version.");
		return CONFIG_INVALID;
	}
	r = read_members(config, json, e);
	if (r == 0)
		r = read_stored(config, code, json, e);
	return r ? r : config_read_settings(config, options, e);
}

int config_from_document(const struct options *options, struct code *code, const char *document,
	struct config **ret, struct err *e)
{
	_cleanup_(config_unref_cleanup) struct config *config = config_new();
	json_error_t error;
	json_t *json;
	int r;

	if (!config)
		return -ENOMEM;
	json = json_loads(document, 0, &error);
	if (!json) {
		err_set(e, -EINVAL, "A stored configuration is not JSON: %s.", error.text);
		return CONFIG_INVALID;
	}
	r = read_document(config, options, code, json, e);
	json_decref(json);
	if (r == 0)
		*ret = take_ptr(config);
	return r;
}
