/*
 * invoke.c - see invoke.h; and the Invoke operation itself.
 */
#include "supervisor/front/invoke.h"

#include "base/base64.h"
#include "supervisor/front/async.h"
#include "supervisor/front/handlers.h"

#include <stdio.h>
#include <string.h>

#define CLIENT_CONTEXT_MAX 3583 /* characters of base64, as on Lambda */
#define TRACE_ID_MAX 512

bool invoke_take_event(struct request *request, struct buffer *ret)
{
	if (request->body.size > 0 &&
		(request->check_failed || json_check_end(&request->check) < 0)) {
		reply_error(request, API_INVALID_CONTENT,
			"Could not parse request body into json: the payload of an invocation must "
			"be one JSON value in UTF-8.");
		return false;
	}
	*ret = request->body;
	request->body = (struct buffer){ 0 };
	if (ret->size == 0)
		buffer_append(ret, "{}", 2);
	return true;
}

/* "X-Amz-Client-Context": JSON in base64. False when it is something else, and 400 is sent. */
static bool take_client_context(struct request *request, struct invocation *invocation)
{
	const char *text = request_header(request, "X-Amz-Client-Context");
	size_t size = text ? strlen(text) : 0, decoded;
	struct json_check check;

	if (size == 0)
		return true;
	json_check_begin(&check);
	invocation->client_context = malloc(base64_decoded_max(size) + 1);
	if (size <= CLIENT_CONTEXT_MAX && invocation->client_context &&
		base64_decode(text, size, invocation->client_context, &decoded) == 0 &&
		json_check_feed(&check, invocation->client_context, decoded) == 0 &&
		json_check_end(&check) == 0) {
		invocation->client_context[decoded] = '\0';
		return true;
	}
	reply_error(request, API_INVALID_CONTENT,
		"The header X-Amz-Client-Context must be a JSON object in base64, at most %d "
		"characters long.",
		CLIENT_CONTEXT_MAX);
	return false;
}

struct invocation *invoke_prepare(struct request *request, struct buffer *event)
{
	_cleanup_(invocation_free_cleanup) struct invocation *invocation = invocation_new();
	const char *trace_id = request_header(request, "X-Amzn-Trace-Id");

	if (!invocation || event->failed) {
		buffer_done(event);
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
		return NULL;
	}
	invocation->event = event->data;
	invocation->event_size = event->size;
	*event = (struct buffer){ 0 };
	/* One identifier for both: an event for a URL has it inside already. */
	if (*request->id)
		strcpy(invocation->request_id, request->id);
	else
		strcpy(request->id, invocation->request_id);
	if (trace_id && strlen(trace_id) <= TRACE_ID_MAX)
		invocation->trace_id = strdup(trace_id);
	if (!take_client_context(request, invocation))
		return NULL;
	return take_ptr(invocation);
}

void invoke_submit(struct request *request, struct function *function,
	struct invocation *invocation, void (*done)(struct invocation *invocation))
{
	invocation->owner = request;
	invocation->done = done;
	request->invocation = invocation;
	/* A function that is switched off, as Lambda does it. */
	if (function_config(function)->settings.concurrency == 0) {
		invocation->outcome = INVOCATION_THROTTLED;
		snprintf(invocation->error_type, sizeof(invocation->error_type),
			"ReservedFunctionConcurrentInvocationLimitExceeded");
		snprintf(invocation->message, sizeof(invocation->message),
			"The concurrency of function %s is set to 0, so it is not invoked.",
			function_config(function)->name);
		done(invocation);
		return;
	}
	function_invoke(function, invocation);
}

void invoke_start(struct request *request, struct function *function, struct buffer *event,
	void (*done)(struct invocation *invocation))
{
	struct invocation *invocation = invoke_prepare(request, event);

	if (invocation)
		invoke_submit(request, function, invocation, done);
}

static void invoke_discard(struct invocation *invocation)
{
	invocation_free(invocation);
}

