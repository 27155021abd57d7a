/*
 * isolate.c - see isolate.h.
 */
#include "supervisor/launch/isolate.h"

#include "base/fd.h"
#include "supervisor/launch/manifest.h"
#include "supervisor/launch/user_namespace.h"
#include "wire/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ISOLATE_LAUNCH_LIMIT (10 * USEC_PER_SEC)
/* A part of a streamed reply has no limit of its own; above that of replies there is room to tell. */
#define ISOLATE_PAYLOAD_LEAST (16 * 1024 * 1024)
#define ISOLATE_PAYLOAD_ROOM (1024 * 1024)

/* Only one that serves has anything to say at length; the others cannot make us keep it for them. */
static void isolate_set_state(struct isolate *isolate, enum isolate_state state)
{
	size_t most = isolate->reply_bytes + ISOLATE_PAYLOAD_ROOM;

	isolate->state = state;
	isolate->channel.payload_max =
		state == ISOLATE_BUSY ? max_of(most, (size_t)ISOLATE_PAYLOAD_LEAST) : 0;
	if (state != ISOLATE_BUSY)
		channel_hold(&isolate->channel, false);
}

void isolate_hold(struct isolate *isolate, bool on)
{
	if (isolate->state == ISOLATE_BUSY)
		channel_hold(&isolate->channel, on);
}

static void isolate_free(struct isolate *isolate)
{
	processes_spawn_cancel(&isolate->spawn);
	loop_timer_cancel(isolate->loop, &isolate->limit);
	loop_defer_cancel(isolate->loop, &isolate->freeing);
	channel_done(&isolate->channel);
	channel_done(&isolate->mapping);
	console_done(&isolate->console);
	process_abandon(&isolate->process);
	berth_free(isolate->berth);
	buffer_done(&isolate->end_json);
	free(isolate);
}

static void isolate_freeing(struct loop_deferred *deferred)
{
	isolate_free(container_of(deferred, struct isolate, freeing));
}

void isolate_abandon(struct isolate *isolate)
{
	process_kill(&isolate->process);
	isolate_set_state(isolate, ISOLATE_ENDING);
	channel_done(&isolate->channel);
	console_done(&isolate->console);
	processes_spawn_cancel(&isolate->spawn);
	process_abandon(&isolate->process);
	isolate->berth = berth_free(isolate->berth);
	loop_defer(isolate->loop, &isolate->freeing, isolate_freeing);
}

static void isolate_describe_end(struct isolate *isolate)
{
	int status = isolate->end.status;

	if (isolate->end.text[0])
		return;
	if (isolate->end.malformed)
		snprintf(isolate->end.text, sizeof(isolate->end.text),
			"Runtime sent a malformed message");
	else if (status & 0x7f)
		snprintf(isolate->end.text, sizeof(isolate->end.text),
			"Runtime exited with error: signal: %s", strsignal(status & 0x7f));
	else if (status >> 8 & 0xff)
		snprintf(isolate->end.text, sizeof(isolate->end.text),
			"Runtime exited with error: exit status %d", status >> 8 & 0xff);
	else
		snprintf(isolate->end.text, sizeof(isolate->end.text),
			"Runtime exited without providing a reason");
}

static void isolate_gone(struct loop_deferred *deferred)
{
	struct isolate *isolate = container_of(deferred, struct isolate, freeing);

	isolate_describe_end(isolate);
	isolate->end.type = isolate->end_type;
	isolate->end.json = &isolate->end_json;
	isolate->events->gone(isolate, &isolate->end);
	isolate_free(isolate);
}

/* What it wrote before it died has been read: tell the owner at the end of the turn. */
static void isolate_finish(struct isolate *isolate)
{
	isolate_set_state(isolate, ISOLATE_ENDING);
	loop_timer_cancel(isolate->loop, &isolate->limit);
	console_drain(&isolate->console);
	console_flush(&isolate->console);
	channel_done(&isolate->channel);
	loop_defer(isolate->loop, &isolate->freeing, isolate_gone);
}

/* Its process first, even where a berth would take it along: a hostile template may have made it
 * elsewhere, and a caller who waits for a reply waits for one kill only. */
static void isolate_kill_rest(struct isolate *isolate)
{
	if (isolate->process.pid)
		process_kill(&isolate->process);
	else if (isolate->berth)
		berth_end(isolate->berth);
	else
		isolate_finish(isolate);
}

static void isolate_exited(struct process *process, int status)
{
	struct isolate *isolate = container_of(process, struct isolate, process);

	isolate->end.status = status;
	if (!isolate->end.by_us && !isolate->end.malformed)
		channel_drain(&isolate->channel);
	channel_done(&isolate->channel);
	isolate_set_state(isolate, ISOLATE_ENDING);
	loop_timer_cancel(isolate->loop, &isolate->limit);
	isolate_kill_rest(isolate);
}

