/*
 * console.h - the supervisor's end of a guest's standard output and error, line by line.
 *
 * A pipe. Lines longer than CONSOLE_LINE_MAX are cut into several. The guest never waits for long:
 * everything is read, whatever the owner makes of it, but at most CONSOLE_READS times in
 * CONSOLE_WINDOW: a guest that writes line after line would wake the supervisor for each of them.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"
#include "base/usec.h"
#include "supervisor/loop/loop.h"

#define CONSOLE_LINE_MAX (16 * 1024)
#define CONSOLE_READS 4
#define CONSOLE_WINDOW (2 * USEC_PER_MSEC)

struct console;

typedef void (*console_line_fn)(struct console *console, const char *line, size_t size);

struct console {
	struct loop *loop;
	struct loop_source source;
	console_line_fn line; /* without the newline */
	struct buffer partial;
	usec_t window;  /* when it began */
	unsigned reads; /* in it */
	struct loop_timer pause;
};

/* Takes over the read end. 0 or -errno, the descriptor is closed then. */
int console_init(
	struct console *console, struct loop *loop, int fd, console_line_fn line) MUST_CHECK;
void console_done(struct console *console);

/* Reads what is there now, at most a bounded amount; to be called when a reply has come, since what
 * the handler printed before it is in the pipe by then. */
void console_drain(struct console *console);

/* Delivers an unfinished last line too. */
void console_flush(struct console *console);
