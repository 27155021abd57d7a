/*
 * console.c - see console.h.
 */
#include "supervisor/launch/console.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONSOLE_READ (64 * 1024) /* what a pipe holds by default */

static void console_split(struct console *c, const char *data, size_t size)
{
	while (size > 0) {
		const char *newline = memchr(data, '\n', size);
		size_t n = newline ? (size_t)(newline - data) : size;

		n = min_of(n, CONSOLE_LINE_MAX - c->partial.size);
		if (c->partial.size == 0 && newline && n == (size_t)(newline - data)) {
			c->line(c, data, n);
		} else {
			buffer_append(&c->partial, data, n);
			if ((newline && n == (size_t)(newline - data)) ||
				c->partial.size == CONSOLE_LINE_MAX)
				console_flush(c);
		}
		if (newline && n == (size_t)(newline - data))
			n++;
		data += n;
		size -= n;
	}
}

/* 1: there may be more, 0: nothing now, -1: the writers are gone. */
static int console_read(struct console *c)
{
	char data[CONSOLE_READ];
	ssize_t n = read(c->source.fd, data, sizeof(data));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	console_split(c, data, (size_t)n);
	return c->source.added && n == sizeof(data);
}

static void console_go_on(struct loop_timer *timer)
{
	struct console *c = container_of(timer, struct console, pause);

	if (c->source.added && loop_modify(c->loop, &c->source, EPOLLIN) < 0 &&
		loop_timer_set(c->loop, timer, usec_monotonic() + CONSOLE_WINDOW, console_go_on) <
			0)
		loop_remove(c->loop, &c->source);
}

/* The pipe takes what is written meanwhile. */
static void console_pause_if_busy(struct console *c)
{
	usec_t now = usec_monotonic();

	if (now - c->window >= CONSOLE_WINDOW) {
		c->window = now;
		c->reads = 0;
	}
	if (++c->reads < CONSOLE_READS)
		return;
	if (loop_timer_set(c->loop, &c->pause, c->window + CONSOLE_WINDOW, console_go_on) == 0 &&
		loop_modify(c->loop, &c->source, 0) < 0)
		loop_timer_cancel(c->loop, &c->pause);
}

static void console_ready(struct loop_source *source, uint32_t events)
{
	struct console *c = container_of(source, struct console, source);

	(void)events;
	/* At the end only the source goes: the owner still flushes the last line. */
	if (console_read(c) < 0)
		loop_remove(c->loop, &c->source);
	else if (c->source.added)
		console_pause_if_busy(c);
}

int console_init(struct console *c, struct loop *loop, int fd, console_line_fn line)
{
	int r;

	*c = (struct console){ .loop = loop, .line = line };
	c->source.fd = fd;
	r = fd_set_nonblocking(fd, true);
	if (r == 0)
		r = loop_add(loop, &c->source, fd, EPOLLIN, console_ready);
	if (r < 0)
		c->source.fd = fd_close(fd);
	return r;
}

void console_drain(struct console *c)
{
	int r = 1;

	for (int i = 0; i < 4 && c->source.added && r > 0; i++)
		r = console_read(c);
	if (r < 0)
		loop_remove(c->loop, &c->source);
}

void console_flush(struct console *c)
{
	if (c->partial.size == 0)
		return;
	c->line(c, c->partial.data, c->partial.size);
	c->partial.size = 0;
	if (c->partial.capacity > CONSOLE_LINE_MAX)
		buffer_done(&c->partial);
}

void console_done(struct console *c)
{
	if (!c->loop)
		return;
	loop_remove(c->loop, &c->source);
	loop_timer_cancel(c->loop, &c->pause);
	c->source.fd = fd_close(c->source.fd);
	buffer_done(&c->partial);
	c->loop = NULL;
}
