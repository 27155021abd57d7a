/*
 * root.h - the file system that a function sees: a small root assembled from read-only binds.
 *
 * Built by a child of the spawner in a mount namespace of its own, from paths of the trusted host
 * only. A runtime template is started in the same layout, without the code, so that every path it
 * has remembered is right in its clones as well:
 *
 *     /usr                     the host's, read-only; /bin, /lib ... are links into it
 *     /etc                     copies of chosen files
 *     /dev                     null zero full random urandom; fd, shm -> /tmp
 *     /proc                    of the pid namespace that owns the mount
 *     /var/runtime/<language>  the adapters, read-only
 *     /var/lib/polyvisor        a copy of libpolyvisor.so
 *     /var/task                the tenant's code, read-only
 *     /tmp                     empty; every isolate mounts its own over it
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#define ROOT_EXTRA_MAX 8

struct root_spec {
	const char *mount_point; /* an existing empty directory of the host */
	const char *runtimes;    /* host directory with one folder per language */
	const char *library;     /* host directory with libpolyvisor.so */
	const char *code;        /* host directory for /var/task, or NULL */
	const char
		*extra[ROOT_EXTRA_MAX]; /* host directories to show at their own path; NULL ends */
};

/* In the spawner, whose mount namespace is its own. 0 or -errno with the sentence. */
int root_prepare(const struct root_spec *spec, struct err *e) MUST_CHECK;

/* In a child with a copy of that namespace: shows the host directory `code` (or NULL) at /var/task and
 * the file `resolver` (or NULL), if it exists, as /etc/resolv.conf, mounts /proc of the child's pid
 * namespace and makes the root "/". 0 or -errno with the sentence. */
int root_enter(const struct root_spec *spec, const char *code, const char *resolver,
	struct err *e) MUST_CHECK;