void invoke_detach(struct request *request)
{
	struct invocation *invocation = take_ptr(request->invocation);

	invocation->owner = NULL;
	invocation->part = NULL;
	if (invocation->hold)
		invocation->hold(invocation, false);
	invocation->done = invoke_discard;
}

void invoke_send(struct request *request, const struct invocation *invocation, unsigned status)
{
	reply_header(request, "X-Polyvisor-Start", invocation_start_name(invocation->start));
	reply_header_format(request, "X-Polyvisor-Launch-Us", "%llu",
		(unsigned long long)invocation->launch_us);
	reply_send(request, status);
}

void invoke_reply_refused(struct request *request, const struct invocation *invocation)
{
	unsigned status = reply_status_of(invocation->error_type);

	if (invocation->outcome == INVOCATION_THROTTLED) {
		reply_error_body(request, "TooManyRequestsException", false, invocation->message,
			invocation->error_type);
		reply_header(request, "Retry-After", "1");
		status = 429;
	} else {
		reply_error_body(request, status ? invocation->error_type : "ServiceException",
			true, invocation->message, NULL);
	}
	invoke_send(request, invocation, status ? status : 500);
}

/* "X-Amz-Log-Result": the end of the invocation's log. */
static void add_log(struct request *request, const struct invocation *invocation)
{
	_cleanup_buffer_ struct buffer text = { 0 };

	if (!invocation->wants_tail)
		return;
	buffer_append_base64(&text, invocation->tail.data, invocation->tail.size);
	if (!text.failed)
		reply_header(request, "X-Amz-Log-Result", text.data ? text.data : "");
}

static void invoke_done(struct invocation *invocation)
{
	struct request *request = invocation->owner;

	request->invocation = NULL;
	if (invocation->outcome == INVOCATION_OK ||
		invocation->outcome == INVOCATION_FUNCTION_ERROR) {
		reply_body(request,
			invocation->content_type ? invocation->content_type : "application/json",
			&invocation->reply);
		reply_header(request, "X-Amz-Executed-Version", "$LATEST");
		if (invocation->outcome == INVOCATION_FUNCTION_ERROR)
			reply_header(request, "X-Amz-Function-Error", "Unhandled");
		add_log(request, invocation);
		invoke_send(request, invocation, 200);
	} else {
		invoke_reply_refused(request, invocation);
	}
	invocation_free(invocation);
}

static bool header_is(const struct request *request, const char *name, const char *value)
{
	const char *given = request_header(request, name);

	return given && strcmp(given, value) == 0;
}

static void invoke_event(struct request *request, struct function *function, struct buffer *event)
{
	struct invocation *invocation;

	if (event->size > ASYNC_PAYLOAD_MAX) {
		reply_error(request, API_TOO_LARGE,
			"The payload of an asynchronous invocation has %zu bytes, more than the "
			"limit of %d.",
			event->size, ASYNC_PAYLOAD_MAX);
		return;
	}
	invocation = invoke_prepare(request, event);
	if (invocation)
		async_accept(request, function_config(function)->name, invocation);
}

static void invoke_synchronously(
	struct request *request, struct function *function, struct buffer *event)
{
	struct invocation *invocation = invoke_prepare(request, event);

	if (!invocation)
		return;
	invocation->wants_tail = header_is(request, "X-Amz-Log-Type", "Tail");
	invoke_submit(request, function, invocation, invoke_done);
}

void invoke_handle(struct request *request)
{
	_cleanup_buffer_ struct buffer event = { 0 };
	const char *type = request_header(request, "X-Amz-Invocation-Type");
	struct function *function = api_find(request);

	if (!function || !invoke_take_event(request, &event))
		return;
	if (!type || strcmp(type, "RequestResponse") == 0)
		invoke_synchronously(request, function, &event);
	else if (strcmp(type, "Event") == 0)
		invoke_event(request, function, &event);
	else if (strcmp(type, "DryRun") == 0)
		reply_empty(request, 204);
	else
		reply_error(request, API_INVALID_PARAMETER,
			"The invocation type is '%.32s', but must be RequestResponse, Event or "
			"DryRun.",
			type);
}
