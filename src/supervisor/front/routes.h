/*
 * routes.h - the table of everything that the front answers.
 */
#pragma once

#include "supervisor/front/request.h"

enum route_flags {
	ROUTE_EVENT = 1, /* the body is an event: checked to be JSON as it comes, never parsed */
	ROUTE_OPEN = 2,  /* for everybody, see access.h */
	ROUTE_URL = 4,   /* of a function: for whom its owner says */
};

struct route {
	const char *method; /* NULL: any */
	/* "{}" stands for one segment, which is captured; a "*" at the end for any rest. A slash at
	 * the end of a target is ignored. */
	const char *pattern;
	void (*handle)(struct request *request);
	size_t body_max;
	unsigned flags;
};

/* Sets the request's route, captures included, or sends 404 or 405. */
void routes_find(struct request *request);
