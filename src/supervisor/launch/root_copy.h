/*
 * root_copy.h - copies of small host files for the root of functions.
 *
 * Each mount of a root is copied for every isolate, at about 1.5 microseconds (measured on Linux
 * 6.18); a file in the root's own tmpfs is not. So what is small is copied once, when the
 * supervisor starts: changes that the host makes to it are seen after a restart.
 */
#pragma once

#include "base/macros.h"

#include <stddef.h>

/*
 * Copies the file, the symbolic link or the folder with all in it from `source` to `target`, whose
 * parent exists. Only what everybody may read is copied, and neither devices nor sockets; all of it
 * belongs to the caller. *room is what is left of the bytes that may be copied. 0, -EFBIG, or
 * another -errno.
 */
int root_copy(const char *source, const char *target, size_t *room) MUST_CHECK;
