/*
 * rootless.h - the supervisor as an ordinary user: root of a user namespace of its own.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

/*
 * In a user and a mount namespace of its own the caller is root, with its own user as the only one
 * there is. While the process has one thread. 0 or -errno with the sentence.
 */
int rootless_enter(struct err *e) MUST_CHECK;
