/*
 * config.h - the configuration of one function: what the API stores and the scheduler obeys.
 *
 * A config is immutable once it is shared, and counted: an update makes a new one. It is the only
 * type that the store, the front and the scheduler have in common. The members follow AWS Lambda's
 * FunctionConfiguration; what Lambda has no member for is a setting, which clients give as a tag
 * named "polyvisor:NAME" (every AWS client can send tags), see config_settings below.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "base/usec.h"

#include <jansson.h>
#include <stdbool.h>

#define CONFIG_NAME_MAX 64
#define CONFIG_TIMEOUT_MAX_S 900
#define CONFIG_MEMORY_MIN_MB 128
#define CONFIG_MEMORY_MAX_MB 10240
#define CONFIG_ENVIRONMENT_MAX 4096 /* bytes of all names and values, as on Lambda */
#define CONFIG_PAYLOAD_MAX 6291456  /* bytes of an event, and by default of a reply: 6 MiB */

enum config_isolation {
	CONFIG_ISOLATION_FUNCTION, /* an isolate serves many invocations, one at a time */
	CONFIG_ISOLATION_REQUEST,  /* a fresh isolate for every invocation */
};

enum config_launch {
	CONFIG_LAUNCH_CLONE,
	CONFIG_LAUNCH_EXEC,
};

/* Values of the settings; each has a row, with its bounds and default, in the table in config.c. */
struct config_settings {
	enum config_isolation isolation; /* "isolation": "function" | "request" */
	enum config_launch launch;       /* "launch": "clone" | "exec" */
	uint32_t concurrency;            /* "concurrency": isolates alive at once */
	uint32_t queue;                  /* "queue": invocations that may wait */
	uint32_t spares;       /* "spares": isolates kept ready that have not served yet */
	uint32_t keep_alive_s; /* "keep-alive": seconds an idle isolate is kept */
	uint32_t log_bytes;    /* "log-bytes": of console output kept per invocation */
	uint32_t reply_bytes;  /* "reply-bytes": largest reply */
	uint32_t processes;    /* "processes": tasks of an isolate, threads included */
	uint32_t descriptors;  /* "descriptors": open files of a process */
	uint32_t cpu_percent;  /* "cpu": of one processor; 0 is no limit */
};

struct config {
	unsigned references;
	char *name, *runtime, *handler, *role, *description;
	char *code_sha256;    /* 64 hexadecimal digits: the name of the code in the store */
	uint64_t code_size;   /* bytes of the archive as it was uploaded */
	char *revision_id;    /* a UUID; new with every change */
	usec_t last_modified; /* since 1970 */
	uint32_t timeout_s, memory_mb, tmp_mb;
	char **environment;  /* NAME=VALUE, NULL-terminated */
	json_t *tags;        /* object of strings */
	json_t *passthrough; /* members kept for clients but without meaning here (Layers, ...) */
	struct config_settings settings;
};

struct config *config_ref(struct config *config);
struct config *config_unref(struct config *config);
DEFINE_CLEANUP(struct config *, config_unref)
