/*
 * network_links.h - interfaces, addresses and routes by rtnetlink: what the network helper does once
 * per function, without a program to execute for it.
 *
 * A batch collects requests and hands them to the kernel in one system call, in the network namespace
 * that the caller is in then. Interfaces are made with a number that the caller chose, so that later
 * requests of the same batch can name them.
 */
#pragma once

#include "base/macros.h"

#include <netinet/in.h>
#include <stdbool.h>

#define LINKS_BATCH_MAX 2048 /* bytes; a function's side of its pair takes 400 */
#define LINKS_MTU 65520 /* the largest that pasta takes: it ends TCP, so no smaller one is met */

struct links_batch {
	_Alignas(8) char data[LINKS_BATCH_MAX];
	size_t size;
	unsigned count; /* requests, each of which the kernel answers */
};

struct links_end {
	const char *name;
	int index;
	unsigned char mac[6];
};

/* A pair of virtual interfaces: one here, up, its peer in the namespace `peer_namespace`, down. */
void links_add_pair(struct links_batch *batch, const struct links_end *here,
	const struct links_end *peer, int peer_namespace);

/* Raises an interface that exists; mtu 0 keeps what it has. */
void links_raise(struct links_batch *batch, int index, unsigned mtu);

/* Gives an interface an address that stands alone (/32). */
void links_add_address(struct links_batch *batch, int index, struct in_addr address);

/* To `to`, or (INADDR_ANY) to everywhere, by a gateway that need not be in a subnet, or (INADDR_ANY)
 * directly. */
void links_add_route(
	struct links_batch *batch, int index, struct in_addr to, struct in_addr gateway);

/* Who has an address, for good: neighbours that are learnt share one table of the whole machine,
 * which a thousand functions would fill. */
void links_add_neighbour(struct links_batch *batch, int index, struct in_addr address,
	const unsigned char mac[static 6]);

/* 0, or the -errno of the first request that failed; the batch is empty afterwards. */
int links_run(struct links_batch *batch) MUST_CHECK;

/* A socket that is readable when the IPv4 routes of this namespace have changed. 0 or -errno. */
int links_watch(int *ret_fd) MUST_CHECK;
void links_drain(int fd);

/* A socket to ask this namespace with, from wherever the caller is later. 0 or -errno. */
int links_open(int *ret_fd) MUST_CHECK;

/* Calls `each` for every prefix that the namespace of the socket delivers to itself, its loopback and
 * its addresses above all. 0 or -errno. */
typedef void (*links_local_fn)(void *data, struct in_addr address, unsigned bits);
int links_for_each_local(int socket_fd, links_local_fn each, void *data) MUST_CHECK;
