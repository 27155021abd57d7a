/*
 * network_resolvers.h - which DNS servers this machine asks, as functions can ask them.
 *
 * Functions are told of resolvers at addresses of the hub's own, and the hub's rules send their
 * questions on to these: so a change on the machine reaches functions that run already.
 */
#pragma once

#include "base/macros.h"

#include <netinet/in.h>
#include <stdbool.h>

#define RESOLVERS_MAX 2

struct resolvers {
	struct in_addr addresses[RESOLVERS_MAX];
	unsigned count; /* 0: there is none that IPv4 reaches */
	/* The only one there is listens on the machine's loopback, where nobody else reaches it:
	 * pasta asks it, over UDP only. */
	bool loopback;
};

/* From the text of a resolv.conf(5): those that are not on the loopback, else the first that is. */
void resolvers_parse(const char *text, struct resolvers *ret);

/* Those of this machine; of systemd-resolved, which listens on the loopback, those that it asks. */
void resolvers_read(struct resolvers *ret);

bool resolvers_equal(const struct resolvers *a, const struct resolvers *b);
