/*
 * reply.c - see reply.h.
 */
#include "supervisor/front/reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_SECONDS "1"

struct error_row {
	const char *name;
	unsigned status;
};

static const struct error_row error_rows[] = {
	[API_INVALID_PARAMETER] = { "InvalidParameterValueException", 400 },
	[API_INVALID_CONTENT] = { "InvalidRequestContentException", 400 },
	[API_BAD_REQUEST] = { "BadRequestException", 400 },
	[API_UNSIGNED] = { "MissingAuthenticationTokenException", 403 },
	[API_BAD_SIGNATURE] = { "InvalidSignatureException", 403 },
	[API_FORBIDDEN] = { "AccessDeniedException", 403 },
	[API_NOT_FOUND] = { "ResourceNotFoundException", 404 },
	[API_UNKNOWN_OPERATION] = { "UnknownOperationException", 404 },
	[API_METHOD_NOT_ALLOWED] = { "UnknownOperationException", 405 },
	[API_CONFLICT] = { "ResourceConflictException", 409 },
	[API_PRECONDITION] = { "PreconditionFailedException", 412 },
	[API_TOO_LARGE] = { "RequestTooLargeException", 413 },
	[API_THROTTLED] = { "TooManyRequestsException", 429 },
	[API_SERVICE] = { "ServiceException", 500 },
	[API_BAD_GATEWAY] = { "InvalidResponseException", 502 },
	[API_UNAVAILABLE] = { "ServiceUnavailableException", 503 },
};

/* Names that the scheduler may give to an invocation that could not be run. */
static const struct error_row run_error_rows[] = {
	{ "InvalidRuntimeException", 502 },
	{ "InvalidZipFileException", 502 },
	{ "ResourceNotFoundException", 404 },
	{ "ResourceNotReadyException", 502 },
	{ "ServiceException", 500 },
	{ "ServiceUnavailableException", 503 },
};

unsigned reply_status_of(const char *name)
{
	for (size_t i = 0; i < array_size(run_error_rows); i++)
		if (strcmp(run_error_rows[i].name, name) == 0)
			return run_error_rows[i].status;
	return 0;
}

void reply_body(struct request *request, const char *content_type, struct buffer *body)
{
	/* A handler prepares one reply; what an earlier attempt has left is not it. */
	if (request->response)
		MHD_destroy_response(request->response);
	request->reply_size = body->size;
	request->response =
		body->failed ? NULL
			     : MHD_create_response_from_buffer(body->size,
				       body->size ? body->data : (void *)"",
				       body->size ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (request->response && body->size)
		take_ptr(body->data);
	buffer_done(body);
	if (content_type)
		reply_header(request, "Content-Type", content_type);
	reply_header(request, "x-amzn-RequestId", request_id(request));
}

void reply_header(struct request *request, const char *name, const char *value)
{
	/* Refuses what would break the reply's head; the header is left out then. */
	if (request->response)
		MHD_add_response_header(request->response, name, value);
}

void reply_header_format(struct request *request, const char *name, const char *format, ...)
{
	char value[256];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	reply_header(request, name, value);
}

void reply_send(struct request *request, unsigned status)
{
	if (request->close || request->front->draining)
		reply_header(request, "Connection", "close");
	request_send(request, status);
}

void reply_json(struct request *request, unsigned status, json_t *json)
{
	struct buffer body = { 0 };
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text) {
		reply_error(request, API_SERVICE, "Out of memory.");
		return;
	}
	body.data = text;
	body.size = strlen(text);
	reply_body(request, "application/json", &body);
	reply_send(request, status);
}

void reply_empty(struct request *request, unsigned status)
{
	struct buffer none = { 0 };

	reply_body(request, NULL, &none);
	reply_send(request, status);
}

static void append_member(struct buffer *body, const char *name, const char *value)
{
	buffer_printf(body, ",\"%s\":", name);
	buffer_append_json(body, value, strlen(value));
}

/* Some clients read "message", others "Message". */
void reply_error_body(struct request *request, const char *name, bool ours, const char *message,
	const char *reason)
{
	struct buffer body = { 0 };

	buffer_printf(&body, "{\"Type\":\"%s\"", ours ? "Service" : "User");
	if (reason)
		append_member(&body, "Reason", reason);
	append_member(&body, "Message", message);
	append_member(&body, "message", message);
	buffer_append_string(&body, "}");
	reply_body(request, "application/json", &body);
	reply_header(request, "x-amzn-ErrorType", name);
}

void reply_error(struct request *request, enum api_error error, const char *format, ...)
{
	const struct error_row *row = &error_rows[error];
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	reply_error_body(request, row->name, row->status >= 500, message, NULL);
	if (error == API_THROTTLED || error == API_UNAVAILABLE)
		reply_header(request, "Retry-After", RETRY_AFTER_SECONDS);
	reply_send(request, row->status);
}

void reply_fault(struct request *request, int r, const struct err *e)
{
	reply_error(request, r == -EBUSY ? API_UNAVAILABLE : API_SERVICE, "%s",
		e->code        ? e->text
		: r == -ENOMEM ? "Out of memory."
			       : "An internal error.");
}