/* Ends it; the exit status follows if there is a process that we know. */
static void isolate_kill(struct isolate *isolate)
{
	if (isolate->state == ISOLATE_ENDING)
		return;
	isolate_set_state(isolate, ISOLATE_ENDING);
	loop_timer_cancel(isolate->loop, &isolate->limit);
	channel_done(&isolate->channel);
	isolate_kill_rest(isolate);
}

/* With everything in it, of which the isolate's process may not have been reaped yet. */
static void isolate_berth_ended(struct berth *berth)
{
	struct isolate *isolate = berth->owner;

	isolate->berth = berth_free(berth);
	if (isolate->state == ISOLATE_ENDING)
		isolate_kill_rest(isolate);
	else
		isolate_kill(isolate);
}

void isolate_end(struct isolate *isolate)
{
	isolate->end.by_us = true;
	isolate_kill(isolate);
}

void isolate_refused(struct isolate *isolate, const struct err *e)
{
	snprintf(isolate->end.text, sizeof(isolate->end.text), "%.127s", e->text);
	isolate_kill(isolate);
}

static void isolate_broke_protocol(struct isolate *isolate)
{
	isolate->end.malformed = true;
	isolate_kill(isolate);
}

static void isolate_said_hello(struct isolate *isolate, const struct channel_frame *frame)
{
	if (isolate->process.pid ||
		process_adopt(
			isolate->processes, &isolate->process, frame->sender, isolate_exited) < 0 ||
		channel_expect_sender(&isolate->channel, false) < 0)
		isolate_broke_protocol(isolate);
}

static void isolate_said_idle(struct isolate *isolate)
{
	isolate->idle_at = usec_monotonic();
	isolate->end.had_launched = true;
	loop_timer_cancel(isolate->loop, &isolate->limit);
	isolate_set_state(isolate, isolate->event_sent ? ISOLATE_BUSY : ISOLATE_IDLE);
	isolate->events->idle(isolate);
}

static void isolate_said_init_failed(struct isolate *isolate, const struct channel_frame *frame)
{
	const char *type = wire_find(frame->fields, frame->header.fields_size, WIRE_ERROR_TYPE);
	const char *json = wire_find(frame->fields, frame->header.fields_size, WIRE_MESSAGE);

	isolate->end.init_failed = true;
	snprintf(isolate->end_type, sizeof(isolate->end_type), "%s", type ? type : "Unknown");
	buffer_append_string(&isolate->end_json, json ? json : "{}");
	isolate_kill(isolate);
}

static void isolate_said_reply(struct isolate *isolate, const struct channel_frame *frame)
{
	size_t size = frame->header.fields_size;
	struct isolate_reply reply = {
		.failed = frame->header.type == WIRE_FAIL,
		.error_type = wire_find(frame->fields, size, WIRE_ERROR_TYPE),
		.content_type = wire_find(frame->fields, size, WIRE_CONTENT_TYPE),
		.payload = frame->payload,
		.payload_size = frame->payload_size,
		.memory_kb = wire_find_number(frame->fields, size, WIRE_MEMORY_KB, 0),
	};

	if (frame->header.sequence != isolate->event_sequence) {
		isolate_broke_protocol(isolate);
		return;
	}
	if (frame->header.type == WIRE_PART) {
		isolate->events->part(isolate, &reply);
		return;
	}
	/* Lines that the handler wrote before it replied are in the pipe, and are this event's. */
	console_drain(&isolate->console);
	console_flush(&isolate->console);
	isolate->served++;
	isolate_set_state(isolate, ISOLATE_IDLE);
	isolate->events->replied(isolate, &reply);
}

/* A line for the log; with an error it is why a launch fails, which the caller is to hear. */
static void isolate_note(struct isolate *isolate, const struct channel_frame *frame)
{
	size_t size = frame->header.fields_size;
	const char *text = wire_find(frame->fields, size, WIRE_MESSAGE);

	if (!text)
		return;
	isolate->events->line(isolate, text, strlen(text));
	if (isolate->state == ISOLATE_LAUNCHING &&
		wire_find_number(frame->fields, size, WIRE_ERRNO, 0))
		snprintf(isolate->end.text, sizeof(isolate->end.text), "%.127s", text);
}

static void isolate_frame(struct channel *channel, const struct channel_frame *frame)
{
	struct isolate *isolate = container_of(channel, struct isolate, channel);
	uint16_t type = frame->header.type;

	if (type == WIRE_NOTE) {
		isolate_note(isolate, frame);
	} else if (type == WIRE_HELLO && isolate->state == ISOLATE_LAUNCHING) {
		isolate_said_hello(isolate, frame);
	} else if (type == WIRE_IDLE && isolate->state == ISOLATE_LAUNCHING &&
		   isolate->process.pid) {
		isolate_said_idle(isolate);
	} else if (type == WIRE_INIT_FAILED && isolate->state == ISOLATE_LAUNCHING) {
		isolate_said_init_failed(isolate, frame);
	} else if ((type == WIRE_REPLY || type == WIRE_FAIL || type == WIRE_PART) &&
		   isolate->state == ISOLATE_BUSY) {
		isolate_said_reply(isolate, frame);
	} else {
		isolate_broke_protocol(isolate);
	}
}

