/*
 * store.h - what survives: functions and accepted asynchronous invocations, in SQLite.
 *
 * One database, STATE/functions.db, in WAL mode with full synchronisation: a call that returned 0
 * is on the disk, one that did not has left nothing. Every call is made on one thread at a time:
 * while the supervisor starts, the loop thread; from then on, jobs of the supervisor's worker.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "base/usec.h"

struct code;
struct store;
struct worker;

/*
 * Makes the directory where it is not there, locks it against a second supervisor, opens and checks
 * the database. 0 or -errno with the sentence.
 */
int store_new(const char *state, struct store **ret, struct err *e) MUST_CHECK;
struct store *store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free)

/* The code directory of the same state; see code.h. */
struct code *store_code(struct store *store);

/* Functions: a name, the document of config_to_document(), and the digest of the code. */
int store_put(struct store *store, const char *name, const char *document, const char *code,
	struct err *e) MUST_CHECK;
int store_delete(struct store *store, const char *name, struct err *e) MUST_CHECK;

/*
 * Calls each() for every function in order of name, until it returns non-zero, which is returned.
 * Gives the code of each its pin as a stored function's, whatever each() makes of the document.
 */
int store_load(struct store *store, int (*each)(void *data, const char *name, const char *document),
	void *data, struct err *e) MUST_CHECK;

/* An asynchronous invocation that a client was told is accepted. */
struct store_event {
	const char *request_id, *function;
	const char *client_context, *trace_id; /* NULL if none */
	const void *payload;
	size_t payload_size;
	unsigned attempts;  /* that have failed */
	usec_t accepted_at; /* since 1970 */
};

/* One transaction around several event calls: all of them or none. */
int store_begin(struct store *store, struct err *e) MUST_CHECK;
int store_commit(struct store *store, struct err *e) MUST_CHECK;
void store_rollback(struct store *store);

int store_event_put(struct store *store, const struct store_event *event, struct err *e) MUST_CHECK;
int store_event_set_attempts(
	struct store *store, const char *request_id, unsigned attempts, struct err *e) MUST_CHECK;
int store_event_delete(struct store *store, const char *request_id, struct err *e) MUST_CHECK;

/* The whole event, in memory that each() must copy from; 0, -ENOENT, or another fault. */
int store_event_get(struct store *store, const char *request_id,
	int (*each)(void *data, const struct store_event *event), void *data,
	struct err *e) MUST_CHECK;

/* Calls each() for every event, oldest first, without client context, trace and payload. */
int store_event_load(struct store *store, int (*each)(void *data, const struct store_event *event),
	void *data, struct err *e) MUST_CHECK;
