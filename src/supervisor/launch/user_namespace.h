/*
 * user_namespace.h - maps the ids of a function's user namespace, which only somebody outside it can.
 */
#pragma once

#include "base/macros.h"

#include <sys/types.h>

struct processes;

/*
 * In the user namespace of the process `pid`, which must be a child of the supervisor: ENVELOPE_UID
 * (user and group) is `uid` outside, and nothing else exists. 0 or -errno.
 */
int user_namespace_map(struct processes *processes, pid_t pid, uid_t uid) MUST_CHECK;
