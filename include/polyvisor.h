/*
 * polyvisor.h - what a language adapter may call. The library is libpolyvisor.so.
 *
 * The library is a guest in the process of a language runtime: it never exits, prints or aborts,
 * and starts no thread of its own between calls. All calls are made from one thread, the one that
 * made the handle, which is the main thread of the process. Strings are UTF-8 and NUL-terminated;
 * pointers that a call returns stay valid until the next pv_next() on the handle, unless it says
 * otherwise. Every int result is 0 on success, a positive PV_ value for a named outcome, or a
 * negative errno, and pv_last_error() then has the sentence.
 *
 * The life of an adapter:
 *
 *     boot the runtime, import what every function needs
 *     pv_open(&pv)
 *     pv_rehearse(pv, 1), events as in the loop below, pv_rehearse(pv, 0)
 *     pv_template(pv)                  runtime template; returns in a clone that is to be a function
 *     load the handler, run before-snapshot hooks
 *     pv_template(pv)                  function template; returns in isolates
 *     run after-restore hooks, reseed
 *     while (pv_next(pv, ...) == 0)
 *         pv_reply(pv, ...) or pv_fail(pv, ...)
 *
 * Where the runtime is launched by exec instead of being cloned, both pv_template() calls return at
 * once, and an adapter notices no difference.
 */
#ifndef POLYVISOR_H
#define POLYVISOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PV_API_VERSION 1

typedef struct pv_handle pv_handle;

enum {
	PV_CLOSED = 1, /* pv_next: the supervisor wants no more of this process; return and exit */
	PV_TOO_LARGE = 2, /* pv_reply: larger than the function's limit; nothing was sent */
};

/* The version of the interface that the library implements, PV_API_VERSION of its build. */
int pv_api_version(void);

/*
 * Connects to the supervisor over the descriptor that it left for this process. The handle belongs
 * to the caller; pv_close() frees it. -ENOTCONN when the process was not started by a supervisor.
 */
int pv_open(pv_handle **ret_handle);
void pv_close(pv_handle *handle);

/* The sentence about the last failure on this handle; never NULL. */
const char *pv_last_error(pv_handle *handle);

/* Tells the supervisor the runtime's own version, such as "3.11.2"; before the first pv_template().
 */
int pv_set_runtime_version(pv_handle *handle, const char *version);

/*
 * An adapter that has booted its runtime calls this with 1, runs what every invocation runs, and
 * calls it with 0. The pages of the program and its libraries that were used meanwhile are mapped in
 * clones from the start, and no others. Only speed depends on it, so it may be left out.
 */
int pv_rehearse(pv_handle *handle, int begin);

/*
 * Parks every other thread and serves clone requests; returns 0 only in clones. The first call
 * makes the runtime template, the second the function template. A negative result is a process that
 * could not be parked: the adapter returns from main, the supervisor has the reason.
 */
int pv_template(pv_handle *handle);

/*
 * What this process is to be, valid after the first pv_template(): "name", "handler", "task_root",
 * "version", "memory_mb", "arn", "log_group", "log_stream", or a setting's name. NULL when there is
 * no such attribute. Valid for the life of the handle.
 */
const char *pv_function(pv_handle *handle, const char *attribute);

/*
 * The function's environment, one "NAME=VALUE" per index from 0, NULL past the last. The library
 * has already put them into environ; an adapter copies them where its language keeps its own.
 */
const char *pv_environment(pv_handle *handle, size_t index);

/*
 * 1 when this process is a clone, 0 when it was started by exec: only a clone has to run
 * after-restore hooks and to reseed what the language keeps.
 */
int pv_is_clone(pv_handle *handle);

/*
 * The code of the function did not load. json is the error payload of the language ("errorType",
 * "errorMessage", "stackTrace"); type is its errorType. The adapter returns from main afterwards.
 */
int pv_init_failed(pv_handle *handle, const char *type, const char *json, size_t size);

/* Writes a sentence to the function's log. */
int pv_note(pv_handle *handle, const char *text);

/*
 * The warm-up events of the function, by index from 0, in order; 0 and the event, which stays valid until
 * the next call, or -ENOENT past the last. They come with the function's package, see
 * docs/lifecycle-hooks.md; there are none by exec.
 */
int pv_warmup(pv_handle *handle, size_t index, const void **ret_event, size_t *ret_size);

/*
 * Waits for the next event. 0 and the event, which stays valid until the next call; PV_CLOSED; or a
 * fault, after which the adapter returns from main.
 */
int pv_next(pv_handle *handle, const void **ret_event, size_t *ret_size);

/*
 * An attribute of the current invocation: "request_id", "deadline_ms" (milliseconds since 1970),
 * "arn", "client_context" (JSON), "identity" (JSON), "trace_id", "tenant_id", "stream" ("1" when a
 * streamed reply is accepted). NULL when it is not there. Valid until the next pv_next().
 */
const char *pv_invocation(pv_handle *handle, const char *attribute);

/*
 * Ends the current invocation with a reply. content_type may be NULL for application/json.
 * PV_TOO_LARGE when the reply exceeds the function's limit: the invocation is then still open.
 */
int pv_reply(pv_handle *handle, const void *data, size_t size, const char *content_type);

/* Sends a part of a streamed reply; pv_reply() with the last part (or none) ends it. */
int pv_reply_part(pv_handle *handle, const void *data, size_t size, const char *content_type);

/* Ends the current invocation with an error; json and type as for pv_init_failed(). */
int pv_fail(pv_handle *handle, const char *type, const char *json, size_t size);

/* Fills data with bytes from the kernel's generator, different in every clone. */
int pv_random(void *data, size_t size);

/*
 * Reaps children that the process never started itself: an isolate is PID 1 of its own namespace,
 * so orphans of its children come to it. Processes in `known` (count of them) are left alone.
 * Called by adapters between invocations.
 */
int pv_reap(pv_handle *handle, const int *known, size_t count);

#ifdef __cplusplus
}
#endif

#endif
