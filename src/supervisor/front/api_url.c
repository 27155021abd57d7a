/*
 * api_url.c - the operations on a function's URL. A function answers at /fn/NAME/ in any case;
 * these keep what clients configure, and say where that is.
 */
#include "supervisor/front/api.h"
#include "supervisor/front/handlers.h"

#include <errno.h>
#include <string.h>

#define INVOKE_BUFFERED "BUFFERED"
#define INVOKE_STREAM "RESPONSE_STREAM"

/* How the client reached us is how it will reach the function. */
static json_t *url_of(const struct request *request, const char *name)
{
	const char *host = request_header(request, "Host");
	_cleanup_buffer_ struct buffer url = { 0 };

	buffer_printf(&url, "http://%s/fn/%s/",
		host && *host ? host : request->front->listener.address, name);
	return url.failed ? NULL : json_string(url.data);
}

static json_t *url_to_json(const struct request *request, const struct config *config)
{
	json_t *json = json_pack("{s:s+, s:o}", "FunctionArn", CONFIG_ARN_PREFIX, config->name,
		"FunctionUrl", url_of(request, config->name));

	if (json && json_object_update(json, config->url) < 0) {
		json_decref(json);
		json = NULL;
	}
	return json;
}

static const char *member(const json_t *document, const char *name)
{
	return json_string_value(json_object_get(document, name));
}

/* Whether the members of a request are ones that we can honour; else 400 is sent. */
static bool check_members(struct change *change)
{
	const char *auth = member(change->document, "AuthType");
	const char *mode = member(change->document, "InvokeMode");

	if (auth && strcmp(auth, "NONE") != 0 && strcmp(auth, "AWS_IAM") != 0) {
		reply_error(change->request, API_INVALID_PARAMETER,
			"The AuthType is '%.32s', but must be NONE or AWS_IAM.", auth);
		return false;
	}
	if (auth && strcmp(auth, "AWS_IAM") == 0 && !change->request->front->keys) {
		reply_error(change->request, API_INVALID_PARAMETER,
			"The AuthType AWS_IAM needs keys to verify signatures with: start the "
			"server "
			"with --keys, or use NONE.");
		return false;
	}
	if (mode && strcmp(mode, INVOKE_BUFFERED) != 0 && strcmp(mode, INVOKE_STREAM) != 0) {
		reply_error(change->request, API_INVALID_PARAMETER,
			"The InvokeMode is '%.32s', but must be " INVOKE_BUFFERED
			" or " INVOKE_STREAM ".",
			mode);
		return false;
	}
	return true;
}

/* The stored form: the old one, or defaults, with what the request has. NULL: memory is out. */
static json_t *merge(const struct config *old, const json_t *document)
{
	static const char *const members[] = { "AuthType", "Cors", "InvokeMode" };
	char now[CONFIG_TIME_SIZE];
	json_t *url;

	config_format_time(usec_realtime(), now);
	url = old->url ? json_copy(old->url)
		       : json_pack("{s:s, s:s, s:s}", "AuthType", "NONE", "InvokeMode",
				 INVOKE_BUFFERED, "CreationTime", now);
	for (size_t i = 0; url && i < array_size(members); i++) {
		json_t *value = json_object_get(document, members[i]);

		if (value && !json_is_null(value))
			json_object_set(url, members[i], value);
	}
	if (url)
		json_object_set_new(url, "LastModifiedTime", json_string(now));
	return url;
}

/* Commits the function with another URL configuration, which is taken over; NULL: with none. */
static void set_url(struct change *change, const struct config *old, json_t *url, change_fn next)
{
	int r = config_update(&change->request->front->supervisor->options, old, NULL,
		&change->config, &change->err);

	if (r != 0) {
		json_decref(url);
		reply_fault(change->request, -ENOMEM, &change->err);
		return;
	}
	json_decref(change->config->url);
	change->config->url = url;
	change_commit(change, next);
}

static void url_created(struct change *change)
{
	reply_json(change->request, 201, url_to_json(change->request, change->config));
}

static void url_updated(struct change *change)
{
	reply_json(change->request, 200, url_to_json(change->request, change->config));
}

static void url_deleted(struct change *change)
{
	reply_empty(change->request, 204);
}

/* The function's configuration when it has a URL (or none, as wanted); else an error is sent. */
static const struct config *find_url(struct request *request, bool wanted)
{
	struct function *function = api_find(request);
	const struct config *config;

	if (!function)
		return NULL;
	config = function_config(function);
	if ((config->url != NULL) == wanted)
		return config;
	if (wanted)
		reply_error(request, API_NOT_FOUND, "The resource you requested does not exist.");
	else
		reply_error(request, API_CONFLICT,
			"Failed to create function url config for [functionArn = " CONFIG_ARN_PREFIX
			"%s]. Error message:  FunctionUrlConfig exists for this Lambda function",
			config->name);
	return NULL;
}

static void write_url(struct change *change, bool existing, change_fn next)
{
	const struct config *config = find_url(change->request, existing);
	json_t *url;

	if (!config || !check_members(change))
		return;
	url = merge(config, change->document);
	if (url)
		set_url(change, config, url, next);
	else
		reply_error(change->request, API_UNAVAILABLE, "Out of memory.");
}

static void create_url_read(struct change *change)
{
	write_url(change, false, url_created);
}

static void update_url_read(struct change *change)
{
	write_url(change, true, url_updated);
}

static void delete_url_begun(struct change *change)
{
	const struct config *config = find_url(change->request, true);

	if (config)
		set_url(change, config, NULL, url_deleted);
}

void api_create_url(struct request *request)
{
	change_read(request, create_url_read);
}

void api_update_url(struct request *request)
{
	change_read(request, update_url_read);
}

void api_delete_url(struct request *request)
{
	change_begin(request, delete_url_begun);
}

void api_get_url(struct request *request)
{
	const struct config *config = find_url(request, true);

	if (config)
		reply_json(request, 200, url_to_json(request, config));
}

void api_list_urls(struct request *request)
{
	struct function *function = api_find(request);
	json_t *list;

	if (!function)
		return;
	list = json_array();
	if (list && function_config(function)->url)
		json_array_append_new(list, url_to_json(request, function_config(function)));
	reply_json(request, 200, json_pack("{s:o}", "FunctionUrlConfigs", list));
}
