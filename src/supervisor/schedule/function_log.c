/*
 * function_log.c - see function_log.h.
 */
#include "supervisor/schedule/function_log.h"

#include "base/usec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void function_log_done(struct function_log *log)
{
	buffer_done(&log->text);
}

/* Half is dropped at once, so that appending stays cheap. */
static void function_log_trim(struct function_log *log)
{
	size_t drop = log->text.size / 2;
	char *newline;

	if (log->text.size <= FUNCTION_LOG_KEEP)
		return;
	newline = memchr(log->text.data + drop, '\n', log->text.size - drop);
	drop = newline ? (size_t)(newline - log->text.data) + 1 : log->text.size;
	log->start += drop;
	buffer_consume(&log->text, drop);
}

void function_log_append(
	struct function_log *log, const char *request_id, const char *line, size_t size)
{
	usec_t now = usec_realtime();
	time_t seconds = (time_t)(now / USEC_PER_SEC);
	char stamp[40];
	struct tm utc;
	size_t n;

	gmtime_r(&seconds, &utc);
	n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(stamp + n, sizeof(stamp) - n, ".%03uZ\t",
		(unsigned)(now % USEC_PER_SEC / USEC_PER_MSEC));
	buffer_append_string(&log->text, stamp);
	buffer_append_string(&log->text, request_id ? request_id : "-");
	buffer_append(&log->text, "\t", 1);
	buffer_append(&log->text, line, size);
	buffer_append(&log->text, "\n", 1);
	/* Without memory the line is lost; the log goes on. */
	log->text.failed = false;
	function_log_trim(log);
}

int function_log_read(struct function_log *log, uint64_t *position, size_t before_end, size_t max,
	struct buffer *ret)
{
	uint64_t end = log->start + log->text.size;
	size_t offset, size;

	if (before_end > 0)
		*position = end - min_of(before_end, log->text.size);
	if (*position < log->start || *position > end)
		*position = *position > end ? end : log->start;
	offset = (size_t)(*position - log->start);
	size = min_of(log->text.size - offset, max);
	if (before_end > 0 && offset > 0 && size > 0) {
		/* The first line is likely cut: begin with a whole one. */
		char *newline = memchr(log->text.data + offset, '\n', size);
		size_t skip = newline ? (size_t)(newline - log->text.data) + 1 - offset : 0;

		offset += skip;
		size -= skip;
	}
	if (size > 0)
		buffer_append(ret, log->text.data + offset, size);
	*position = log->start + offset + size;
	return ret->failed ? -ENOMEM : 0;
}
