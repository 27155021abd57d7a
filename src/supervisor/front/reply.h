/*
 * reply.h - how handlers answer: a body, headers, then reply_send(); or one of the shorthands.
 *
 * A reply that cannot be made for want of memory becomes the end of the connection.
 */
#pragma once

#include "supervisor/front/request.h"

#include <jansson.h>

/* Lambda's errors, by the names that its clients match. */
enum api_error {
	API_INVALID_PARAMETER,
	API_INVALID_CONTENT,
	API_BAD_REQUEST, /* not HTTP as it should be */
	API_UNSIGNED,
	API_BAD_SIGNATURE,
	API_FORBIDDEN,
	API_NOT_FOUND,
	API_UNKNOWN_OPERATION,
	API_METHOD_NOT_ALLOWED,
	API_CONFLICT,
	API_PRECONDITION,
	API_TOO_LARGE,
	API_THROTTLED,
	API_SERVICE, /* our fault */
	API_BAD_GATEWAY,
	API_UNAVAILABLE,
};

/* Prepares a body, which is taken over; content_type may be NULL where there is none. */
void reply_body(struct request *request, const char *content_type, struct buffer *body);
void reply_header(struct request *request, const char *name, const char *value);
PRINTF_LIKE(3, 4)
void reply_header_format(struct request *request, const char *name, const char *format, ...);
void reply_send(struct request *request, unsigned status);

/* Prepares a JSON document, which is taken over (NULL: memory is out), and sends it. */
void reply_json(struct request *request, unsigned status, json_t *json);

/* Sends no body. */
void reply_empty(struct request *request, unsigned status);

/* Sends an error with its sentence. */
PRINTF_LIKE(3, 4)
void reply_error(struct request *request, enum api_error error, const char *format, ...);

/* The same with a "Reason", as throttled invocations have; prepared only. */
void reply_error_body(struct request *request, const char *name, bool ours, const char *message,
	const char *reason);

/* The status of an error that is known by name, else 0. */
unsigned reply_status_of(const char *name);

/* Sends what a fault of ours comes to: e has the sentence. */
void reply_fault(struct request *request, int r, const struct err *e);
