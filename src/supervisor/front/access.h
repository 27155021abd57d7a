/*
 * access.h - who may call what: the keys, the rule for each route, TLS.
 *
 * Without keys everybody who can connect may do everything, and so the front listens on the loopback
 * or on a Unix socket only. With keys, every request is signed (signature.h) but those to /healthz and
 * to the URL of a function whose AuthType is NONE.
 */
#pragma once

#include "supervisor/front/front_state.h"

struct request;

/* Reads the keys and the certificate that the options name. 0 or -errno with the sentence. */
int access_open(struct front *front, struct err *e) MUST_CHECK;
void access_close(struct front *front);

/* Refuses an address that strangers reach while there are no keys: 0 or -EPERM with the sentence. */
int access_check_address(
	const struct front *front, const struct sockaddr *address, struct err *e) MUST_CHECK;

/* The digest of a body that comes in pieces, where the request will have to be signed. */
void access_begin(struct request *request);
void access_take(struct request *request, const void *data, size_t size);
void access_end(struct request *request);

/* Whether the request may be handled; if not, it has been answered. */
bool access_allows(struct request *request);
