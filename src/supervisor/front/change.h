/*
 * change.h - a request that changes a function, on its way to the store.
 *
 *     change_read()     the body becomes a document (large ones on the deployer)
 *     change_code()     its archive becomes code in the store (on the deployer)
 *     change_commit()   the new configuration is stored (on the supervisor's worker), then the
 *                       registry has it, then the request is answered
 *
 * Each step calls the next function on the loop thread, or answers the request with what failed. A
 * function with a commit on its way refuses another, as Lambda does; steps before the commit hold
 * nothing, so what they have found out about the function is looked at again afterwards.
 */
#pragma once

#include "supervisor/front/request.h"
#include "supervisor/store/code.h"
#include "supervisor/store/config.h"

#include <jansson.h>

struct change;

typedef void (*change_fn)(struct change *change);

struct change {
	struct request *request;
	struct job job;
	change_fn next;
	int result; /* of the job */
	struct err err;

	json_t *document; /* the body; an empty object when there was none */
	char *archive;    /* in base64, then decoded, inside the request's body; NULL if none */
	size_t archive_size;

	char digest[CODE_DIGEST_SIZE]; /* of the code that the change brings; "" if none */
	bool pinned;                   /* by this change */

	char name[CONFIG_NAME_MAX + 1];
	struct config *config; /* to be committed; NULL: the function is to be removed */
	char *stored;          /* its document */
	struct list link;      /* in front->changing during the commit */
};

/* Begins a change, which belongs to the request from then on. */
void change_read(struct request *request, change_fn next);

/* The same for a request whose body means nothing: next() is called at once. */
void change_begin(struct request *request, change_fn next);

/* The archive of the document, which is there, becomes digest and archive_size. */
void change_code(struct change *change, change_fn next);

/* Stores change->config, or removes change->name. */
void change_commit(struct change *change, change_fn next);

struct change *change_free(struct change *change);
