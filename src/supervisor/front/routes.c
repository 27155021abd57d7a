/*
 * routes.c - see routes.h.
 */
#include "supervisor/front/routes.h"

#include "supervisor/front/handlers.h"
#include "supervisor/front/reply.h"
#include "supervisor/front/uri.h"
#include "supervisor/store/code.h"
#include "supervisor/store/config.h"

#include <stdio.h>
#include <string.h>

#define SMALL (256 * 1024) /* a configuration is a few kilobytes; other bodies are ignored */
/* An archive in base64, and the configuration beside it. */
#define DEPLOY ((CODE_ARCHIVE_MAX + 2) / 3 * 4 + SMALL)

#define FUNCTIONS "/2015-03-31/functions"

static const struct route routes[] = {
	/* The invocations first: they are nearly all that there is. */
	{ "POST", FUNCTIONS "/{}/invocations", invoke_handle, CONFIG_PAYLOAD_MAX, ROUTE_EVENT },
	{ NULL, "/fn/{}/*", url_handle, CONFIG_PAYLOAD_MAX, ROUTE_URL },
	{ "POST", "/2021-11-15/functions/{}/response-streaming-invocations", stream_handle,
		CONFIG_PAYLOAD_MAX, ROUTE_EVENT },

	{ "POST", FUNCTIONS, api_create_function, DEPLOY, 0 },
	{ "GET", FUNCTIONS, api_list_functions, SMALL, 0 },
	{ "GET", FUNCTIONS "/{}", api_get_function, SMALL, 0 },
	{ "DELETE", FUNCTIONS "/{}", api_delete_function, SMALL, 0 },
	{ "GET", FUNCTIONS "/{}/configuration", api_get_configuration, SMALL, 0 },
	{ "PUT", FUNCTIONS "/{}/configuration", api_update_configuration, SMALL, 0 },
	{ "PUT", FUNCTIONS "/{}/code", api_update_code, DEPLOY, 0 },

	{ "PUT", "/2017-10-31/functions/{}/concurrency", api_put_concurrency, SMALL, 0 },
	{ "DELETE", "/2017-10-31/functions/{}/concurrency", api_delete_concurrency, SMALL, 0 },
	{ "GET", "/2019-09-30/functions/{}/concurrency", api_get_concurrency, SMALL, 0 },
	{ "POST", "/2017-03-31/tags/{}", api_tag_resource, SMALL, 0 },
	{ "DELETE", "/2017-03-31/tags/{}", api_untag_resource, SMALL, 0 },
	{ "GET", "/2017-03-31/tags/{}", api_list_tags, SMALL, 0 },
	{ "GET", "/2016-08-19/account-settings", api_account_settings, SMALL, 0 },

	{ "POST", "/2021-10-31/functions/{}/url", api_create_url, SMALL, 0 },
	{ "GET", "/2021-10-31/functions/{}/url", api_get_url, SMALL, 0 },
	{ "PUT", "/2021-10-31/functions/{}/url", api_update_url, SMALL, 0 },
	{ "DELETE", "/2021-10-31/functions/{}/url", api_delete_url, SMALL, 0 },
	{ "GET", "/2021-10-31/functions/{}/urls", api_list_urls, SMALL, 0 },

	{ "GET", "/healthz", view_health, SMALL, ROUTE_OPEN },
	{ "GET", "/metrics", view_metrics, SMALL, 0 },
	{ "GET", "/polyvisor/stats", view_stats, SMALL, 0 },
	{ "GET", "/polyvisor/runtimes", view_runtimes, SMALL, 0 },
	{ "GET", "/polyvisor/logs/{}", view_logs, SMALL, 0 },
};

/* Whether the segment at *target is what stands at *pattern; moves both behind it. */
static bool match_segment(const char **pattern, const char **target, const char **ret_capture)
{
	size_t size = strcspn(*target, "/"), pattern_size = strcspn(*pattern, "/");
	bool capture = pattern_size == 2 && strncmp(*pattern, "{}", 2) == 0;

	if (capture ? size == 0 : size != pattern_size || strncmp(*pattern, *target, size) != 0)
		return false;
	if (capture)
		*ret_capture = *target;
	*pattern += pattern_size;
	*target += size;
	return true;
}

/* Whether the whole target matches; the capture (not decoded) and the rest point into it. */
static bool match(
	const char *pattern, const char *target, const char **ret_capture, const char **ret_rest)
{
	while (*pattern == '/' && *target == '/') {
		if (strcmp(pattern, "/*") == 0) {
			*ret_rest = target;
			return true;
		}
		pattern++;
		target++;
		if (!match_segment(&pattern, &target, ret_capture))
			return false;
	}
	if (strcmp(pattern, "/*") == 0 && !*target) {
		*ret_rest = "/";
		return true;
	}
	return !*pattern && (!*target || strcmp(target, "/") == 0);
}

static bool method_matches(const struct route *route, const char *method)
{
	if (!route->method || strcmp(route->method, method) == 0)
		return true;
	return strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0;
}

static void take_route(struct request *request, const struct route *route, const char *capture)
{
	request->route = route;
	if (capture && uri_decode(capture, strcspn(capture, "/"), false, request->capture,
			       sizeof(request->capture)) < 0)
		reply_error(request, API_NOT_FOUND, "There is no resource with such a name.");
}

static void refuse(struct request *request, const char *methods)
{
	if (!*methods) {
		reply_error(request, API_UNKNOWN_OPERATION,
			"There is no operation %.16s %.160s here.", request->method,
			request->target);
		return;
	}
	reply_error(request, API_METHOD_NOT_ALLOWED,
		"The method %.16s is not one of those that %.160s has: %s.", request->method,
		request->target, methods);
	reply_header(request, "Allow", methods);
}

void routes_find(struct request *request)
{
	char methods[64] = "";

	for (size_t i = 0; i < array_size(routes); i++) {
		const char *capture = NULL;
		size_t used = strlen(methods);

		if (!match(routes[i].pattern, request->target, &capture, &request->rest))
			continue;
		if (method_matches(&routes[i], request->method)) {
			take_route(request, &routes[i], capture);
			return;
		}
		snprintf(methods + used, sizeof(methods) - used, "%s%s", used ? ", " : "",
			routes[i].method);
	}
	refuse(request, methods);
}
