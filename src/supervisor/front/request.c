/*
 * request.c - see request.h.
 */
#include "supervisor/front/request.h"

#include "supervisor/front/access.h"
#include "supervisor/front/change.h"
#include "supervisor/front/invoke.h"
#include "supervisor/front/reply.h"
#include "supervisor/front/routes.h"
#include "supervisor/front/stream.h"
#include "supervisor/front/uri.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* A refused body up to this size is read to its end: a client that is still writing does not see a
 * reply that comes with the end of the connection. */
#define DISCARD_MAX (64UL * 1024 * 1024)

void *request_begin(void *data, const char *target, struct MHD_Connection *mhd)
{
	struct front *front = data;
	struct request *request = calloc(1, sizeof(*request));
	char *query;

	if (!request)
		return NULL;
	request->front = front;
	request->mhd = mhd;
	request->connection = connection_of(mhd);
	list_init(&request->waiting);
	list_init(&request->link);
	request->target = strdup(target);
	if (!request->target || !request->connection) {
		free(request->target);
		free(request);
		return NULL;
	}
	query = strchr(request->target, '?');
	if (query)
		*query++ = '\0';
	request->query = query ? query : "";
	list_append(&front->requests, &request->link);
	return request;
}

void request_end(void *data, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct request *request = *context;
	struct front *front = data;

	(void)mhd;
	(void)code;
	if (!request)
		return;
	*context = NULL;
	if (request->ended)
		request->ended(request);
	if (request->invocation)
		invoke_detach(request);
	change_free(request->change);
	access_end(request);
	if (request->stream)
		stream_forget_request(request->stream);
	loop_timer_cancel(front->supervisor->loop, &request->timer);
	list_remove(&request->waiting);
	list_remove(&request->link);
	if (request->response)
		MHD_destroy_response(request->response);
	front->body_bytes -= request->body_counted;
	connection_expect_request(request->connection);
	buffer_done(&request->body);
	free(request->target);
	free(request);
}

const char *request_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

const char *request_parameter(
	const struct request *request, const char *name, char *ret, size_t capacity)
{
	return uri_parameter(request->query, name, ret, capacity) == 0 ? ret : NULL;
}

const char *request_id(struct request *request)
{
	if (!*request->id)
		uuid_make(request->id);
	return request->id;
}

/* How the body is delimited, as this server and any proxy before it must agree on. */
struct framing {
	unsigned lengths, encodings;
	bool chunked, malformed;
	uint64_t length;
};

static bool is_token(const char *name)
{
	static const char separators[] = "\"(),/:;<=>?@[\\]{} \t";

	for (const char *p = name; *p; p++)
		if (*p <= 0x20 || *p == 0x7f || strchr(separators, *p))
			return false;
	return *name != '\0';
}

static enum MHD_Result framing_header(
	void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct framing *framing = data;
	char *end;

	(void)kind;
	if (!is_token(name)) {
		framing->malformed = true;
	} else if (strcasecmp(name, "Content-Length") == 0) {
		framing->lengths++;
		errno = 0;
		framing->length = value ? strtoull(value, &end, 10) : 0;
		if (!value || *value < '0' || *value > '9' || *end || errno)
			framing->malformed = true;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		framing->encodings++;
		framing->chunked = value && strcasecmp(value, "chunked") == 0;
	}
	return MHD_YES;
}

/*
 * A request whose end can be read in two ways could hide another in its body from a proxy in front
 * of us: nothing of the kind is served, and the connection ends.
 */
static bool framing_is_sound(const struct framing *framing)
{
	if (framing->malformed || framing->lengths > 1 || framing->encodings > 1)
		return false;
	if (framing->encodings == 1)
		return framing->chunked && framing->lengths == 0;
	return true;
}

static void refuse_body_size(struct request *request)
{
	request->front->supervisor->payloads_refused++;
	reply_error(request, API_TOO_LARGE,
		"The request is too large: its body must be at most %zu bytes.",
		request->route->body_max);
}

static bool request_expects_continue(const struct request *request)
{
	const char *expect = request_header(request, "Expect");

	return expect && strcasecmp(expect, "100-continue") == 0;
}

/* What comes with the head: the route, and whether the body may come. */
static void request_examine(struct request *request, const struct framing *framing)
{
	if (!framing_is_sound(framing)) {
		request->close = true;
		reply_error(request, API_BAD_REQUEST,
			"The request's Content-Length and Transfer-Encoding are malformed or "
			"contradict each other.");
		return;
	}
	routes_find(request);
	if (request->response)
		return;
	if (framing->length > request->route->body_max) {
		refuse_body_size(request);
		return;
	}
	if (framing->length > 0 && !buffer_reserve(&request->body, framing->length))
		reply_error(request, API_UNAVAILABLE, "Out of memory.");
}