static void isolate_closed(struct channel *channel, int reason)
{
	struct isolate *isolate = container_of(channel, struct isolate, channel);

	if (reason < 0)
		isolate->end.malformed = true;
	isolate_kill(isolate);
}

static const struct channel_events isolate_channel_events = {
	.frame = isolate_frame,
	.closed = isolate_closed,
};

static void isolate_line(struct console *console, const char *line, size_t size)
{
	struct isolate *isolate = container_of(console, struct isolate, console);

	isolate->events->line(isolate, line, size);
}

static void isolate_expired(struct loop_timer *timer)
{
	struct isolate *isolate = container_of(timer, struct isolate, limit);

	snprintf(isolate->end.text, sizeof(isolate->end.text), "Init timed out after %.2f seconds",
		(double)(usec_monotonic() - isolate->launched_at) / USEC_PER_SEC);
	isolate_kill(isolate);
}

static int isolate_new(struct loop *loop, struct processes *processes, struct kit *kit,
	usec_t limit, const struct isolate_events *events, struct isolate **ret)
{
	struct isolate *isolate = calloc(1, sizeof(*isolate));
	int r;

	if (!isolate)
		return -ENOMEM;
	isolate->events = events;
	isolate->loop = loop;
	isolate->processes = processes;
	isolate->process.pidfd = -1;
	isolate->launched_at = usec_monotonic();
	list_init(&isolate->link);
	r = channel_init(
		&isolate->channel, loop, take_fd(&kit->channel), true, 0, &isolate_channel_events);
	if (r == 0)
		r = channel_expect_sender(&isolate->channel, true);
	if (r == 0)
		r = console_init(&isolate->console, loop, take_fd(&kit->console), isolate_line);
	if (r == 0)
		r = loop_timer_set(
			loop, &isolate->limit, isolate->launched_at + limit, isolate_expired);
	if (r < 0) {
		isolate_free(isolate);
		return r;
	}
	*ret = isolate;
	return 0;
}

static int isolate_send_launch(
	struct isolate *isolate, struct function_template *t, const struct kit *kit)
{
	const struct berth *berth = isolate->berth;
	int fds[FD_PASS_MAX];
	size_t count = 0;

	if (berth) {
		fds[count++] = berth->pid_namespace;
		fds[count++] = berth->mount_namespace;
	}
	fds[count++] = kit->guest_channel;
	fds[count++] = kit->guest_console;
	if (!berth)
		fds[count++] = kit->tmp;
	if (kit->cgroup >= 0)
		fds[count++] = kit->cgroup;
	return function_template_launch(t, berth, fds, count, &isolate->launch_sequence);
}

static void isolate_move_in(struct isolate *isolate, struct berth *berth)
{
	isolate->berth = berth;
	if (!berth)
		return;
	berth->owner = isolate;
	berth->ended = isolate_berth_ended;
}

int isolate_clone(struct function_template *t, struct kit *kit, struct berth *berth,
	const struct isolate_events *events, void *owner, struct isolate **ret)
{
	struct isolate *isolate = NULL;
	int r = isolate_new(t->loop, t->processes, kit, ISOLATE_LAUNCH_LIMIT, events, &isolate);

	if (r == 0) {
		isolate->reply_bytes = t->reply_bytes;
		isolate_move_in(isolate, berth);
		r = isolate_send_launch(isolate, t, kit);
	} else {
		berth_free(berth);
	}
	if (berth)
		kit_done_but_tmp(kit);
	else
		kit_done(kit);
	if (r == 0 && berth)
		berth_let_go(berth);
	if (r < 0) {
		if (isolate)
			isolate_free(isolate);
		return r;
	}
	isolate->owner = owner;
	*ret = isolate;
	return 0;
}

/* The spawner's answer is about the first of three processes (child.c); the isolate says HELLO. */
static void isolate_spawned(struct spawn *spawn, pid_t pid)
{
	struct isolate *isolate = container_of(spawn, struct isolate, spawn);
	struct err e = { 0 };

	if (pid > 0)
		return;
	err_errno(&e, pid, "cannot start a runtime process");
	isolate_refused(isolate, &e);
}

