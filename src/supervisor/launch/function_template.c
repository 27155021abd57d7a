/*
 * function_template.c - see function_template.h.
 */
#include "supervisor/launch/function_template.h"

#include "base/fd.h"
#include "supervisor/launch/user_namespace.h"
#include "wire/settings.h"
#include "wire/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEMPLATE_CLONE_LIMIT (10 * USEC_PER_SEC) /* from BECOME to HELLO */
#define TEMPLATE_RETRY (2 * USEC_PER_MSEC)       /* while the runtime template's socket is full */

static void template_set_state(struct function_template *t, enum template_state state)
{
	t->state = state;
}

struct function_template *function_template_free(struct function_template *t)
{
	if (!t)
		return NULL;
	runtime_unwant(&t->waiter);
	runtime_clone_done(&t->clone);
	loop_timer_cancel(t->loop, &t->limit);
	loop_defer_cancel(t->loop, &t->ending);
	channel_done(&t->control);
	console_done(&t->console);
	process_abandon(&t->process);
	buffer_done(&t->become);
	buffer_done(&t->failure.json);
	free(t);
	return NULL;
}

static void template_tell_ended(struct loop_deferred *deferred)
{
	struct function_template *t = container_of(deferred, struct function_template, ending);

	t->events->ended(t, &t->failure);
}

/* At the end of the turn, since the owner frees the template and the caller still uses it. */
static void template_end(struct function_template *t, int code, const char *why)
{
	if (t->state == TEMPLATE_ENDED)
		return;
	template_set_state(t, TEMPLATE_ENDED);
	if (!t->failure.tenant && !t->failure.e.code)
		err_set(&t->failure.e, code, "%s", why);
	loop_timer_cancel(t->loop, &t->limit);
	process_kill(&t->process);
	console_drain(&t->console);
	console_flush(&t->console);
	loop_defer(t->loop, &t->ending, template_tell_ended);
}

int guest_spec_encode(const struct guest_spec *s, uint32_t sequence, struct buffer *ret)
{
	const size_t room = 64 * 1024;
	struct wire_writer w;
	char number[16];
	size_t size;
	int r;

	if (!buffer_reserve(ret, room))
		return -ENOMEM;
	wire_begin(&w, ret->data, room, WIRE_BECOME, sequence);
	wire_put(&w, WIRE_NAME, s->name);
	wire_put(&w, WIRE_HANDLER, s->handler);
	wire_put(&w, WIRE_TASK_ROOT, "/var/task");
	for (char *const *p = s->environment; p && *p; p++)
		wire_put(&w, WIRE_ENVIRONMENT, *p);
	wire_put_pair(&w, WIRE_SETTING, SETTING_ARN, s->arn);
	wire_put_pair(&w, WIRE_SETTING, SETTING_LOG_STREAM, s->log_stream);
	wire_put_pair(&w, WIRE_SETTING, SETTING_RUNTIME, s->runtime_identifier);
	snprintf(number, sizeof(number), "%u", s->memory_mb);
	wire_put_pair(&w, WIRE_SETTING, SETTING_MEMORY_MB, number);
	snprintf(number, sizeof(number), "%u", s->tmp_mb);
	wire_put_pair(&w, WIRE_SETTING, SETTING_TMP_MB, number);
	snprintf(number, sizeof(number), "%u", s->warm_up);
	wire_put_pair(&w, WIRE_SETTING, SETTING_WARM_UP, number);
	snprintf(number, sizeof(number), "%u", s->reply_bytes);
	wire_put_pair(&w, WIRE_SETTING, SETTING_REPLY_BYTES, number);
	snprintf(number, sizeof(number), "%u", s->isolates);
	wire_put_pair(&w, WIRE_SETTING, SETTING_ISOLATES, number);
	wire_put_pair(&w, WIRE_SETTING, SETTING_ENVELOPE, s->confined ? "1" : "0");
	snprintf(number, sizeof(number), "%u", s->processes);
	if (s->processes)
		wire_put_pair(&w, WIRE_SETTING, SETTING_PIDS, number);
	snprintf(number, sizeof(number), "%u", s->descriptors);
	if (s->descriptors)
		wire_put_pair(&w, WIRE_SETTING, SETTING_DESCRIPTORS, number);
	snprintf(number, sizeof(number), "%u", s->group.count);
	if (s->group.count)
		wire_put_pair(&w, WIRE_SETTING,
			s->group.directory ? SETTING_CGROUP : SETTING_GROUPS, number);
	r = wire_end(&w, 0, &size);
	ret->size = r == 0 ? size : 0;
	return r;
}

static void template_said_hello(struct function_template *t, const struct channel_frame *frame);

static void template_said_ready(struct function_template *t)
{
	t->ready_at = usec_monotonic();
	template_set_state(t, TEMPLATE_READY);
	loop_timer_cancel(t->loop, &t->limit);
	console_drain(&t->console);
	t->events->ready(t);
}

