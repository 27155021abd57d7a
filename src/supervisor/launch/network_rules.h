/*
 * network_rules.h - what functions may reach: the nftables rules of the hub.
 *
 * They are loaded once, into the hub's network namespace, and name no function: an interface is a
 * function's by its name. What changes with the machine is in a set (its own addresses) and a map
 * (its resolvers). The machine's own rules are never touched.
 *
 *     function pvN --> forward: never the machine, link-local, another function, nor private
 *                      networks that were not allowed --> tap --> pasta --> the machine's network
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "base/macros.h"
#include "supervisor/launch/network_resolvers.h"

#include <netinet/in.h>

/* In the hub, of 100.64.0.0/10, which routers outside do not carry. */
#define RULES_GATEWAY 0x64400001u  /* of every function; nobody has it */
#define RULES_HUB 0x64400002u      /* of the hub's end of the tap, the source of all that leaves */
#define RULES_UPLINK 0x64400003u   /* of pasta, which has any */
#define RULES_RESOLVER 0x64400004u /* pasta's stand-in for a resolver on the machine's loopback */
#define RULES_NAMESERVERS 0x64400035u /* what functions ask: 100.64.0.53 and .54 (root.c) */
#define RULES_FUNCTIONS 0x64400100u
#define RULES_FUNCTIONS_END 0x64800000u

/* "10.1.0.0/16,192.168.7.1": 0, or -EINVAL with the sentence. */
int rules_check_networks(const char *networks, struct err *e) MUST_CHECK;

struct rules {
	const char *nft; /* path of the program */
	int network;     /* the hub's namespace, where it runs */
};

/* The rules, with private networks that may be reached all the same (checked; NULL for none). 0 or
 * -errno. May be called again. */
int rules_load(const struct rules *where, const char *allowed, struct err *e) MUST_CHECK;

/* The set and the map, all at once. `local`: prefixes with commas behind them. */
int rules_update(const struct rules *where, const struct buffer *local,
	const struct resolvers *resolvers, struct err *e) MUST_CHECK;
