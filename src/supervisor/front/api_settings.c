/*
 * api_settings.c - concurrency, tags and account settings. Concurrency is a setting like the
 * others: a tag, that these operations read and write.
 */
#include "supervisor/front/api.h"
#include "supervisor/front/handlers.h"
#include "supervisor/front/uri.h"
#include "supervisor/store/code.h"
#include "supervisor/store/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONCURRENCY_TAG CONFIG_TAG_PREFIX "concurrency"
#define CONCURRENCY_MEMBER "ReservedConcurrentExecutions"

/* Commits the function with other tags, which are taken over (NULL: memory is out). */
static void retag(struct change *change, const struct config *old, json_t *tags, change_fn next)
{
	int r = -ENOMEM;

	if (tags)
		r = config_retag(&change->request->front->supervisor->options, old, tags,
			&change->config, &change->err);
	json_decref(tags);
	if (r > 0)
		reply_error(change->request, API_INVALID_PARAMETER, "%s", change->err.text);
	else if (r < 0)
		reply_fault(change->request, r, &change->err);
	else
		change_commit(change, next);
}

static void changed_silently(struct change *change)
{
	reply_empty(change->request, 204);
}

static void reply_concurrency(struct request *request, const struct config *config)
{
	reply_json(request, 200,
		json_pack("{s:i}", CONCURRENCY_MEMBER, (int)config->settings.concurrency));
}

static void concurrency_stored(struct change *change)
{
	reply_concurrency(change->request, change->config);
}

static void put_concurrency_read(struct change *change)
{
	const json_t *value = json_object_get(change->document, CONCURRENCY_MEMBER);
	struct function *function = api_find(change->request);
	char text[24];
	json_t *tags;

	if (!function)
		return;
	if (!json_is_integer(value)) {
		reply_error(change->request, API_INVALID_PARAMETER,
			"The member '" CONCURRENCY_MEMBER "' must be a whole number.");
		return;
	}
	snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
	tags = json_copy(function_config(function)->tags);
	if (tags && json_object_set_new(tags, CONCURRENCY_TAG, json_string(text)) < 0) {
		json_decref(tags);
		tags = NULL;
	}
	retag(change, function_config(function), tags, concurrency_stored);
}

void api_put_concurrency(struct request *request)
{
	change_read(request, put_concurrency_read);
}

void api_get_concurrency(struct request *request)
{
	struct function *function = api_find(request);

	if (!function)
		return;
	if (json_object_get(function_config(function)->tags, CONCURRENCY_TAG))
		reply_concurrency(request, function_config(function));
	else
		reply_json(request, 200, json_object());
}

static void delete_concurrency_begun(struct change *change)
{
	struct function *function = api_find(change->request);
	json_t *tags;

	if (!function)
		return;
	tags = json_copy(function_config(function)->tags);
	if (tags)
		json_object_del(tags, CONCURRENCY_TAG);
	retag(change, function_config(function), tags, changed_silently);
}

void api_delete_concurrency(struct request *request)
{
	change_begin(request, delete_concurrency_begun);
}

static void tag_read(struct change *change)
{
	json_t *added = json_object_get(change->document, "Tags");
	struct function *function = api_find(change->request);
	json_t *tags;

	if (!function)
		return;
	if (!json_is_object(added)) {
		reply_error(change->request, API_INVALID_PARAMETER,
			"The member 'Tags' must be an object of strings.");
		return;
	}
	tags = json_copy(function_config(function)->tags);
	if (tags && json_object_update(tags, added) < 0) {
		json_decref(tags);
		tags = NULL;
	}
	retag(change, function_config(function), tags, changed_silently);
}

void api_tag_resource(struct request *request)
{
	change_read(request, tag_read);
}

/* Removes each that "tagKeys" names; there may be many. */
static void remove_tags(json_t *tags, const char *query)
{
	struct uri_pair pair;

	while (uri_next_pair(&query, &pair)) {
		char name[16], key[256];

		if (uri_decode(pair.name, pair.name_size, true, name, sizeof(name)) < 0 ||
			strcmp(name, "tagKeys") != 0)
			continue;
		if (uri_decode(pair.value, pair.value_size, true, key, sizeof(key)) == 0)
			json_object_del(tags, key);
	}
}

static void untag_begun(struct change *change)
{
	struct function *function = api_find(change->request);
	json_t *tags;

	if (!function)
		return;
	tags = json_copy(function_config(function)->tags);
	if (tags)
		remove_tags(tags, change->request->query);
	retag(change, function_config(function), tags, changed_silently);
}

void api_untag_resource(struct request *request)
{
	change_begin(request, untag_begun);
}

void api_list_tags(struct request *request)
{
	struct function *function = api_find(request);

	if (function)
		reply_json(
			request, 200, json_pack("{s:O}", "Tags", function_config(function)->tags));
}

void api_account_settings(struct request *request)
{
	struct registry *registry = request->front->supervisor->registry;
	int concurrency = (int)request->front->supervisor->options.concurrency;
	json_int_t size = 0, count = 0;

	for (struct function *f = registry_next(registry, NULL); f;
		f = registry_next(registry, function_config(f)->name)) {
		size += (json_int_t)function_config(f)->code_size;
		count++;
	}
	reply_json(request, 200,
		json_pack("{s:{s:I, s:i, s:i, s:i, s:i}, s:{s:I, s:I}}", "AccountLimit",
			"TotalCodeSize", (json_int_t)INT64_MAX, "CodeSizeUnzipped",
			UNPACK_BYTES_MAX, "CodeSizeZipped", CODE_ARCHIVE_MAX,
			"ConcurrentExecutions", concurrency, "UnreservedConcurrentExecutions",
			concurrency, "AccountUsage", "TotalCodeSize", size, "FunctionCount",
			count));
}
