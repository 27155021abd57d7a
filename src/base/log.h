/*
 * log.h - the program's own messages, for its operator, one line each on standard error.
 *
 * Only the supervisor's top level and the command line log; everything below returns an error. The
 * output of functions never passes here.
 */
#pragma once

#include "base/macros.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Process-wide; set once by main() before any other thread exists. */
void log_set_level(enum log_level level);

void log_message(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)
