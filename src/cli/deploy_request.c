/*
 * deploy_request.c - see deploy_request.h.
 */
#include "cli/deploy_request.h"
#include "base/base64.h"
#include "cli/outcome.h"

#include <errno.h>
#include <string.h>

/* The API demands a role; nothing looks at it. */
#define ROLE "polyvisor"

/* Splits NAME=VALUE and sets it, its name behind prefix. */
static int set_pair(
	json_t *object, const char *prefix, const char *pair, const char *option, struct err *e)
{
	const char *equals = strchr(pair, '=');
	_cleanup_free_ char *name = NULL;

	if (!equals || equals == pair)
		return err_set(e, OUTCOME_USAGE,
			"--%s does not accept \"%s\": give it as NAME=VALUE", option, pair);
	if (asprintf(&name, "%s%.*s", prefix, (int)(equals - pair), pair) < 0) {
		name = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	if (json_object_set_new(object, name, json_string(equals + 1)) != 0)
		return err_set(
			e, OUTCOME_USAGE, "--%s %s cannot be sent: it is not UTF-8", option, name);
	return 0;
}

static int put_environment(const struct deploy_options *options, json_t *body, struct err *e)
{
	json_t *variables = json_object();
	int r = 0;

	if (json_object_set_new(body, "Environment", json_pack("{s:o}", "Variables", variables)) !=
		0)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < options->environment.count; i++)
		r = set_pair(variables, "", options->environment.items[i], "env", e);
	return r;
}

/* The members of a function's configuration that were given or inferred. */
static int configuration_members(const struct deploy *d, json_t **ret, struct err *e)
{
	const struct deploy_options *o = d->options;
	_cleanup_json_ json_t *body = json_pack("{s:s*, s:s*, s:s*}", "Runtime", d->runtime,
		"Handler", d->handler, "Description", o->description);
	int r = body ? 0 : -EINVAL;

	if (r == 0 && o->timeout)
		r = json_object_set_new(body, "Timeout", json_integer((json_int_t)o->timeout));
	if (r == 0 && o->memory)
		r = json_object_set_new(body, "MemorySize", json_integer((json_int_t)o->memory));
	if (r == 0 && o->tmp)
		r = json_object_set_new(
			body, "EphemeralStorage", json_pack("{s:I}", "Size", (json_int_t)o->tmp));
	if (r == 0 && o->environment.count > 0)
		r = put_environment(o, body, e);
	if (r != 0)
		return r;
	*ret = json_incref(body);
	return 0;
}

/* The settings that were given, as the tags that carry them. */
static int setting_tags(const struct deploy_options *o, json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *tags = json_pack(
		"{s:s*, s:s*}", "polyvisor:isolation", o->isolation, "polyvisor:launch", o->launch);
	int r = tags ? 0 : -EINVAL;

	for (size_t i = 0; r == 0 && i < o->settings.count; i++)
		r = set_pair(tags, "polyvisor:", o->settings.items[i], "set", e);
	if (r != 0)
		return r;
	*ret = json_incref(tags);
	return 0;
}

/* Appends the members of an object, without the closing brace. */
static int open_body(struct buffer *body, const json_t *members)
{
	_cleanup_free_ char *text = json_dumps(members, JSON_COMPACT);

	if (!text)
		return -ENOMEM;
	buffer_append(body, text, strlen(text) - 1);
	return 0;
}

static void append_zip(struct buffer *body, const struct package *package)
{
	buffer_append_string(body, "\"ZipFile\":\"");
	buffer_append_base64(body, package->zip.data, package->zip.size);
	buffer_append_string(body, "\"");
}

static int send_body(struct deploy *d, const char *method, const char *path,
	const struct buffer *body, json_t **ret, struct err *e)
{
	const struct request request = { .method = method,
		.path = path,
		.body = body->data,
		.body_size = body->size,
		.object = d->object };

	if (body->failed)
		return -ENOMEM;
	return client_send_for_json(d->client, &request, ret, e);
}

