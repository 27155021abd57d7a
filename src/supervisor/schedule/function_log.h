/*
 * function_log.h - the log of one function: its most recent lines, in memory.
 *
 * Each line is stored as "TIME\tREQUEST-ID\tTEXT\n", "-" where no invocation is meant. The oldest
 * lines go when the log is full; positions count bytes of the whole history, so that a reader who
 * follows notices what it missed.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"

#define FUNCTION_LOG_KEEP (256 * 1024)

struct function_log {
	struct buffer text;
	uint64_t start; /* position of the first byte that is kept */
};

void function_log_done(struct function_log *log);
void function_log_append(
	struct function_log *log, const char *request_id, const char *line, size_t size);

/* See function_read_log(). 0 or -ENOMEM. */
int function_log_read(struct function_log *log, uint64_t *position, size_t before_end, size_t max,
	struct buffer *ret) MUST_CHECK;
