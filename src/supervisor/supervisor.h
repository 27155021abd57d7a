/*
 * supervisor.h - the daemon as a whole: the options it was started with and what it owns.
 *
 * The supervisor owns the loop, the worker, the store, the registry, the runtimes and the front,
 * made in that order and ended in the opposite one.
 */
#pragma once

#include "base/err.h"
#include "base/usec.h"

#include <stdbool.h>

struct front;
struct loop;
struct network;
struct registry;
struct runtimes;
struct scheduler;
struct store;
struct worker;
struct processes;
struct cgroups;

/* As given on the command line; the table in options.c has names, defaults and meanings. */
struct options {
	const char *listen;     /* ADDR:PORT, or unix:PATH */
	const char *state;      /* directory, made if it is not there */
	const char *runtimes;   /* directory with one folder per language */
	const char *library;    /* directory with libpolyvisor.so */
	uint64_t memory_budget; /* bytes for templates and isolates; 0: half of the machine */
	uint32_t keep_alive_s;  /* default of the functions */
	uint32_t template_keep_alive_s;
	uint32_t spares;        /* default of the functions */
	uint32_t concurrency;   /* isolates alive at once, all functions together */
	bool isolation_request; /* a fresh isolate for every request, all functions */
	bool strict;            /* refuse to start where isolation would be weaker than it can be */
	bool launch_exec;       /* launch = exec for all functions */
	bool envelope_off;      /* only to measure what the envelope costs */
	uint32_t first_uid;     /* of 65536 for functions, when the supervisor is root */
	uint32_t rotate_functions; /* function templates of one runtime template */
	uint32_t rotate_seconds;   /* its age */
	bool network_none;         /* default of the functions; else egress */
	bool allow_host_network;   /* functions may ask for network = host */
	const char *egress_allow;  /* private networks that functions may reach, or NULL */
	const char *keys;          /* file of access keys; NULL: requests are not signed */
	const char *tls_certificate, *tls_key; /* PEM files; both or none */
	const char *secrets; /* directory with one file of variables per function, or NULL */
	const char *cgroups; /* auto, v2, v1 or none */
	const char *warm;    /* comma-separated runtimes whose templates are made at start; "all" */
};

struct supervisor {
	struct options options;
	struct loop *loop;
	struct worker *worker;
	struct worker
		*keeper; /* a second one, for what waits for the kernel: control groups, and the
				* measuring of memory */
	struct cgroups *cgroups;
	struct store *store;
	struct processes *processes;
	struct runtimes *runtimes;
	struct network *network;
	struct registry *registry;
	struct front *front;
	int system_calls;          /* the program of those that functions may make; -1: none yet */
	bool rootless;             /* an ordinary user's, in a user namespace of its own */
	uint64_t payloads_refused; /* requests whose body was too large */
	bool stopping;             /* the loop has ended, and everything else is about to */
	bool draining;             /* SIGTERM: take no new invocations, finish what runs */
};

/* `polyvisor serve`: returns the exit code of the program. argv[0] is "serve". */
int supervisor_main(int argc, char **argv);
