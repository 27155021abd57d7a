/*
 * network_hub.h - the network namespace that the pairs of all functions meet in, and its way out.
 *
 * The way out is one `pasta` (of the package passt): an unprivileged process of the machine that
 * makes a socket of its own for every connection of the hub. So the machine's firewall, routes and
 * forwarding stay as they are, and what works as root works without.
 *
 *     function: eth0 100.64.x.y --- hub: pvN ... rules ... tap 100.64.0.2 --- pasta --- machine
 *
 * Pasta takes 20 MB, so it is there only once a function sends something out (network_uplink.c).
 *
 * The hub has a user namespace around it, whose owner pasta is: so it may enter without any right. As
 * root that is an id which nothing else has, since pasta refuses to be root; else it is the
 * supervisor's. A process of that id, the holder, keeps both namespaces and is how pasta finds them.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "base/macros.h"
#include "supervisor/host/egress.h"
#include "supervisor/launch/network_resolvers.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>

struct hub {
	struct egress_tools tools;
	const char *allowed; /* private networks that may be reached, or NULL */
	bool root;           /* not in a user namespace */
	bool mounted;
	int machine_link, machine_watch; /* netlink sockets of the machine's network */
	int network;                     /* the hub's namespace, -1 before there is one */
	pid_t holder, uplink;            /* 0: there is none */
	int uplink_pidfd;
	int uplink_complaints; /* what pasta says */
	int tap;               /* watched while there is no pasta; else -1 */
	/* What the rules know of the machine. */
	bool refreshed;
	struct resolvers resolvers;
	struct buffer local; /* its own prefixes, with commas behind them */
	uint32_t next;       /* number of the next function */
};

/* What is missing on this machine for a hub, as the sentence; 0 or -errno. Changes nothing. */
int hub_check(struct hub *hub, struct err *e) MUST_CHECK;

/* Builds it, without a way out. The caller is the init of a pid namespace and has a mount namespace of
 * its own. 0 or -errno with the sentence; may be tried again. */
int hub_build(struct hub *hub, struct err *e) MUST_CHECK;

/* Starts pasta and waits until it is at the tap. 0 or -errno. */
int hub_connect(struct hub *hub, struct err *e) MUST_CHECK;

/* Ends pasta, if it has not ended yet; its words are the sentence. */
void hub_disconnect(struct hub *hub, struct err *e);

/* Ends pasta and watches the tap: it is readable once somebody sends something out. 0 or -errno. */
int hub_rest(struct hub *hub, struct err *e) MUST_CHECK;

/* Connects again, and sends on what was sent meanwhile. 0 or -errno. */
int hub_wake(struct hub *hub, struct err *e) MUST_CHECK;

/* Empties pasta's pipe, which nobody waits for. */
void hub_drain_complaints(struct hub *hub);

/* Lets a child do it in the hub: who has entered that as an ordinary user may not come back to the
 * machine's network. 0 or the -errno of the work. */
int hub_run(struct hub *hub, int (*work)(struct hub *hub, void *data), void *data) MUST_CHECK;

/* Gives up root for the id of the hub's own. 0 or -errno. */
int hub_become_nobody_else(const struct hub *hub) MUST_CHECK;

/* Reads what the machine's addresses and resolvers are, and tells the rules of a change. 0 or -errno. */
int hub_refresh(struct hub *hub, struct err *e) MUST_CHECK;

/* Makes a network namespace with a way to the hub and no other. 0 or -errno. */
int hub_attach(struct hub *hub, int *ret_network) MUST_CHECK;
