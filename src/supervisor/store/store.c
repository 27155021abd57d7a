/*
 * store.c - see store.h. Statements are prepared once and listed in one table.
 */
#include "supervisor/store/store.h"

#include "base/fd.h"
#include "supervisor/store/code.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define BUSY_TIMEOUT_MS 5000 /* a backup tool may hold the database for a moment */

static const char schema[] =
	"CREATE TABLE functions (name TEXT PRIMARY KEY, document TEXT NOT NULL, code TEXT NOT "
	"NULL) "
	"WITHOUT ROWID;"
	"CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL "
	"UNIQUE, function TEXT NOT NULL, client_context TEXT, trace_id TEXT, payload BLOB NOT "
	"NULL, "
	"attempts INTEGER NOT NULL, accepted_at INTEGER NOT NULL);";

enum statement {
	STATEMENT_PUT,
	STATEMENT_DELETE,
	STATEMENT_LOAD,
	STATEMENT_EVENT_PUT,
	STATEMENT_EVENT_ATTEMPTS,
	STATEMENT_EVENT_DELETE,
	STATEMENT_EVENT_GET,
	STATEMENT_EVENT_LOAD,
	STATEMENT_COUNT
};

static const char *const statement_texts[STATEMENT_COUNT] = {
	[STATEMENT_PUT] = "INSERT INTO functions (name, document, code) VALUES (?1, ?2, ?3) "
			  "ON CONFLICT (name) DO UPDATE SET document = ?2, code = ?3",
	[STATEMENT_DELETE] = "DELETE FROM functions WHERE name = ?1",
	[STATEMENT_LOAD] = "SELECT name, document, code FROM functions ORDER BY name",
	[STATEMENT_EVENT_PUT] =
		"INSERT INTO events (request_id, function, client_context, trace_id, payload, "
		"attempts, accepted_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STATEMENT_EVENT_ATTEMPTS] = "UPDATE events SET attempts = ?2 WHERE request_id = ?1",
	[STATEMENT_EVENT_DELETE] = "DELETE FROM events WHERE request_id = ?1",
	[STATEMENT_EVENT_GET] =
		"SELECT request_id, function, attempts, accepted_at, client_context, trace_id, "
		"payload FROM events WHERE request_id = ?1",
	[STATEMENT_EVENT_LOAD] = "SELECT request_id, function, attempts, accepted_at FROM events "
				 "ORDER BY id",
};

struct store {
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct code *code;
	int lock; /* of the state directory, held for life */
	char path[PATH_MAX];
};

/* What an SQLite result code is among errno values. */
static int store_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

static int store_fault(struct store *store, const char *what, struct err *e)
{
	return err_set(e, store_errno(sqlite3_extended_errcode(store->database)),
		"Could not %s in %s: %s.", what, store->path, sqlite3_errmsg(store->database));
}

static int store_execute(struct store *store, const char *text, const char *what, struct err *e)
{
	if (sqlite3_exec(store->database, text, NULL, NULL, NULL) != SQLITE_OK)
		return store_fault(store, what, e);
	return 0;
}

/* The first column of the first row as text, cut to size; "" when there is none. */
static int store_ask(
	struct store *store, const char *text, char *answer, size_t size, struct err *e)
{
	sqlite3_stmt *statement = NULL;
	int r = 0;

	*answer = '\0';
	if (sqlite3_prepare_v2(store->database, text, -1, &statement, NULL) != SQLITE_OK)
		return store_fault(store, "read", e);
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		snprintf(answer, size, "%s", (const char *)sqlite3_column_text(statement, 0));
		break;
	case SQLITE_DONE:
		break;
	default:
		r = store_fault(store, "read", e);
	}
	sqlite3_finalize(statement);
	return r;
}

static int store_check_integrity(struct store *store, struct err *e)
{
	char answer[256];
	int r = store_ask(store, "PRAGMA quick_check(1)", answer, sizeof(answer), e);

	if (r < 0)
		return r;
	if (strcmp(answer, "ok") != 0)
		return err_set(e, -EUCLEAN,
			"The database %s is damaged (%s): restore it from a backup, or move it "
			"away to start without functions.",
			store->path, answer);
	return 0;
}

static int store_check_version(struct store *store, struct err *e)
{
	char answer[32], text[sizeof(schema) + 64];
	int r = store_ask(store, "PRAGMA user_version", answer, sizeof(answer), e);

	if (r < 0)
		return r;
	if (strcmp(answer, "0") != 0) {
		if (atoi(answer) == SCHEMA_VERSION)
			return 0;
		return err_set(e, -EPROTONOSUPPORT,
			"The database %s has version %s, this polyvisor knows version %d: use the "
			"version of polyvisor that wrote it, or another --state directory.",
			store->path, answer, SCHEMA_VERSION);
	}
	snprintf(text, sizeof(text), "BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;",
		schema, SCHEMA_VERSION);
	return store_execute(store, text, "make the tables", e);
}

