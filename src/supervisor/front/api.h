/*
 * api.h - what the operations of Lambda's API have in common.
 */
#pragma once

#include "supervisor/front/change.h"
#include "supervisor/front/reply.h"
#include "supervisor/schedule/function.h"

/* The function that the request's path and Qualifier name, or NULL, and 404 or 400 is sent. */
struct function *api_find(struct request *request);

/* The same where the query is the function's own. */
struct function *api_find_by_path(struct request *request);

/* The same for a change that has come back from a step: by change->name. */
struct function *api_find_again(struct change *change);

/* Whether the function has the revision that the document asks for, if it does; else 412 is sent.
 */
bool api_check_revision(struct change *change, const struct config *config);

/* Whether change->config could be made (r is what that came to) and its runtime exists; else an
 * error is sent. */
bool api_check_config(struct change *change, int r);

/* Answers with the function's configuration. */
void api_reply_config(struct request *request, unsigned status, const struct config *config);

/* Makes the template now if the request asks for it: "?warm=1". */
void api_warm_if_asked(struct request *request, const char *name);
