/*
 * api_update.c - UpdateFunctionCode, UpdateFunctionConfiguration.
 */
#include "supervisor/front/api.h"
#include "supervisor/front/handlers.h"
#include "supervisor/store/store.h"

#include <string.h>

/* Notes the function's name for later steps and checks the revision: its configuration, or NULL
 * and an error is sent. */
static const struct config *update_begin(struct change *change)
{
	struct function *function = api_find(change->request);
	const struct config *config;

	if (!function)
		return NULL;
	config = function_config(function);
	strcpy(change->name, config->name);
	return api_check_revision(change, config) ? config : NULL;
}

static void update_stored(struct change *change)
{
	api_warm_if_asked(change->request, change->name);
	api_reply_config(change->request, 200, change->config);
}

static void update_code_coded(struct change *change)
{
	struct supervisor *supervisor = change->request->front->supervisor;
	struct function *function = api_find_again(change);
	int r;

	/* What the function is may have changed while the archive was being unpacked. */
	if (!function || !api_check_revision(change, function_config(function)))
		return;
	r = config_update(&supervisor->options, function_config(function), NULL, &change->config,
		&change->err);
	if (r == 0)
		r = config_set_code(change->config, store_code(supervisor->store), change->digest,
			change->archive_size);
	if (!api_check_config(change, r))
		return;
	if (json_is_true(json_object_get(change->document, "DryRun")))
		api_reply_config(change->request, 200, change->config);
	else
		change_commit(change, update_stored);
}

static void update_code_read(struct change *change)
{
	if (!update_begin(change))
		return;
	if (change->archive)
		change_code(change, update_code_coded);
	else
		reply_error(change->request, API_INVALID_PARAMETER,
			"The request has no code that could be used: give a zip archive in ZipFile "
			"(S3 and container images are not supported).");
}

void api_update_code(struct request *request)
{
	change_read(request, update_code_read);
}

static void update_configuration_read(struct change *change)
{
	struct supervisor *supervisor = change->request->front->supervisor;
	const struct config *old = update_begin(change);

	if (!old)
		return;
	if (api_check_config(change, config_update(&supervisor->options, old, change->document,
					     &change->config, &change->err)))
		change_commit(change, update_stored);
}

void api_update_configuration(struct request *request)
{
	change_read(request, update_configuration_read);
}
