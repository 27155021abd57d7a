/*
 * url.c - function URLs: ANY /fn/NAME/..., an HTTP request as an event and a reply as an HTTP
 * reply.
 *
 * What is small is converted on the loop; a large body or reply goes to the deployer, which has
 * nothing to do but for deploys.
 */
#include "supervisor/front/handlers.h"
#include "supervisor/front/invoke.h"
#include "supervisor/front/url_event.h"
#include "supervisor/front/url_reply.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define INLINE_MAX (32 * 1024) /* bytes that are converted on the loop */

struct url_call {
	struct request *request;
	struct url_event event;
	struct invocation *invocation; /* done, being converted */
	struct url_reply reply;
	int result;
	struct job job;
};

static void call_ended(struct request *request)
{
	struct url_call *call = request->state_of_handler;

	buffer_done(&call->event.json);
	url_reply_done(&call->reply);
	invocation_free(call->invocation);
	free(call);
}

struct header_target {
	struct request *request;
	bool has_content_type;
};

static void add_header(void *data, const char *name, const char *value)
{
	struct header_target *target = data;

	target->has_content_type |= strcasecmp(name, "Content-Type") == 0;
	reply_header(target->request, name, value);
}

static void reply_bad_gateway(struct request *request, const struct invocation *invocation)
{
	reply_error_body(request, "InvalidResponseException", true, "Internal Server Error", NULL);
	invoke_send(request, invocation, 502);
}

static void call_reply(struct url_call *call)
{
	struct request *request = call->request;
	struct header_target target = { .request = request };

	if (call->result < 0) {
		reply_bad_gateway(request, call->invocation);
		return;
	}
	reply_body(request, NULL, &call->reply.body);
	url_reply_each_header(&call->reply, add_header, &target);
	if (!target.has_content_type)
		reply_header(request, "Content-Type", "application/json");
	invoke_send(request, call->invocation, call->reply.status);
}

static void reply_work(struct job *job)
{
	struct url_call *call = container_of(job, struct url_call, job);

	call->result = url_reply_read(&call->invocation->reply, &call->reply);
}

static void reply_worked(struct job *job)
{
	call_reply(container_of(job, struct url_call, job));
}

static void reply_plain(struct request *request, struct invocation *invocation)
{
	reply_body(request,
		invocation->content_type ? invocation->content_type : "application/json",
		&invocation->reply);
	invoke_send(request, invocation, 200);
}

static void call_done(struct invocation *invocation)
{
	struct request *request = invocation->owner;
	struct url_call *call = request->state_of_handler;

	request->invocation = NULL;
	call->invocation = invocation;
	if (invocation->outcome == INVOCATION_FUNCTION_ERROR) {
		reply_bad_gateway(request, invocation);
	} else if (invocation->outcome != INVOCATION_OK) {
		invoke_reply_refused(request, invocation);
	} else if (url_reply_is_plain(&invocation->reply)) {
		reply_plain(request, invocation);
	} else if (invocation->reply.size <= INLINE_MAX) {
		reply_work(&call->job);
		call_reply(call);
	} else {
		call->job.work = reply_work;
		call->job.done = reply_worked;
		worker_submit(request->front->deployer, &call->job);
	}
}

static void call_invoke(struct url_call *call)
{
	struct request *request = call->request;
	struct function *function = api_find_by_path(request);

	if (!function)
		return;
	if (call->event.json.size > CONFIG_PAYLOAD_MAX) {
		reply_error(request, API_TOO_LARGE,
			"The request is too large: as an event it has %zu bytes, more than the "
			"limit of %d.",
			call->event.json.size, CONFIG_PAYLOAD_MAX);
		return;
	}
	invoke_start(request, function, &call->event.json, call_done);
}

static void event_work(struct job *job)
{
	struct url_call *call = container_of(job, struct url_call, job);

	url_event_end(&call->event, &call->request->body);
}

static void event_worked(struct job *job)
{
	call_invoke(container_of(job, struct url_call, job));
}

static void call_begin(struct url_call *call)
{
	struct request *request = call->request;

	if (url_event_begin(request, &call->event) < 0) {
		reply_error(request, API_BAD_REQUEST,
			"The request has too many headers or query parameters.");
	} else if (request->body.size <= INLINE_MAX) {
		event_work(&call->job);
		call_invoke(call);
	} else {
		call->job.work = event_work;
		call->job.done = event_worked;
		worker_submit(request->front->deployer, &call->job);
	}
}

void url_handle(struct request *request)
{
	struct url_call *call;

	if (!api_find_by_path(request))
		return;
	call = calloc(1, sizeof(*call));
	if (!call) {
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
		return;
	}
	call->request = request;
	request->state_of_handler = call;
	request->ended = call_ended;
	call_begin(call);
}
