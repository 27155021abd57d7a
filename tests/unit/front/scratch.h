/*
 * scratch.h - a temporary directory for one test.
 */
#pragma once

/* Makes one and returns its path, which the caller frees after scratch_remove(). */
char *scratch_make(void);
void scratch_remove(char *path);
