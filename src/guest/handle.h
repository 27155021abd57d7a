/*
 * handle.h - what the files of the guest library share: the handle, and the calls between them.
 *
 * The handle belongs to the adapter, which lives in the main thread; everything here runs there. A
 * clone has its own copy of the handle at the same address. Who may do what, and when:
 *
 *     pv_open()        handle.c       the process was just started: R, or an isolate by exec
 *     pv_template()    template.c     parks; serves BECOME (R) or LAUNCH (T) until the end of file
 *       the clone      envelope.c     one thread, no locks, no allocation, up to clone_resume()
 *                      reseed.c, environment.c    the clone with all its threads
 *     pv_next() ...    channel.c      an isolate
 */
#pragma once

/* Everything is hidden but what adapters call. */
#pragma GCC visibility push(default)
#include "polyvisor.h"
#pragma GCC visibility pop

#include "base/err.h"
#include "base/macros.h"
#include "guest/clone/clone.h"
#include "wire/wire.h"

#include <stdbool.h>

#define GUEST_FRAME_MAX 1024 /* fields of what a guest says itself, notes and errors excepted */
#define GUEST_NOTE_MAX 8000  /* bytes of a note that are sent */
#define GUEST_FOLDER_MAX 512 /* of a working directory that a clone can enter by its path */

/* diagram: BOOTING -- first pv_template() --> FUNCTION -- second --> ISOLATE */
enum handle_stage {
	STAGE_BOOTING,
	STAGE_FUNCTION, /* this process knows which function it is */
	STAGE_ISOLATE,
};

/*
 * A request that a template received, in memory mapped for it alone: a clone finds it where the
 * template had it, without an allocation.
 */
struct role {
	unsigned char *data; /* WIRE_CONTROL_MAX bytes, or NULL */
	const unsigned char *fields;
	size_t fields_size;
};

int role_map(struct role *role) MUST_CHECK;
void role_done(struct role *role);
/* Checks the frame of `size` bytes in role->data. 0 and the header, or -EBADMSG. */
int role_decode(struct role *role, size_t size, struct wire_header *ret_header) MUST_CHECK;
/* The value of a WIRE_SETTING, or NULL. */
const char *role_setting(const struct role *role, const char *name);

/* The invocation that is open, and the memory that its event is in. */
struct channel {
	char *data; /* mapped: what a huge event took can be given back */
	size_t capacity;
	size_t fields_size, payload_size;
	uint32_t sequence;
	uint64_t parts, part_bytes;
	bool open;  /* an event was taken and has not been answered */
	bool asked; /* WIRE_IDLE was sent */
};

#define RESEED_MAX 4 /* copies of libcrypto in one process */

/* Where the copies of OpenSSL in this process are; found while the process has all its threads. */
struct reseed {
	struct reseed_library {
		void *primary, *public, *private;
		int (*reseed)(void *drbg, int prediction_resistance, const unsigned char *entropy,
			size_t entropy_size, const unsigned char *additional,
			size_t additional_size);
		int (*poll)(void);
	} libraries[RESEED_MAX];
	size_t count;
};

struct environment {
	char **list; /* NAME=VALUE; environ has the same strings, so they are never freed */
	size_t count;
};

/* The warm-up events of the function's package, while they are asked for. */
struct warmup {
	bool listed;
	int folder;
	struct dirent **names;
	size_t count;
	char *event; /* the last one */
	size_t size;
};

void warmup_done(struct warmup *warmup);

struct pv_handle {
	int fd; /* the socket to the supervisor; has the same number in every clone */
	bool exec;
	bool clone;
	enum handle_stage stage;
	struct role become, launch;
	pid_t template_pids[2]; /* of the processes that this one is a clone of; 0: of none */
	char folder[GUEST_FOLDER_MAX]; /* where isolates work; "": only the kernel can tell */
	bool works_in_tmp; /* the code changed its working directory to /tmp while it was loaded */
	int landlock;      /* a function template's ruleset for its isolates, -1 if there is none */
	struct warmup warmup;
	struct channel channel;
	struct reseed reseed;
	struct clone_rehearsal *rehearsal; /* NULL: the adapter had none */
	struct environment environment;
	char runtime_version[64];
	char log_group[128];
	struct err error;
};

/* Sends a frame without a payload. 0 or -errno. */
int handle_send(struct pv_handle *handle, struct wire_writer *w) MUST_CHECK;
/* Sends the sentence in handle->error as REFUSED for the request with this sequence. */
void handle_refuse(struct pv_handle *handle, uint32_t sequence);
/* Sends a note over any socket; text is cut to GUEST_NOTE_MAX. Safe between fork and resume. */
int note_send(int socket, const char *text, int code);

/* Whether the function is to live in the whole envelope; between a BECOME and its end. */
bool handle_is_confined(struct pv_handle *handle);

/* The function's limit for replies, in bytes. */
size_t handle_reply_limit(struct pv_handle *handle);

/* Reads one frame without a payload from a stream into a role. 0 or -errno. */
int channel_read_role(int fd, struct role *role, struct wire_header *ret_header) MUST_CHECK;
void channel_done(struct channel *channel);

/* Builds the environment of the function and makes it the process's. 0 or -ENOMEM. */
int environment_apply(struct pv_handle *handle) MUST_CHECK;

/* Before a function template parks: whether what it did to its /tmp leaves isolates apart. 0, or a fault that handle->error
 * tells. */
int tmp_check(struct pv_handle *handle) MUST_CHECK;

void reseed_find(struct reseed *reseed);
/* Gives every generator found new entropy. 0 or -EIO. */
int reseed_run(const struct reseed *reseed) MUST_CHECK;

#define ENVELOPE_GROUPS_MAX 4

/* What a clone is made of; descriptors are the clone's to close, -1 where there is none. */
struct envelope {
	struct pv_handle *handle;
	struct clone_template *template;
	uint32_t sequence;
	int pid_namespace, mount_namespace; /* of the function's init; an isolate's: of its berth */
	int socket;                         /* to be the clone's handle->fd */
	int console;
	int tmp;                         /* a mount */
	int cgroup;                      /* v2: a directory to be made in */
	int groups[ENVELOPE_GROUPS_MAX]; /* v1: files to write itself into */
	size_t group_count;
	int system_calls; /* the program of those that are allowed */
	int network;      /* a namespace to join */
};

/*
 * In a clone that has one thread: takes the steps into the place where it is to live, says HELLO.
 * Does not return when one fails: the supervisor is told on the clone's socket, and the clone
 * exits with ENVELOPE_EXIT.
 */
#define ENVELOPE_EXIT 70
void envelope_enter_function(struct envelope *envelope);
void envelope_enter_isolate(struct envelope *envelope);
