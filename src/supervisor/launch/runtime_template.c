/*
 * runtime_template.c - see runtime_template.h.
 */
#include "supervisor/launch/runtime_template.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/launch/manifest.h"
#include "supervisor/launch/runtime.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct runtime_template *runtime_template_free(struct runtime_template *t)
{
	if (!t)
		return NULL;
	processes_spawn_cancel(&t->spawn);
	loop_timer_cancel(t->loop, &t->limit);
	loop_defer_cancel(t->loop, &t->ending);
	channel_done(&t->control);
	console_done(&t->console);
	process_abandon(&t->process);
	free(t);
	return NULL;
}

static void template_lost(struct loop_deferred *deferred)
{
	struct runtime_template *t = container_of(deferred, struct runtime_template, ending);

	t->events->lost(t, &t->failure);
}

/* At the end of the turn, since the owner frees the template and the caller still uses it. */
static void template_end(struct runtime_template *t)
{
	if (t->ended)
		return;
	t->ended = true;
	console_drain(&t->console);
	console_flush(&t->console);
	if (t->last_line[0] && !t->ready && !t->failure.code)
		err_set(&t->failure, -ECHILD, "the runtime %s did not start: %s", t->manifest->name,
			t->last_line);
	else if (!t->failure.code)
		err_set(&t->failure, -ECHILD, "the runtime template of %s ended",
			t->manifest->name);
	loop_defer(t->loop, &t->ending, template_lost);
}

static void template_refused(struct runtime_template *t, const struct channel_frame *frame)
{
	const char *text = wire_find(frame->fields, frame->header.fields_size, WIRE_MESSAGE);
	struct err e = { 0 };

	err_set(&e, -ECHILD, "%s", text ? text : "the runtime template refused to be cloned");
	if (frame->header.sequence) {
		t->events->refused(t, frame->header.sequence, &e);
		return;
	}
	t->failure = e;
	template_end(t);
}

static void template_became_ready(struct runtime_template *t, const struct channel_frame *frame)
{
	const char *version =
		wire_find(frame->fields, frame->header.fields_size, WIRE_RUNTIME_VERSION);

	t->ready = true;
	t->ready_at = usec_monotonic();
	t->thread_count =
		wire_find_number(frame->fields, frame->header.fields_size, WIRE_THREADS, 0);
	snprintf(t->version, sizeof(t->version), "%s", version ? version : "");
	loop_timer_cancel(t->loop, &t->limit);
	t->events->ready(t);
}

static void template_frame(struct channel *channel, const struct channel_frame *frame)
{
	struct runtime_template *t = container_of(channel, struct runtime_template, control);
	const char *text = wire_find(frame->fields, frame->header.fields_size, WIRE_MESSAGE);

	switch (frame->header.type) {
	case WIRE_READY:
		if (!t->ready)
			template_became_ready(t, frame);
		break;
	case WIRE_REFUSED:
		template_refused(t, frame);
		break;
	case WIRE_NOTE:
		log_info("runtime %s: %s", t->manifest->name, text ? text : "");
		break;
	default:
		break;
	}
}

static void template_closed(struct channel *channel, int reason)
{
	struct runtime_template *t = container_of(channel, struct runtime_template, control);

	(void)reason;
	channel_done(channel);
	process_kill(&t->process);
	template_end(t);
}

static const struct channel_events template_channel_events = {
	.frame = template_frame,
	.closed = template_closed,
};

static void template_line(struct console *console, const char *line, size_t size)
{
	struct runtime_template *t = container_of(console, struct runtime_template, console);

	snprintf(t->last_line, sizeof(t->last_line), "%.*s", (int)min_of(size, (size_t)255), line);
	log_info("runtime %s: %s", t->manifest->name, t->last_line);
}

static void template_exited(struct process *process, int status)
{
	struct runtime_template *t = container_of(process, struct runtime_template, process);

	(void)status;
	channel_drain(&t->control);
	template_end(t);
}

static void template_spawned(struct spawn *spawn, pid_t pid)
{
	struct runtime_template *t = container_of(spawn, struct runtime_template, spawn);
	int r = pid;

	if (pid > 0)
		r = process_adopt(t->processes, &t->process, pid, template_exited);
	if (r < 0) {
		err_errno(&t->failure, r, "cannot start the runtime %s", t->manifest->name);
		template_end(t);
	}
}

static void template_expired(struct loop_timer *timer)
{
	struct runtime_template *t = container_of(timer, struct runtime_template, limit);

	err_set(&t->failure, -ETIMEDOUT, "the runtime %s was not ready within %llu seconds",
		t->manifest->name, (unsigned long long)(RUNTIME_START_LIMIT / USEC_PER_SEC));
	process_kill(&t->process);
	template_end(t);
}

static int template_spawn(struct runtime_template *t)
{
	_cleanup_close_ int guest_control = -1, guest_console = -1;
	struct spawn_request *request = processes_request(t->processes, SPAWN_RUNTIME);
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	guest_control = pair[1];
	r = channel_init(&t->control, t->loop, pair[0], false, 0, &template_channel_events);
	if (r < 0)
		return r;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	guest_console = pair[1];
	r = console_init(&t->console, t->loop, pair[0], template_line);
	if (r == 0)
		r = manifest_fill_request(t->manifest, "template", request);
	if (r < 0)
		return r;
	return processes_spawn(t->processes, &t->spawn,
		(const int[]){ guest_control, guest_console }, 2, template_spawned);
}

int runtime_template_new(const struct manifest *manifest, struct loop *loop,
	struct processes *processes, const struct runtime_template_events *events, void *owner,
	struct runtime_template **ret)
{
	struct runtime_template *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->manifest = manifest;
	t->loop = loop;
	t->processes = processes;
	t->events = events;
	t->owner = owner;
	t->process.pidfd = -1;
	t->started_at = usec_monotonic();
	r = loop_timer_set(loop, &t->limit, t->started_at + RUNTIME_START_LIMIT, template_expired);
	if (r == 0)
		r = template_spawn(t);
	if (r < 0) {
		runtime_template_free(t);
		return r;
	}
	*ret = t;
	return 0;
}
