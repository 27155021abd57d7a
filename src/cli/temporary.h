/*
 * temporary.h - folders that exist as long as a command needs them.
 */
#pragma once

#include "base/err.h"

/* Makes a new folder, its name starting with prefix, in TMPDIR or /tmp. */
int temporary_make(const char *prefix, char **ret, struct err *e) MUST_CHECK;

/* Removes the folder with all that is in it, and frees the path. NULL is fine. What cannot be
 * removed stays. Stays on one file system, so that nothing mounted there is emptied. */
void temporary_remove(char *path);
