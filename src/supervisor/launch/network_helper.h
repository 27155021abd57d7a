/*
 * network_helper.h - the process that makes the networks of functions, so that the supervisor waits
 * for none of it.
 *
 * A child of the supervisor and the init of a pid namespace of its own, in which pasta and what holds
 * the hub (network_hub.h) live: when it ends, however it ends, they end. It knows of no function: a
 * namespace that it made goes, with its pair, when the last process and descriptor of it are gone.
 *
 *     supervisor --network_request--> helper
 *                <--network_report--- an answer with the namespace, or news
 *
 * Both ends are one program; nothing of a tenant reaches this socket.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include <stdbool.h>

struct child;

struct network_request {
	uint32_t sequence;
};

struct network_report {
	uint32_t sequence;       /* of the request; 0: news */
	int error;               /* of a request */
	bool available;          /* news: whether functions can have a way out */
	bool fault;              /* news: what is wrong follows */
	char text[ERR_TEXT_MAX]; /* news: who resolves names, or what is wrong, for people */
};

/* In a process just cloned by the spawner into a pid and a mount namespace of its own. Descriptors of
 * the request: the socket. Strings: the private networks that may be reached, or "". */
_Noreturn void network_helper_run(struct child *child);