/* From a process that is not the isolate yet, but a child of ours all the same. */
static void isolate_map(struct channel *channel, const struct channel_frame *frame)
{
	struct isolate *isolate = container_of(channel, struct isolate, mapping);
	struct err e = { 0 };
	int r = frame->header.type == WIRE_MAP_ME
			? user_namespace_map(isolate->processes, frame->sender, isolate->uid)
			: -EBADMSG;

	if (r == 0)
		r = channel_send_plain(channel, WIRE_MAPPED, 0);
	channel_done(channel);
	if (r == 0)
		return;
	err_errno(&e, r, "the ids of an isolate cannot be mapped");
	isolate_refused(isolate, &e);
}

static void isolate_mapping_closed(struct channel *channel, int reason)
{
	(void)reason; /* the isolate's own channel has the same end */
	channel_done(channel);
}

static const struct channel_events isolate_mapping_events = {
	.frame = isolate_map,
	.closed = isolate_mapping_closed,
};

static int isolate_open_mapping(struct isolate *isolate, int *ret_guest)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = channel_init(
		&isolate->mapping, isolate->loop, pair[0], false, 0, &isolate_mapping_events);
	if (r == 0)
		r = channel_expect_sender(&isolate->mapping, true);
	if (r < 0)
		fd_close(pair[1]);
	else
		*ret_guest = pair[1];
	return r;
}

static int isolate_spawn(struct isolate *isolate, struct init *init, const struct guest_spec *spec,
	struct kit *kit, int mapping)
{
	int fds[FD_PASS_MAX] = { kit->guest_channel, kit->guest_console, kit->tmp,
		init->pid_namespace, init->mount_namespace, mapping, spec->system_calls };
	size_t count = 7;

	if (spec->network >= 0)
		fds[count++] = spec->network;
	for (uint32_t i = 0; i < spec->group.count; i++)
		fds[count++] = spec->group.fds[i];
	return processes_spawn(isolate->processes, &isolate->spawn, fds, count, isolate_spawned);
}

static int isolate_start_exec(struct isolate *isolate, struct runtime *runtime, struct init *init,
	const struct guest_spec *spec, struct kit *kit)
{
	_cleanup_buffer_ struct buffer become = { 0 };
	_cleanup_close_ int mapping = -1;
	struct spawn_request *request = processes_request(isolate->processes, SPAWN_ISOLATE);
	int r = guest_spec_encode(spec, 1, &become);

	if (r == 0)
		r = channel_send(&isolate->channel, become.data, become.size, NULL, 0);
	if (r == 0)
		r = manifest_fill_request(runtime_manifest(runtime), "exec", request);
	if (r == 0)
		r = isolate_open_mapping(isolate, &mapping);
	if (r < 0)
		return r;
	isolate->uid = spec->uid;
	isolate->reply_bytes = spec->reply_bytes;
	request->envelope = (struct spawn_envelope){
		.confined = spec->confined,
		.processes = spec->processes,
		.descriptors = spec->descriptors,
		.isolates = spec->isolates,
		.groups = spec->group.count,
		.groups_directory = spec->group.directory,
	};
	return isolate_spawn(isolate, init, spec, kit, mapping);
}

int isolate_exec(struct runtime *runtime, struct init *init, struct loop *loop,
	struct processes *processes, const struct guest_spec *spec, struct kit *kit, usec_t limit,
	const struct isolate_events *events, void *owner, struct isolate **ret)
{
	struct isolate *isolate = NULL;
	int r = isolate_new(loop, processes, kit, limit, events, &isolate);

	if (r == 0)
		r = isolate_start_exec(isolate, runtime, init, spec, kit);
	kit_done(kit);
	if (r < 0) {
		if (isolate)
			isolate_free(isolate);
		return r;
	}
	isolate->owner = owner;
	*ret = isolate;
	return 0;
}

int isolate_send(struct isolate *isolate, const struct isolate_event *event)
{
	char frame[12 * 1024];
	struct wire_writer w;
	size_t size;
	int r;

	isolate->event_sequence++;
	wire_begin(&w, frame, sizeof(frame), WIRE_EVENT, isolate->event_sequence);
	wire_put(&w, WIRE_REQUEST_ID, event->request_id);
	wire_put_number(&w, WIRE_DEADLINE_MS, event->deadline_ms);
	wire_put(&w, WIRE_INVOKED_ARN, event->arn);
	if (event->client_context)
		wire_put(&w, WIRE_CLIENT_CONTEXT, event->client_context);
	if (event->trace_id)
		wire_put(&w, WIRE_TRACE_ID, event->trace_id);
	if (event->accepts_stream)
		wire_put(&w, WIRE_STREAM, "1");
	r = wire_end(&w, event->payload_size, &size);
	if (r == 0)
		r = channel_send(
			&isolate->channel, frame, size, event->payload, event->payload_size);
	if (r < 0)
		return r;
	isolate->event_sent = true;
	if (isolate->state == ISOLATE_IDLE)
		isolate_set_state(isolate, ISOLATE_BUSY);
	return 0;
}