static void template_init_failed(struct function_template *t, const struct channel_frame *frame)
{
	const char *type = wire_find(frame->fields, frame->header.fields_size, WIRE_ERROR_TYPE);
	const char *json = wire_find(frame->fields, frame->header.fields_size, WIRE_MESSAGE);

	t->failure.tenant = true;
	snprintf(t->failure.type, sizeof(t->failure.type), "%s", type ? type : "Unknown");
	buffer_append_string(&t->failure.json, json ? json : "{}");
	template_end(t, -ECANCELED, "the code of the function did not load");
}

static void template_refused(struct function_template *t, const struct channel_frame *frame)
{
	const char *text = wire_find(frame->fields, frame->header.fields_size, WIRE_MESSAGE);
	struct err e = { 0 };

	err_set(&e, -ECHILD, "%s", text ? text : "the function template refused to be cloned");
	if (t->state == TEMPLATE_READY)
		t->events->refused(t, frame->header.sequence, &e);
	else
		template_end(t, -ECHILD, e.text);
}

static void template_note(struct function_template *t, const struct channel_frame *frame)
{
	const char *text = wire_find(frame->fields, frame->header.fields_size, WIRE_MESSAGE);

	if (!text)
		return;
	t->events->line(t, text, strlen(text));
	/* A clone that failed on its way into its namespaces says why, and exits without a HELLO.
	 */
	if (t->state == TEMPLATE_CLONING)
		err_set(&t->failure.e, -ECHILD, "%s", text);
}

static void template_map(struct function_template *t, const struct channel_frame *frame)
{
	int r = user_namespace_map(t->processes, frame->sender, t->uid);

	if (r == 0)
		r = channel_send_plain(&t->control, WIRE_MAPPED, frame->header.sequence);
	if (r < 0)
		template_end(t, r, "the ids of the function template cannot be mapped");
}

static void template_frame(struct channel *channel, const struct channel_frame *frame)
{
	struct function_template *t = container_of(channel, struct function_template, control);

	if (t->state == TEMPLATE_ENDED)
		return;
	if (frame->header.type == WIRE_NOTE)
		template_note(t, frame);
	else if (frame->header.type == WIRE_MAP_ME && t->state == TEMPLATE_CLONING)
		template_map(t, frame);
	else if (frame->header.type == WIRE_HELLO && t->state == TEMPLATE_CLONING)
		template_said_hello(t, frame);
	else if (frame->header.type == WIRE_READY && t->state == TEMPLATE_LOADING)
		template_said_ready(t);
	else if (frame->header.type == WIRE_INIT_FAILED && t->state == TEMPLATE_LOADING)
		template_init_failed(t, frame);
	else if (frame->header.type == WIRE_REFUSED)
		template_refused(t, frame);
	else
		template_end(t, -EBADMSG, "the function template sent a message out of turn");
}

static void template_closed(struct channel *channel, int reason)
{
	struct function_template *t = container_of(channel, struct function_template, control);
	bool early = t->state == TEMPLATE_CLONING;

	channel_done(channel);
	/* An exit closes the socket after the status is settled: the kill cannot change what is
	 * said. */
	process_kill(&t->process);
	if (!early && t->process.pid && reason == 0)
		return;
	template_end(t, -ECHILD,
		reason < 0 ? "the function template sent a malformed message"
			   : "the function template was not made");
}

static const struct channel_events template_channel_events = {
	.frame = template_frame,
	.closed = template_closed,
};

static void template_line(struct console *console, const char *line, size_t size)
{
	struct function_template *t = container_of(console, struct function_template, console);

	t->events->line(t, line, size);
}

static void template_exited(struct process *process, int status)
{
	struct function_template *t = container_of(process, struct function_template, process);
	char why[96];

	channel_drain(&t->control);
	t->failure.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	if (status & 0x7f)
		snprintf(why, sizeof(why), "Runtime exited with error: signal: %s",
			strsignal(status & 0x7f));
	else
		snprintf(why, sizeof(why), "Runtime exited with error: exit status %d",
			status >> 8 & 0xff);
	template_end(t, -ECHILD, why);
}

static void template_expired(struct loop_timer *timer)
{
	struct function_template *t = container_of(timer, struct function_template, limit);
	char why[96];

	if (t->state == TEMPLATE_LOADING) {
		snprintf(why, sizeof(why), "Init timed out after %.2f seconds",
			(double)t->load_limit / USEC_PER_SEC);
		t->failure.e.code = 0;
		err_set(&t->failure.e, -ETIMEDOUT, "%s", why);
	}
	template_end(t, -ETIMEDOUT, "the function template was not cloned in time");
}

static void template_said_hello(struct function_template *t, const struct channel_frame *frame)
{
	int r = process_adopt(t->processes, &t->process, frame->sender, template_exited);

	if (r < 0) {
		template_end(t, r, "the function template is not a child of the supervisor");
		return;
	}
	runtime_clone_done(&t->clone);
	t->hello_at = usec_monotonic();
	template_set_state(t, TEMPLATE_LOADING);
	r = channel_expect_sender(&t->control, false);
	if (r == 0)
		r = loop_timer_set(
			t->loop, &t->limit, t->hello_at + t->load_limit, template_expired);
	if (r < 0)
		template_end(t, r, "the function template cannot be watched");
}