/* WAL first: it is a property of the file and decides how everything else is written. */
static int store_configure(struct store *store, struct err *e)
{
	char answer[32];
	int r = store_ask(store, "PRAGMA journal_mode = WAL", answer, sizeof(answer), e);

	if (r < 0)
		return r;
	if (strcmp(answer, "wal") != 0)
		return err_set(e, -ENOTSUP,
			"The file system of %s does not support write-ahead logging: use a local "
			"file system for --state.",
			store->path);
	return store_execute(store,
		"PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; "
		"PRAGMA cache_size = -2000;",
		"configure the database", e);
}

static int store_prepare(struct store *store, struct err *e)
{
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		if (sqlite3_prepare_v3(store->database, statement_texts[i], -1,
			    SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL) != SQLITE_OK)
			return store_fault(store, "read the tables", e);
	return 0;
}

static int store_open_database(struct store *store, struct err *e)
{
	int r;

	if (sqlite3_open_v2(store->path, &store->database,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
			    SQLITE_OPEN_EXRESCODE,
		    NULL) != SQLITE_OK)
		return store_fault(store, "open the database", e);
	sqlite3_busy_timeout(store->database, BUSY_TIMEOUT_MS);
	r = store_configure(store, e);
	if (r == 0)
		r = store_check_integrity(store, e);
	if (r == 0)
		r = store_check_version(store, e);
	return r ? r : store_prepare(store, e);
}

/* mkdir -p; the umask has no say in who may look inside. */
static int make_directory(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];

	if (strlen(path) >= sizeof(part))
		return err_set(e, -ENAMETOOLONG, "The path %.64s... is too long.", path);
	strcpy(part, path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_errno(e, -errno, "Could not make the directory %s", part);
		*slash = '/';
	}
	if (mkdir(path, mode) < 0) {
		if (errno != EEXIST)
			return err_errno(e, -errno, "Could not make the directory %s", path);
	} else if (chmod(path, mode) < 0) {
		return err_errno(e, -errno, "Could not set the mode of %s", path);
	}
	return 0;
}

static int store_lock(struct store *store, const char *state, struct err *e)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/lock", state) >= sizeof(path))
		return err_set(e, -ENAMETOOLONG, "The path %.64s... is too long.", state);
	store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock < 0)
		return err_errno(e, -errno, "Could not open %s", path);
	if (flock(store->lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, -EBUSY,
			"The state directory %s is in use by another polyvisor: end that one, or "
			"give another --state.",
			state);
	return 0;
}

/* Environment variables of functions are in it: for the owner only, like the files SQLite adds. */
static int store_make_file(struct store *store, const char *state, struct err *e)
{
	_cleanup_close_ int fd = -1;

	if ((size_t)snprintf(store->path, sizeof(store->path), "%s/functions.db", state) >=
		sizeof(store->path))
		return err_set(e, -ENAMETOOLONG, "The path %.64s... is too long.", state);
	fd = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, -errno, "Could not open the database %s", store->path);
	return 0;
}

int store_new(const char *state, struct store **ret, struct err *e)
{
	_cleanup_(store_free_cleanup) struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return err_errno(e, -ENOMEM, "Could not open the state directory %s", state);
	store->lock = -1;
	r = make_directory(state, 0711, e);
	if (r == 0)
		r = store_lock(store, state, e);
	if (r == 0)
		r = store_make_file(store, state, e);
	if (r == 0)
		r = store_open_database(store, e);
	if (r == 0)
		r = code_new(state, &store->code, e);
	if (r == 0)
		*ret = take_ptr(store);
	return r;
}

struct store *store_free(struct store *store)
{
	if (!store)
		return NULL;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->database);
	code_free(store->code);
	fd_close(store->lock);
	free(store);
	return NULL;
}

struct code *store_code(struct store *store)
{
	return store->code;
}

/* Runs a statement that has no rows, whose parameters are bound. */
static int store_run(struct store *store, enum statement which, const char *what, struct err *e)
{
	sqlite3_stmt *statement = store->statements[which];
	int r = 0;

	if (sqlite3_step(statement) != SQLITE_DONE)
		r = store_fault(store, what, e);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

/* Binding can fail only for want of memory, and then the statement fails on its constraint. */
static void bind_text(struct store *store, enum statement which, int index, const char *text)
{
	sqlite3_bind_text(store->statements[which], index, text, -1, SQLITE_STATIC);
}

static void bind_number(struct store *store, enum statement which, int index, uint64_t number)
{
	sqlite3_bind_int64(store->statements[which], index, (sqlite3_int64)number);
}

int store_put(struct store *store, const char *name, const char *document, const char *code,
	struct err *e)
{
	bind_text(store, STATEMENT_PUT, 3, code);
	bind_text(store, STATEMENT_PUT, 1, name);
	bind_text(store, STATEMENT_PUT, 2, document);
	return store_run(store, STATEMENT_PUT, "store a function", e);
}

int store_delete(struct store *store, const char *name, struct err *e)
{
	bind_text(store, STATEMENT_DELETE, 1, name);
	return store_run(store, STATEMENT_DELETE, "remove a function", e);
}

int store_load(struct store *store, int (*each)(void *data, const char *name, const char *document),
	void *data, struct err *e)
{
	sqlite3_stmt *statement = store->statements[STATEMENT_LOAD];
	int r = 0, step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
		r = code_pin(store->code, (const char *)sqlite3_column_text(statement, 2));
		if (r == 0)
			r = each(data, (const char *)sqlite3_column_text(statement, 0),
				(const char *)sqlite3_column_text(statement, 1));
	}
	if (r == 0 && step != SQLITE_DONE)
		r = store_fault(store, "read the functions", e);
	sqlite3_reset(statement);
	return r;
}

