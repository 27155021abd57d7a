/*
 * signature.h - who calls: AWS Signature Version 4 of a request, verified against configured keys.
 *
 * Every AWS client signs, so that keys on the server are all it takes. The algorithm is that of the
 * AWS documentation, "Create a signed AWS API request"; only signatures in the Authorization header
 * are taken, with the body's digest.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "base/usec.h"

#include <stdbool.h>

#define SIGNATURE_CLOCK_SKEW                                                                       \
	(300 * USEC_PER_SEC)     /* a captured request is worth no more than this */
#define SIGNATURE_DIGEST_SIZE 65 /* SHA-256 in hexadecimal, and the NUL */

struct keys;

/* Reads "ACCESS-KEY-ID SECRET-ACCESS-KEY" lines ('#' begins a comment) of a file that only its owner
 * can read. 0 or -errno with the sentence, which never holds a secret. */
int keys_load(const char *path, struct keys **ret, struct err *e) MUST_CHECK;
struct keys *keys_free(struct keys *keys);
DEFINE_CLEANUP(struct keys *, keys_free)

/* The secret of an access key, or NULL; borrowed. */
const char *keys_secret(const struct keys *keys, const char *id);

struct signed_request {
	const char *method;
	const char *target; /* the path as the client wrote it */
	const char *query;  /* as the client wrote it, without '?'; "" if none */
	const char *body_digest;
	usec_t now;                                                /* since 1970 */
	const char *(*header)(const void *data, const char *name); /* NULL when there is none */
	const void *data;                                          /* of header() */
};

enum signature_outcome {
	SIGNATURE_MISSING = 1, /* the request is not signed */
	SIGNATURE_INVALID,     /* the sentence says why, as far as a stranger may know */
};

/* 0 when the request was signed with one of the keys, an outcome, or -ENOMEM. */
int signature_verify(
	const struct keys *keys, const struct signed_request *request, struct err *e) MUST_CHECK;
