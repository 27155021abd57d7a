/*
 * api_functions.c - CreateFunction, GetFunction, GetFunctionConfiguration, ListFunctions,
 * DeleteFunction.
 */
#include "supervisor/front/api.h"
#include "supervisor/front/arn.h"
#include "supervisor/front/handlers.h"
#include "supervisor/store/store.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX 50 /* functions on one page, as on Lambda */

static bool refuse_existing(struct change *change)
{
	if (!registry_find(change->request->front->supervisor->registry, change->name))
		return false;
	reply_error(change->request, API_CONFLICT, "Function already exist: %s", change->name);
	return true;
}

static void create_stored(struct change *change)
{
	api_warm_if_asked(change->request, change->name);
	api_reply_config(change->request, 201, change->config);
}

static void create_coded(struct change *change)
{
	struct code *code = store_code(change->request->front->supervisor->store);

	/* Another may have made it while this one was being unpacked. */
	if (refuse_existing(change))
		return;
	if (config_set_code(change->config, code, change->digest, change->archive_size) < 0)
		reply_error(change->request, API_UNAVAILABLE, "Out of memory.");
	else
		change_commit(change, create_stored);
}

/* Where else code could be, in Lambda's API; an archive was not given. */
static void refuse_code(struct change *change)
{
	const json_t *code = json_object_get(change->document, "Code");

	if (json_object_get(code, "S3Bucket"))
		reply_error(change->request, API_INVALID_PARAMETER,
			"Code in S3 is not supported: give it as a zip archive in Code.ZipFile "
			"(aws lambda: --zip-file fileb://FILE).");
	else if (json_object_get(code, "ImageUri"))
		reply_error(change->request, API_INVALID_PARAMETER,
			"Container images are not supported: give the code as a zip archive in "
			"Code.ZipFile.");
	else
		reply_error(change->request, API_INVALID_PARAMETER,
			"The function has no code: give a zip archive in Code.ZipFile.");
}

static bool take_name(struct change *change)
{
	const char *name = json_string_value(json_object_get(change->document, "FunctionName"));
	struct function_reference reference;

	if (name && arn_parse(name, &reference) == 0 && !*reference.qualifier) {
		strcpy(change->name, reference.name);
		return true;
	}
	reply_error(change->request, API_INVALID_PARAMETER,
		"The member 'FunctionName' is '%.170s', but must be a name (1 to %d letters, "
		"digits, '-' and '_') or an ARN.",
		name ? name : "", CONFIG_NAME_MAX);
	return false;
}

static void create_read(struct change *change)
{
	int r;

	if (!take_name(change) || refuse_existing(change))
		return;
	r = config_create(&change->request->front->supervisor->options, change->name,
		change->document, &change->config, &change->err);
	if (!api_check_config(change, r))
		return;
	if (change->archive)
		change_code(change, create_coded);
	else
		refuse_code(change);
}

void api_create_function(struct request *request)
{
	change_read(request, create_read);
}

void api_get_configuration(struct request *request)
{
	struct function *function = api_find(request);

	if (function)
		api_reply_config(request, 200, function_config(function));
}

static json_t *concurrency_of(const struct config *config)
{
	const json_t *tag = json_object_get(config->tags, CONFIG_TAG_PREFIX "concurrency");

	return tag ? json_pack("{s:i}", "ReservedConcurrentExecutions",
			     (int)config->settings.concurrency)
		   : NULL;
}

void api_get_function(struct request *request)
{
	struct function *function = api_find(request);
	const struct config *config;

	if (!function)
		return;
	config = function_config(function);
	reply_json(request, 200,
		json_pack("{s:o, s:{s:s}, s:O, s:o*}", "Configuration", config_to_json(config),
			"Code", "RepositoryType", "polyvisor", "Tags", config->tags, "Concurrency",
			concurrency_of(config)));
}

/* "MaxItems" between 1 and a page. */
static size_t list_limit(const struct request *request)
{
	char text[16];
	const char *value = request_parameter(request, "MaxItems", text, sizeof(text));
	long limit = value ? strtol(value, NULL, 10) : LIST_MAX;

	return limit < 1 || limit > LIST_MAX ? LIST_MAX : (size_t)limit;
}

void api_list_functions(struct request *request)
{
	struct registry *registry = request->front->supervisor->registry;
	char marker[CONFIG_NAME_MAX + 1];
	const char *after = request_parameter(request, "Marker", marker, sizeof(marker));
	size_t limit = list_limit(request);
	json_t *list = json_array();
	struct function *function = registry_next(registry, after);

	for (; function && json_array_size(list) < limit;
		function = registry_next(registry, after)) {
		const struct config *config = function_config(function);

		if (json_array_append_new(list, config_to_json(config)) < 0) {
			json_decref(list);
			reply_error(request, API_UNAVAILABLE, "Out of memory.");
			return;
		}
		after = config->name;
	}
	reply_json(request, 200,
		json_pack("{s:o, s:s*}", "Functions", list, "NextMarker", function ? after : NULL));
}

static void delete_stored(struct change *change)
{
	reply_empty(change->request, 204);
}

static void delete_begun(struct change *change)
{
	struct function *function = api_find(change->request);

	if (!function)
		return;
	strcpy(change->name, function_config(function)->name);
	change_commit(change, delete_stored);
}

void api_delete_function(struct request *request)
{
	change_begin(request, delete_begun);
}
