/*
 * client.h - one connection to a supervisor, and requests over it one after the other.
 *
 * Every failure ends as one sentence and an outcome: no answer is OUTCOME_UNREACHABLE, an answer
 * that is an error carries the supervisor's own sentence.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

#define CLIENT_ENDPOINT_DEFAULT "http://127.0.0.1:8480"
#define CLIENT_HEADERS_MAX 8

static inline void json_done(json_t **value)
{
	json_decref(*value);
}

#define _cleanup_json_ _cleanup_(json_done)

struct client;

struct request {
	const char *method, *path;               /* the path with its query, escaped */
	const char *headers[CLIENT_HEADERS_MAX]; /* "Name: value", up to the first NULL */
	const void *body;
	size_t body_size;
	const char *object; /* what it is about, for the sentence: "function hello" */
};

struct response {
	long status;
	struct buffer body;
};

void response_done(struct response *response);
#define _cleanup_response_ _cleanup_(response_done)

/* endpoint: http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:PATH. */
int client_new(const char *endpoint, struct client **ret, struct err *e) MUST_CHECK;
struct client *client_free(struct client *client);
DEFINE_CLEANUP(struct client *, client_free)

/* Sends the request and takes whatever is answered; only its absence is a failure. */
int client_exchange(struct client *client, const struct request *request, struct response *ret,
	struct err *e) MUST_CHECK;

/* The same, but an answer that is an error fails with its outcome. */
int client_send(struct client *client, const struct request *request, struct response *ret,
	struct err *e) MUST_CHECK;

/* The same, and decodes the answer's body, which must be JSON. */
int client_send_for_json(struct client *client, const struct request *request, json_t **ret,
	struct err *e) MUST_CHECK;

/* Fails with the outcome of an answer's status, and the sentence in its body. */
int client_refusal(struct client *client, const struct request *request,
	const struct response *response, struct err *e);

/* A header of the last answer, valid until the next request, or NULL. */
const char *client_header(struct client *client, const char *name);

/* Appends text as one part of a path. */
void client_escape(struct buffer *path, const char *text);
