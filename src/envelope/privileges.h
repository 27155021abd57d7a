/*
 * privileges.h - steps that a process takes once to be less than it was: capabilities, identity,
 * limits, Landlock, seccomp.
 *
 * Used by a clone on its way into a function (guest) and by a runtime process that is started there
 * by exec (supervisor), while it has one thread: all of it is per thread in the kernel, and
 * inherited by threads made later. Only system calls: no allocation, no lock. Each returns 0 or
 * -errno.
 */
#pragma once

#include "base/macros.h"

#include <sys/types.h>

#define ENVELOPE_UID 1000 /* of a function's processes, as they see it */

/* Sets the effective and permitted capabilities to `keep` (a mask of 1 << CAP_x), the rest to none.
 */
int capabilities_set(uint64_t keep) MUST_CHECK;

/* Empties the bounding set, so that no exec can give a capability. */
int capabilities_drop_bounding(void) MUST_CHECK;

/* Becomes ENVELOPE_UID with the capabilities of `keep` left, and no new privileges ever. */
int privileges_keep(uint64_t keep) MUST_CHECK;

/*
 * The same with CAP_SYS_ADMIN and CAP_SYS_CHROOT left (in the process's own user namespace), and
 * dumpable, since a change of identity made it not: its isolates need their own /proc/self.
 */
int privileges_drop(void) MUST_CHECK;

/* Limits of 0 are not set. Core dumps are off. */
int limits_set(uint64_t processes, uint64_t descriptors) MUST_CHECK;

/*
 * A Landlock ruleset under which everything stays as the mounts allow it but device nodes, and
 * under which neither signals nor abstract sockets reach beyond its domain (scopes need
 * Linux 6.12). *ret_fd: close-on-exec, the caller's; -1 where the kernel has no Landlock.
 */
int landlock_make(int *ret_fd) MUST_CHECK;
int landlock_enter(int ruleset) MUST_CHECK;

/* Installs the BPF program that `fd` holds (struct sock_filter, back to back). */
int seccomp_install(int fd) MUST_CHECK;
