/*
 * namespaces.h - steps into the namespaces of a function and what is set up inside them.
 *
 * As privileges.h: one thread, system calls only, 0 or -errno. In the order in which they are
 * taken:
 *
 *     namespaces_join(mnt, net)      the mounts that the function's init made, the network it may
 * use namespaces_own(...)            user, mount, ipc, uts, net (where none was joined), cgroup
 *                                    from here on every mount is locked; the ids are not mapped yet
 *     ... the supervisor maps the ids ...
 *     namespaces_furnish(...)        loopback, host name, no further namespaces of most kinds
 *     namespaces_make_tmp(...)       a /tmp for the code while it loads; isolates cover it with theirs
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

/* network: -1 for none. Both descriptors stay the caller's. */
int namespaces_join(int mounts, int network) MUST_CHECK;
int namespaces_join_network(int network) MUST_CHECK;

/* Afterwards the caller has all capabilities in a user namespace of its own, and unmapped ids. */
int namespaces_own(bool network) MUST_CHECK;

/* Needs mapped ids. `isolates`: how many of them may have namespaces at once. */
int namespaces_furnish(bool network, unsigned isolates) MUST_CHECK;

/* Needs mapped ids, and CAP_SYS_ADMIN over the mounts. */
int namespaces_make_tmp(unsigned megabytes) MUST_CHECK;

/*
 * Bounds the tasks of the caller's pid namespace, whose /proc is mounted, by their highest number: a
 * limit of its own for every isolate, which RLIMIT_NPROC (a count by user) cannot be. Up to 300 more
 * live at once until as many have been made, since the kernel gives out the first 300 numbers only once.
 * Harmless before Linux 6.14, where the number is not a namespace's.
 */
int namespaces_limit_tasks(unsigned tasks) MUST_CHECK;