static enum MHD_Result request_queue(struct request *request)
{
	struct MHD_Response *response = take_ptr(request->response);
	enum MHD_Result result;

	request->state = REQUEST_QUEUED;
	if (!response)
		return MHD_NO;
	connection_expect_reading(request->connection, request->reply_size);
	result = MHD_queue_response(request->mhd, request->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result request_start(
	struct request *request, const char *method, const char *version)
{
	struct framing framing = { 0 };
	bool has_body;

	request->method = method;
	request->version = version;
	connection_expect_body(request->connection, 0);
	MHD_get_connection_values(request->mhd, MHD_HEADER_KIND, framing_header, &framing);
	request_examine(request, &framing);
	request->state = request->response ? REQUEST_DISCARD : REQUEST_BODY;
	if (request->state == REQUEST_BODY) {
		json_check_begin(&request->check);
		access_begin(request);
		return MHD_YES;
	}
	has_body = framing.length > 0 || framing.encodings > 0;
	if (!has_body || (!request->close && framing.length <= DISCARD_MAX &&
				 !request_expects_continue(request)))
		return MHD_YES;
	if (!request->close)
		reply_header(request, "Connection", "close");
	return request_queue(request);
}

/* Takes a piece of the body, or refuses the rest of it. */
static void request_take(struct request *request, const char *data, size_t size)
{
	struct front *front = request->front;

	request->body_size += size;
	connection_expect_body(request->connection, size);
	if (request->state == REQUEST_DISCARD)
		return;
	if (request->body_size > request->route->body_max) {
		refuse_body_size(request);
	} else if (front->body_bytes + size > FRONT_BODIES_MAX) {
		reply_error(request, API_UNAVAILABLE,
			"The bodies of all requests together exceed %lu bytes: try again later.",
			FRONT_BODIES_MAX);
	} else {
		front->body_bytes += size;
		request->body_counted += size;
		buffer_append(&request->body, data, size);
		access_take(request, data, size);
		if (request->body.failed)
			reply_error(request, API_UNAVAILABLE, "Out of memory.");
	}
	if (request->response) {
		request->state = REQUEST_DISCARD;
		buffer_done(&request->body);
	} else if (request->route->flags & ROUTE_EVENT && !request->check_failed) {
		request->check_failed = json_check_feed(&request->check, data, size) < 0;
	}
}

/* A body without an end that was refused in the middle of it is not read for ever. */
static enum MHD_Result request_take_more(struct request *request, const char *data, size_t *size)
{
	request_take(request, data, *size);
	*size = 0;
	return request->body_size > DISCARD_MAX + (request->route ? request->route->body_max : 0)
		       ? MHD_NO
		       : MHD_YES;
}

static enum MHD_Result request_complete(struct request *request)
{
	if (request->state == REQUEST_DISCARD)
		return request_queue(request);
	connection_pause(request->connection);
	request->state = REQUEST_HANDLING;
	if (access_allows(request))
		request->route->handle(request);
	if (request->state == REQUEST_READY)
		return request_queue(request);
	request->state = REQUEST_RUNNING;
	MHD_suspend_connection(request->mhd);
	return MHD_YES;
}

enum MHD_Result request_handle(void *data, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *upload, size_t *size, void **context)
{
	struct request *request = *context;

	(void)data;
	(void)mhd;
	(void)url;
	if (!request)
		return MHD_NO;
	switch (request->state) {
	case REQUEST_NEW:
		return request_start(request, method, version);
	case REQUEST_BODY:
	case REQUEST_DISCARD:
		return *size > 0 ? request_take_more(request, upload, size)
				 : request_complete(request);
	case REQUEST_READY:
		return request_queue(request);
	default:
		return MHD_NO;
	}
}

void request_send(struct request *request, unsigned status)
{
	request->status = status;
	switch (request->state) {
	case REQUEST_HANDLING:
		request->state = REQUEST_READY;
		break;
	case REQUEST_RUNNING:
		request->state = REQUEST_READY;
		MHD_resume_connection(request->mhd);
		front_wake(request->front);
		break;
	default:
		/* A refusal: it is queued when the body is over. */
		break;
	}
}

void request_abandon_all(struct front *front)
{
	struct request *request;

	list_for_each (request, &front->requests, link) {
		if (request->invocation)
			invoke_detach(request);
		if (request->stream && stream_is_replied(request->stream))
			stream_break(request->stream);
		if (request->state != REQUEST_RUNNING)
			continue;
		request->close = true;
		reply_error(request, API_UNAVAILABLE, "The supervisor is ending: try again later.");
	}
}
