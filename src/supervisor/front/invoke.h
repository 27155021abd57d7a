/*
 * invoke.h - what invocations by HTTP have in common: Invoke, streams and function URLs.
 */
#pragma once

#include "supervisor/front/api.h"
#include "supervisor/schedule/invocation.h"

/*
 * Makes the request's invocation of an event, which is taken over (NULL: memory is out), and hands
 * it to the function; or answers with why not. done() is called with owner = the request, which is
 * then not waiting any more; the request frees the invocation.
 */
void invoke_start(struct request *request, struct function *function, struct buffer *event,
	void (*done)(struct invocation *invocation));

/* The same with members of the invocation prepared by the caller; for those that need more. */
struct invocation *invoke_prepare(struct request *request, struct buffer *event);
void invoke_submit(struct request *request, struct function *function,
	struct invocation *invocation, void (*done)(struct invocation *invocation));

/* The request does not wait any more: the invocation is freed when it is done. */
void invoke_detach(struct request *request);

/* Adds the headers that every reply to an invocation has, and sends. */
void invoke_send(struct request *request, const struct invocation *invocation, unsigned status);

/* Answers for an invocation that was throttled or could not be run. */
void invoke_reply_refused(struct request *request, const struct invocation *invocation);

/* Whether the body is JSON or empty; an empty one becomes {}. Else 400 is sent. */
bool invoke_take_event(struct request *request, struct buffer *ret);
