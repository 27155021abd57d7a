/*
 * network.h - which network a function has: none, a way out only, or the machine's.
 *
 *     none      an empty network namespace, which the function's template makes itself
 *     egress    one with a way out and no way in (network_rules.h), which the helper makes
 *     host      the machine's
 *
 * The helper (network_helper.h) is started with the supervisor if egress is what functions have by
 * default, else when the first function asks for it; and again when it is lost, which takes the
 * namespaces that it made with it.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/macros.h"
#include "supervisor/launch/processes.h"
#include "supervisor/loop/loop.h"
#include "supervisor/store/config.h"

#include <stdbool.h>

struct network;
struct network_place;

struct network_options {
	bool unconfined;     /* functions have the machine's, and nothing is attached */
	bool egress;         /* what functions have by default */
	bool host;           /* may be had at all */
	const char *allowed; /* private networks that may be reached, or NULL; borrowed */
};

/* 0 or -errno with the sentence. Both objects outlive it. */
int network_new(struct loop *loop, struct processes *processes,
	const struct network_options *options, struct network **ret, struct err *e) MUST_CHECK;
struct network *network_free(struct network *network);

/* What functions have by default and why, without a full stop; changes when the helper has news. */
const char *network_describe(const struct network *network);

/* A deployment's place in the network. Zeroed but for `fd` before the first use. */
struct network_place {
	int fd;                   /* the namespace to join; -1: an empty one of its own */
	enum config_network mode; /* what it has: none where egress cannot be had */
	/* It is there; or (e) it cannot be had. Called once, perhaps before network_attach() returns. */
	void (*attached)(struct network_place *place, const struct err *e);
	/* The helper took it with it; it is detached already. */
	void (*lost)(struct network_place *place);
	bool ready;        /* attached() said so */
	uint32_t sequence; /* of the request that is under way; 0: none */
	struct network *network;
	struct loop_timer limit;
	struct list link;
};

#define NETWORK_PLACE_INIT                                                                         \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* The functions of `place` are set. Not while it is attached. */
void network_attach(struct network *network, struct network_place *place, enum config_network mode);

/* Gives it up, or the wait for it; harmless when there is none. Processes inside keep it alive. */
void network_detach(struct network_place *place);
