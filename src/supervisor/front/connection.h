/*
 * connection.h - one client's connection, and how long it may take for what it is doing.
 *
 * libmicrohttpd ends a connection on which nothing happens. A client that sends one byte now and
 * then is something happening, so every phase has a deadline here as well: for the head of a
 * request (the idle time before it included), for its body and for taking the reply in proportion
 * to their size. While the supervisor works on the request there is none.
 *
 * A client that will send no more is noticed here too: libmicrohttpd does not see the end of a
 * stream that arrives together with the last bytes of an incomplete request.
 */
#pragma once

#include "supervisor/front/front_state.h"

#define CONNECTION_IDLE_SECONDS 60                 /* between requests, and for the head of one */
#define CONNECTION_END_GRACE (500 * USEC_PER_MSEC) /* to take what came before the end */
#define CONNECTION_BYTES_PER_SECOND (8 * 1024)     /* the least that a client must do */

struct connection {
	struct front *front;
	int fd;                 /* libmicrohttpd's */
	struct loop_source end; /* tells that the client has sent its last byte */
	usec_t deadline;
	bool busy;   /* a request is being received, answered or sent */
	bool paused; /* nothing is expected from the client */
	bool half_closed;
	struct list link;
};

/* What libmicrohttpd calls when a connection begins and ends. */
void connection_notify(void *front, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code);

struct connection *connection_of(struct MHD_Connection *mhd);

/* A request's head has come: its body of `size` bytes so far is under way. */
void connection_expect_body(struct connection *connection, size_t size);

/* Nothing is expected from the client. */
void connection_pause(struct connection *connection);

/* A reply of that size is on its way. */
void connection_expect_reading(struct connection *connection, size_t size);

/* The request is done, the next may come. */
void connection_expect_request(struct connection *connection);

/* Ends it at that time, unless a request has come by then: that one is answered first. */
void connection_drain(struct connection *connection, usec_t at);

/* Ends the connection: libmicrohttpd notices that the socket was shut down. */
void connection_shut(struct connection *connection);
