/*
 * spawner.h - the small process that makes all others for the supervisor.
 *
 * It is forked when the supervisor is still small and has one thread, so that making a process
 * stays cheap and safe however large the supervisor grows. Everything it makes is a child of the
 * supervisor (CLONE_PARENT), which therefore has every exit status first-hand. The spawner has no
 * state but the prepared root (root.h); the supervisor forks another when it is lost.
 *
 *     supervisor --request + descriptors--> spawner --clone--> function init | runtime | isolate | berth
 *                <------reply: pid---------
 *
 * Both ends are one program, so requests are C structs; nothing of a tenant reaches this socket but
 * strings inside a request.
 */
#pragma once

#include "base/macros.h"
#include "supervisor/launch/root.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#define SPAWN_STRINGS_MAX (96 * 1024)

enum spawn_kind {
	/* The init of a function: PID 1 of its pid namespace, in its root. Strings: the code
	 * directory, then the machine's resolv.conf if that is to be shown. Descriptors: a socket,
	 * over which it sends its pid and mount namespaces as soon as it is up. */
	SPAWN_INIT = 1,
	/* A runtime template, in a root without code. Strings: argv, environment.
	 * Descriptors: control socket, console. */
	SPAWN_RUNTIME,
	/* A runtime process that is an isolate, in the namespaces of a function's init. Strings:
	 * argv, environment. Descriptors: channel, console, /tmp mount, pid and mount namespaces; and
	 * when it is confined a socket for the mapping of its ids (WIRE_MAP_ME), the program of
	 * allowed system calls, and the network namespace to join, if any. */
	SPAWN_ISOLATE,
	/* The namespaces of an isolate (berth.h), in those of a function template. Descriptors: a
	 * socket, over which it sends its pid and mount namespaces, /tmp mount, pid namespace of the
	 * function, pidfd of the template, the program of allowed system calls, and the network
	 * namespace to join, if any. */
	SPAWN_BERTH,
	/* The network helper (network_helper.h). Strings: the private networks that may be
	 * reached. Descriptors: its socket. */
	SPAWN_NETWORK,
};

/* The envelope of an isolate that is made by exec; of a berth: processes and groups. */
struct spawn_envelope {
	bool confined;
	uint32_t processes, descriptors, isolates;
	uint32_t groups;       /* descriptors of control groups to enter; they come last */
	bool groups_directory; /* one, to be made in (v2); else files to write to (v1) */
};

struct spawn_request {
	enum spawn_kind kind;
	uint32_t sequence;
	uint32_t argument_count;    /* strings that are argv (or the code directory) */
	uint32_t environment_count; /* strings behind them that are the environment */
	struct spawn_envelope envelope;
	uint32_t strings_size;
	char strings[SPAWN_STRINGS_MAX]; /* each with its NUL */
};

struct spawn_reply {
	uint32_t sequence;
	int error; /* negative errno, 0 when `pid` exists */
	pid_t pid;
};

/* The size of a request on the wire. */
static inline size_t spawn_request_size(const struct spawn_request *request)
{
	return offsetof(struct spawn_request, strings) + request->strings_size;
}

/* Appends a string to a request: 0 or -E2BIG. */
int spawn_request_add(struct spawn_request *request, const char *text) MUST_CHECK;

/*
 * The life of the spawner, in a process just forked from the supervisor: owns `socket` and
 * `supervisor_pidfd`, closes all other descriptors above 2, sends one spawn_reply with sequence 0
 * when the root is prepared (its sentence is on standard error if not), and never returns.
 */
_Noreturn void spawner_main(int socket, int supervisor_pidfd, const struct root_spec *root);
