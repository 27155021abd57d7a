/*
 * config.h - the configuration of one function: what the API stores and the scheduler obeys.
 *
 * A config is immutable once it is shared, and counted: an update makes a new one. It is the only
 * type that the store, the front and the scheduler have in common. The members follow AWS Lambda's
 * FunctionConfiguration; what Lambda has no member for is a setting, which clients give as a tag
 * named "polyvisor:NAME" (every AWS client can send tags), see config_settings below.
 */
#pragma once

#include "base/buffer.h"
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
#define CONFIG_TMP_MIN_MB 512
#define CONFIG_TMP_MAX_MB 10240
#define CONFIG_TAG_PREFIX "polyvisor:" /* of a tag that is a setting */

/* What Lambda's identifiers need and we have no use for: one region, one account. */
#define CONFIG_REGION "us-east-1"
#define CONFIG_ACCOUNT "000000000000"
#define CONFIG_ARN_PREFIX "arn:aws:lambda:" CONFIG_REGION ":" CONFIG_ACCOUNT ":function:"

struct code;
struct options;

/* What a request for a configuration can come to, apart from 0 and -ENOMEM. */
enum config_outcome {
	CONFIG_INVALID = 1, /* the sentence says which member, and what it may be */
};

enum config_isolation {
	CONFIG_ISOLATION_FUNCTION, /* an isolate serves many invocations, one at a time */
	CONFIG_ISOLATION_REQUEST,  /* a fresh isolate for every invocation */
};

enum config_launch {
	CONFIG_LAUNCH_CLONE,
	CONFIG_LAUNCH_EXEC,
};

enum config_network {
	CONFIG_NETWORK_NONE,   /* its own loopback */
	CONFIG_NETWORK_EGRESS, /* a way out, but not to this machine and its private networks */
	CONFIG_NETWORK_HOST,   /* the machine's, if the supervisor was started so */
};

/* Values of the settings; each has a row, with its bounds and default, in the table in config.c. */
struct config_settings {
	enum config_isolation isolation; /* "isolation": "function" | "request" */
	enum config_launch launch;       /* "launch": "clone" | "exec" */
	enum config_network network;     /* "network": "none" | "egress" | "host" */
	uint32_t concurrency;            /* "concurrency": isolates alive at once */
	uint32_t queue;                  /* "queue": invocations that may wait */
	uint32_t spares;       /* "spares": isolates kept ready that have not served yet */
	uint32_t keep_alive_s; /* "keep-alive": seconds an idle isolate is kept */
	uint32_t log_bytes;    /* "log-bytes": of console output kept per invocation */
	uint32_t reply_bytes;  /* "reply-bytes": largest reply */
	uint32_t processes;    /* "processes": tasks of an isolate, threads included; kernels
				* count no fewer than 301 by isolate, see envelope/namespaces.c */
	uint32_t descriptors;  /* "descriptors": open files of a process */
	uint32_t cpu_percent;  /* "cpu": of one processor, all isolates together; 0: no limit */
	uint32_t warm_up;      /* "warm-up": rounds of the package's warm-up events; 0: none */
};

struct config {
	unsigned references;
	char *name, *runtime, *handler, *role, *description;
	char *code_sha256;    /* 64 hexadecimal digits: the name of the code in the store */
	struct code *code;    /* where that is pinned for as long as this lives, or NULL */
	uint64_t code_size;   /* bytes of the archive as it was uploaded */
	char *revision_id;    /* a UUID; new with every change */
	usec_t last_modified; /* since 1970 */
	uint32_t timeout_s, memory_mb, tmp_mb;
	char **environment;  /* NAME=VALUE, NULL-terminated */
	json_t *tags;        /* object of strings */
	json_t *passthrough; /* members kept for clients but without meaning here (VpcConfig, ...)
			      */
	json_t *url;         /* the function's URL configuration, NULL if it has none */
	struct config_settings settings;
};

struct config *config_ref(struct config *config);
struct config *config_unref(struct config *config);
DEFINE_CLEANUP(struct config *, config_unref)

/* Whether a function can be called that: 1 to CONFIG_NAME_MAX letters, digits, '-' and '_'. */
bool config_name_is_valid(const char *name);

/*
 * Makes the configuration of a new function from a CreateFunction request; the code is given
 * afterwards, by config_set_code(). `options` has the defaults of settings that no tag sets.
 * Whether the runtime exists is the caller's to check. 0, CONFIG_INVALID or -ENOMEM.
 */
int config_create(const struct options *options, const char *name, const json_t *request,
	struct config **ret, struct err *e) MUST_CHECK;

/* Makes the successor of a configuration: with the members of an UpdateFunctionConfiguration
 * request, or as it is when the request is NULL. The same results. */
int config_update(const struct options *options, const struct config *old, const json_t *request,
	struct config **ret, struct err *e) MUST_CHECK;

/* The successor with other tags (an object of strings), and so perhaps with other settings. */
int config_retag(const struct options *options, const struct config *old, json_t *tags,
	struct config **ret, struct err *e) MUST_CHECK;

/* Only before it is shared: 0 or -ENOMEM. Pins the code, which has a pin already, unless `code` is
 * NULL (in tests). sha256 is in hexadecimal digits. */
int config_set_code(
	struct config *config, struct code *code, const char *sha256, uint64_t size) MUST_CHECK;

/* The settings in force, given or not, as a JSON object. */
void config_append_settings(const struct config *config, struct buffer *ret);

/* The FunctionConfiguration that clients see, or NULL when memory is out. */
json_t *config_to_json(const struct config *config);

/* The document that the store keeps, malloc'd, or NULL; and back: 0, CONFIG_INVALID (it is not a
 * document of ours) or -ENOMEM. Settings come from the tags and the options of today. */
char *config_to_document(const struct config *config);
int config_from_document(const struct options *options, struct code *code, const char *document,
	struct config **ret, struct err *e) MUST_CHECK;

/* "1970-01-01T00:00:00.000+0000", the form in which clients expect times. */
#define CONFIG_TIME_SIZE 32
void config_format_time(usec_t t, char ret[static CONFIG_TIME_SIZE]);