int store_begin(struct store *store, struct err *e)
{
	return store_execute(store, "BEGIN IMMEDIATE", "begin a transaction", e);
}

int store_commit(struct store *store, struct err *e)
{
	return store_execute(store, "COMMIT", "store the changes", e);
}

void store_rollback(struct store *store)
{
	if (!sqlite3_get_autocommit(store->database))
		sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
}

int store_event_put(struct store *store, const struct store_event *event, struct err *e)
{
	bind_text(store, STATEMENT_EVENT_PUT, 1, event->request_id);
	bind_text(store, STATEMENT_EVENT_PUT, 2, event->function);
	bind_text(store, STATEMENT_EVENT_PUT, 3, event->client_context);
	bind_text(store, STATEMENT_EVENT_PUT, 4, event->trace_id);
	sqlite3_bind_blob64(store->statements[STATEMENT_EVENT_PUT], 5, event->payload,
		event->payload_size, SQLITE_STATIC);
	bind_number(store, STATEMENT_EVENT_PUT, 6, event->attempts);
	bind_number(store, STATEMENT_EVENT_PUT, 7, event->accepted_at);
	return store_run(store, STATEMENT_EVENT_PUT, "store an event", e);
}

int store_event_set_attempts(
	struct store *store, const char *request_id, unsigned attempts, struct err *e)
{
	bind_text(store, STATEMENT_EVENT_ATTEMPTS, 1, request_id);
	bind_number(store, STATEMENT_EVENT_ATTEMPTS, 2, attempts);
	return store_run(store, STATEMENT_EVENT_ATTEMPTS, "update an event", e);
}

int store_event_delete(struct store *store, const char *request_id, struct err *e)
{
	bind_text(store, STATEMENT_EVENT_DELETE, 1, request_id);
	return store_run(store, STATEMENT_EVENT_DELETE, "remove an event", e);
}

static void read_event(sqlite3_stmt *statement, struct store_event *event)
{
	*event = (struct store_event){
		.request_id = (const char *)sqlite3_column_text(statement, 0),
		.function = (const char *)sqlite3_column_text(statement, 1),
		.attempts = (unsigned)sqlite3_column_int64(statement, 2),
		.accepted_at = (usec_t)sqlite3_column_int64(statement, 3),
	};
	if (sqlite3_column_count(statement) <= 4)
		return;
	event->client_context = (const char *)sqlite3_column_text(statement, 4);
	event->trace_id = (const char *)sqlite3_column_text(statement, 5);
	event->payload = sqlite3_column_blob(statement, 6);
	event->payload_size = (size_t)sqlite3_column_bytes(statement, 6);
}

static int store_each_event(struct store *store, enum statement which,
	int (*each)(void *data, const struct store_event *event), void *data, struct err *e)
{
	sqlite3_stmt *statement = store->statements[which];
	int r = 0, step = SQLITE_DONE;
	struct store_event event;

	while (r == 0 && (step = sqlite3_step(statement)) == SQLITE_ROW) {
		read_event(statement, &event);
		r = each(data, &event);
	}
	if (r == 0 && step != SQLITE_DONE)
		r = store_fault(store, "read the events", e);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

int store_event_load(struct store *store, int (*each)(void *data, const struct store_event *event),
	void *data, struct err *e)
{
	return store_each_event(store, STATEMENT_EVENT_LOAD, each, data, e);
}

struct found_event {
	int (*each)(void *data, const struct store_event *event);
	void *data;
	bool found;
};

static int found_event_each(void *data, const struct store_event *event)
{
	struct found_event *found = data;

	found->found = true;
	return found->each(found->data, event);
}

int store_event_get(struct store *store, const char *request_id,
	int (*each)(void *data, const struct store_event *event), void *data, struct err *e)
{
	struct found_event found = { .each = each, .data = data };
	int r;

	bind_text(store, STATEMENT_EVENT_GET, 1, request_id);
	r = store_each_event(store, STATEMENT_EVENT_GET, found_event_each, &found, e);
	if (r == 0 && !found.found)
		return err_set(e, -ENOENT, "There is no event %s in %s.", request_id, store->path);
	return r;
}
