/*
 * request.h - one HTTP request from its first line to the last byte of its reply.
 *
 * Belongs to its connection: made when the target is known, freed when libmicrohttpd says that the
 * request is over. A handler is called once, when the body is complete; it prepares a reply and
 * sends it (reply.h), at once or at any time later. Until then the connection is suspended and the
 * request stays valid, whatever the client does.
 *
 *     NEW -> BODY ----> HANDLING -> RUNNING -> READY -> QUEUED
 *        \-> DISCARD       \--------------------^
 *               \-----------------------------------^
 */
#pragma once

#include "base/uuid.h"
#include "supervisor/front/connection.h"
#include "supervisor/front/front_state.h"
#include "wire/json_check.h"

struct change;
struct invocation;
struct route;
struct stream;

#define REQUEST_CAPTURE_MAX 256

enum request_state {
	REQUEST_NEW,
	REQUEST_BODY,     /* the body is coming */
	REQUEST_DISCARD,  /* refused: the rest of the body is read and forgotten */
	REQUEST_HANDLING, /* the handler is being called */
	REQUEST_RUNNING,  /* the connection is suspended */
	REQUEST_READY,    /* there is a reply for libmicrohttpd */
	REQUEST_QUEUED,   /* libmicrohttpd has it */
};

struct request {
	struct front *front;
	struct MHD_Connection *mhd;
	struct connection *connection; /* NULL when memory was out as it began */
	struct list link;              /* in front->requests */
	enum request_state state;
	char id[UUID_SIZE]; /* "" until it is asked for; an invocation brings its own */

	const struct route *route;
	const char *method, *version;      /* libmicrohttpd's, valid as long as this is */
	char *target;                      /* the path as the client wrote it; owned */
	const char *query;                 /* behind its '?', or "" */
	char capture[REQUEST_CAPTURE_MAX]; /* what stands for {} in the route's pattern, decoded */
	const char *rest;                  /* what stands for the * at its end, not decoded */

	struct buffer body;
	size_t body_size, body_counted; /* bytes that came; those in front->body_bytes */
	struct json_check check;        /* of the body, on routes with ROUTE_EVENT */
	bool check_failed;
	bool must_be_signed;
	struct evp_md_ctx_st *digest; /* of the body, where the request must be signed */

	struct MHD_Response *response;
	unsigned status;
	size_t reply_size;
	bool close; /* end the connection behind the reply */

	/* What the request is waiting for, freed or detached with it. */
	struct invocation *invocation;
	struct change *change;
	struct stream *stream;
	struct loop_timer timer;
	struct list waiting;
	void (*ended)(struct request *request); /* for the owner of other state; may be NULL */
	void *state_of_handler;
};

/* What libmicrohttpd calls; the context is the front. */
void *request_begin(void *front, const char *target, struct MHD_Connection *mhd);
enum MHD_Result request_handle(void *front, struct MHD_Connection *mhd, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **context);
void request_end(void *front, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code);

const char *request_id(struct request *request);

/* A header of the request, or NULL. */
const char *request_header(const struct request *request, const char *name);

/* A parameter of the query, decoded: its value, or NULL when it is absent or does not fit. */
const char *request_parameter(
	const struct request *request, const char *name, char *ret, size_t capacity);

/* The reply is prepared: gives it to libmicrohttpd, now or as soon as that asks. */
void request_send(struct request *request, unsigned status);

/* Gives every request that still runs the reply 503, for the end of the front. */
void request_abandon_all(struct front *front);
