/*
 * url_event.h - an HTTP request as the event that a function behind a URL gets: AWS's payload
 * format 2.0.
 */
#pragma once

#include "supervisor/front/request.h"

/*
 * Appends the event up to its body, which url_event_end() appends together with the rest: the first
 * reads the connection, the second may take long and touches only its arguments.
 */
struct url_event {
	struct buffer json;
	bool text; /* the body's content type says that it is text */
};

/* 0, or -E2BIG when there are more headers or parameters than we take. */
int url_event_begin(struct request *request, struct url_event *ret) MUST_CHECK;
void url_event_end(struct url_event *event, const struct buffer *body);