int deploy_create(struct deploy *d, json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *members = NULL;
	_cleanup_json_ json_t *tags = NULL;
	_cleanup_buffer_ struct buffer body = { 0 };
	int r = configuration_members(d, &members, e);

	if (r == 0)
		r = setting_tags(d->options, &tags, e);
	if (r == 0 && json_object_size(tags) > 0)
		r = json_object_set(members, "Tags", tags);
	if (r == 0)
		r = json_object_set_new(members, "FunctionName", json_string(d->name)) |
		    json_object_set_new(members, "Role", json_string(ROLE));
	if (r == 0)
		r = open_body(&body, members);
	if (r != 0)
		return r;
	buffer_append_string(&body, ",\"Code\":{");
	append_zip(&body, &d->package);
	buffer_append_string(&body, "}}");
	return send_body(d, "POST", d->options->warm ? API_FUNCTIONS "?warm=1" : API_FUNCTIONS,
		&body, ret, e);
}

/* Drops the members that are as they should be already. */
static void drop_equal(json_t *members, const json_t *existing)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(members, next, name, value)
	{
		if (json_equal(value, json_object_get(existing, name)))
			json_object_del(members, name);
	}
}

static int update_part(struct deploy *d, const char *method, const char *path,
	const json_t *members, struct err *e)
{
	_cleanup_free_ char *text = json_dumps(members, JSON_COMPACT);
	_cleanup_response_ struct response response = { 0 };
	const struct request request = { .method = method,
		.path = path,
		.body = text,
		.body_size = text ? strlen(text) : 0,
		.object = d->object };

	return text ? client_send(d->client, &request, &response, e) : -ENOMEM;
}

static int update_configuration(struct deploy *d, struct err *e)
{
	_cleanup_json_ json_t *members = NULL;
	_cleanup_buffer_ struct buffer path = { 0 };
	int r = configuration_members(d, &members, e);

	if (r != 0)
		return r;
	drop_equal(members, json_object_get(d->existing, "Configuration"));
	if (json_object_size(members) == 0)
		return 0;
	cli_function_path(&path, d->name, "/configuration");
	return path.failed ? -ENOMEM : update_part(d, "PUT", path.data, members, e);
}

static int update_settings(struct deploy *d, struct err *e)
{
	const json_t *configuration = json_object_get(d->existing, "Configuration");
	const char *arn = json_string_value(json_object_get(configuration, "FunctionArn"));
	_cleanup_json_ json_t *tags = NULL;
	_cleanup_json_ json_t *members = NULL;
	_cleanup_buffer_ struct buffer path = { 0 };
	int r = setting_tags(d->options, &tags, e);

	if (r != 0)
		return r;
	drop_equal(tags, json_object_get(d->existing, "Tags"));
	if (json_object_size(tags) == 0)
		return 0;
	members = json_pack("{s:O}", "Tags", tags);
	buffer_append_string(&path, "/2017-03-31/tags/");
	client_escape(&path, arn ? arn : d->name);
	return path.failed || !members ? -ENOMEM : update_part(d, "POST", path.data, members, e);
}

static int update_code(struct deploy *d, json_t **ret, struct err *e)
{
	_cleanup_buffer_ struct buffer path = { 0 }, body = { 0 };

	cli_function_path(&path, d->name, d->options->warm ? "/code?warm=1" : "/code");
	buffer_append_string(&body, "{");
	append_zip(&body, &d->package);
	buffer_append_string(&body, "}");
	return path.failed ? -ENOMEM : send_body(d, "PUT", path.data, &body, ret, e);
}

int deploy_update(struct deploy *d, json_t **ret, struct err *e)
{
	/* The configuration first: it is what a supervisor has most reasons to refuse, and then
	 * nothing has changed. */
	int r = update_configuration(d, e);

	if (r == 0)
		r = update_settings(d, e);
	return r == 0 ? update_code(d, ret, e) : r;
}
