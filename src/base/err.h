/*
 * err.h - the one sentence that a user reads about a failure.
 *
 * Functions that can fail return `int r`: 0 is success, a negative errno is a fault, a positive
 * value is a named outcome of that module. Where a person will read about the fault, the function
 * takes a `struct err *` as well and fills in the sentence at the place where the reason is known:
 * what failed, on which object, why, and what to do. The caller owns the struct.
 */
#pragma once

#include "base/macros.h"

#define ERR_TEXT_MAX 512

struct err {
	int code;                /* negative errno, 0 while nothing has failed */
	char text[ERR_TEXT_MAX]; /* one sentence, NUL-terminated, cut if it is too long */
};

/* Stores code and sentence; returns code, so that `return err_set(e, -EIO, ...)` works. e may be
 * NULL. */
int err_set(struct err *e, int code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Like err_set(), with ": " and the description of code appended to the sentence. */
int err_errno(struct err *e, int code, const char *format, ...) PRINTF_LIKE(3, 4);