static void template_clone_refused(struct runtime_clone *clone, const struct err *e)
{
	struct function_template *t = container_of(clone, struct function_template, clone);

	template_end(t, e->code, e->text);
}

static int template_open_sockets(struct function_template *t, int *ret_control, int *ret_console)
{
	_cleanup_close_ int guest_control = -1;
	int pair[2], r;

	channel_done(&t->control);
	console_done(&t->console);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	guest_control = pair[1];
	r = channel_init(&t->control, t->loop, pair[0], false, 0, &template_channel_events);
	if (r == 0)
		r = channel_expect_sender(&t->control, true);
	if (r < 0)
		return r;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	r = console_init(&t->console, t->loop, pair[0], template_line);
	if (r < 0) {
		fd_close(pair[1]);
		return r;
	}
	*ret_control = take_fd(&guest_control);
	*ret_console = pair[1];
	return 0;
}

static int template_send_become(struct function_template *t)
{
	_cleanup_close_ int control = -1, console = -1;
	int fds[FD_PASS_MAX], r;
	size_t count = 0;

	r = template_open_sockets(t, &control, &console);
	if (r < 0)
		return r;
	fds[count++] = t->init->pid_namespace;
	fds[count++] = t->init->mount_namespace;
	fds[count++] = control;
	fds[count++] = console;
	if (t->confined)
		fds[count++] = t->system_calls;
	if (t->confined && t->network >= 0)
		fds[count++] = t->network;
	for (uint32_t i = 0; i < t->group.count; i++)
		fds[count++] = t->group.fds[i];
	wire_set_sequence(t->become.data, runtime_clone_begin(t->runtime, &t->clone));
	return runtime_clone_send(
		t->runtime, &t->clone, t->become.data, t->become.size, fds, count);
}

static void template_try_again(struct loop_timer *timer);

static void template_runtime_ready(struct runtime_waiter *waiter, const struct err *e)
{
	struct function_template *t = container_of(waiter, struct function_template, waiter);
	usec_t now = usec_monotonic();
	int r;

	if (e) {
		template_end(t, e->code, e->text);
		return;
	}
	r = template_send_become(t);
	if (r == -EAGAIN || r == -ESTALE)
		r = loop_timer_set(t->loop, &t->limit, now + TEMPLATE_RETRY, template_try_again);
	else if (r == 0)
		r = loop_timer_set(
			t->loop, &t->limit, now + TEMPLATE_CLONE_LIMIT, template_expired);
	if (r < 0)
		template_end(t, r, "the runtime template cannot be asked for a clone");
}

static void template_try_again(struct loop_timer *timer)
{
	struct function_template *t = container_of(timer, struct function_template, limit);

	runtime_want(t->runtime, &t->waiter);
}

int function_template_new(struct runtime *runtime, struct init *init, struct loop *loop,
	struct processes *processes, const struct guest_spec *spec, usec_t load_limit,
	const struct function_template_events *events, void *owner, struct function_template **ret)
{
	struct function_template *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->events = events;
	t->owner = owner;
	t->loop = loop;
	t->processes = processes;
	t->runtime = runtime;
	t->init = init;
	t->load_limit = load_limit;
	t->confined = spec->confined;
	t->uid = spec->uid;
	t->reply_bytes = spec->reply_bytes;
	t->system_calls = spec->system_calls;
	t->network = spec->network;
	t->group = spec->group;
	t->process.pidfd = -1;
	t->started_at = usec_monotonic();
	t->waiter.ready = template_runtime_ready;
	t->clone.refused = template_clone_refused;
	r = guest_spec_encode(spec, 0, &t->become);
	if (r < 0) {
		function_template_free(t);
		return r;
	}
	*ret = t;
	runtime_want(runtime, &t->waiter);
	return 0;
}

int function_template_launch(struct function_template *t, bool berth, const int *fds,
	size_t fd_count, uint32_t *ret_sequence)
{
	unsigned char frame[WIRE_HEADER_SIZE + 32];
	struct wire_writer w;
	size_t size;
	int r;

	if (t->state != TEMPLATE_READY || !channel_is_open(&t->control))
		return -ESTALE;
	t->sequence = t->sequence == UINT32_MAX ? 1 : t->sequence + 1;
	wire_begin(&w, frame, sizeof(frame), WIRE_LAUNCH, t->sequence);
	if (berth)
		wire_put_pair(&w, WIRE_SETTING, SETTING_BERTH, "1");
	r = wire_end(&w, 0, &size);
	if (r == 0)
		r = channel_send_fds(&t->control, frame, size, fds, fd_count);
	if (r == 0)
		*ret_sequence = t->sequence;
	return r;
}
