/*
 * url_reply.h - what a function behind a URL returned, as an HTTP reply.
 *
 * An object with "statusCode" says everything itself: statusCode, headers, cookies, body,
 * isBase64Encoded. Anything else is the body of a 200.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>

struct url_reply {
	unsigned status;
	json_t *document; /* has the headers and cookies; NULL if there are none */
	struct buffer body;
};

/* Whether it is a reply without a structure, which is the body as it is. */
bool url_reply_is_plain(const struct buffer *reply);

/*
 * Reads a reply that is not plain; may take long, and touches only its arguments. 0, or -EBADMSG
 * when it is malformed: a status out of range, a body that is no string or not in base64.
 */
int url_reply_read(const struct buffer *reply, struct url_reply *ret) MUST_CHECK;
void url_reply_done(struct url_reply *reply);

/* Calls add() for every header of the reply, cookies included. */
void url_reply_each_header(const struct url_reply *reply,
	void (*add)(void *data, const char *name, const char *value), void *data);
