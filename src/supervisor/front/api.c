/*
 * api.c - see api.h.
 */
#include "supervisor/front/api.h"

#include "supervisor/front/arn.h"
#include "supervisor/front/uri.h"

#include <errno.h>
#include <string.h>

static struct registry *registry_of(const struct request *request)
{
	return request->front->supervisor->registry;
}

static void refuse_name(struct request *request)
{
	reply_error(request, API_INVALID_PARAMETER,
		"'%.170s' does not name a function: give its name (1 to %d letters, digits, '-' "
		"and '_') or its ARN.",
		request->capture, CONFIG_NAME_MAX);
}

static void refuse_unknown(struct request *request, const char *name, const char *qualifier)
{
	reply_error(request, API_NOT_FOUND, "Function not found: " CONFIG_ARN_PREFIX "%s%s%s", name,
		*qualifier ? ":" : "", qualifier);
}

static struct function *find(struct request *request, const char *query)
{
	struct function_reference reference;
	struct function *function;

	if (arn_parse(request->capture, &reference) < 0) {
		refuse_name(request);
		return NULL;
	}
	/* A version or alias may also be in the query; one that is too long is none of ours. */
	if (!*reference.qualifier && uri_parameter(query, "Qualifier", reference.qualifier,
					     sizeof(reference.qualifier)) == -ENOBUFS)
		strcpy(reference.qualifier, "?");
	function = registry_find(registry_of(request), reference.name);
	if (function && arn_is_latest(&reference))
		return function;
	refuse_unknown(request, reference.name, reference.qualifier);
	return NULL;
}

struct function *api_find(struct request *request)
{
	return find(request, request->query);
}

struct function *api_find_by_path(struct request *request)
{
	return find(request, "");
}

struct function *api_find_again(struct change *change)
{
	struct function *function = registry_find(registry_of(change->request), change->name);

	if (!function)
		refuse_unknown(change->request, change->name, "");
	return function;
}

bool api_check_revision(struct change *change, const struct config *config)
{
	char in_query[64];
	const char *wanted = json_string_value(json_object_get(change->document, "RevisionId"));

	if (!wanted)
		wanted = request_parameter(
			change->request, "RevisionId", in_query, sizeof(in_query));
	if (!wanted || strcmp(wanted, config->revision_id) == 0)
		return true;
	reply_error(change->request, API_PRECONDITION,
		"The RevisionId provided (%.64s) is not that of the function %s (%s): somebody has "
		"changed it meanwhile; read it again.",
		wanted, config->name, config->revision_id);
	return false;
}

bool api_check_config(struct change *change, int r)
{
	struct request *request = change->request;
	struct front *front = request->front;
	const char *why = NULL;

	if (r > 0)
		reply_error(request, API_INVALID_PARAMETER, "%s", change->err.text);
	else if (r < 0)
		reply_fault(request, r, &change->err);
	else if (front->calls.runtime_known(front->supervisor, change->config->runtime, &why))
		return true;
	else
		reply_error(request, API_INVALID_PARAMETER,
			"The runtime '%.64s' is not available%s%s", change->config->runtime,
			why ? ": " : ": `polyvisor runtimes` lists those that are.",
			why ? why : "");
	return false;
}

void api_reply_config(struct request *request, unsigned status, const struct config *config)
{
	reply_json(request, status, config_to_json(config));
}

void api_warm_if_asked(struct request *request, const char *name)
{
	char value[8];
	struct function *function;

	if (!request_parameter(request, "warm", value, sizeof(value)) || strcmp(value, "1") != 0)
		return;
	function = registry_find(registry_of(request), name);
	if (function)
		function_warm(function);
}
