/*
 * template.c - pv_template(): a process that waits, parked, to be cloned.
 *
 * The runtime template answers BECOME and the function template LAUNCH, one at a time, until the
 * supervisor closes the socket. While they wait the other threads are parked and may hold any lock,
 * so nothing here allocates once clone_park() has returned.
 */
#include "guest/handle.h"

#include "base/fd.h"
#include "wire/settings.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEMPLATE_SETTLE (2 * USEC_PER_SEC)
#define TEMPLATE_PARK (5 * USEC_PER_SEC)
#define GATHER_CLONES 8   /* a function's memory is gathered when it has been cloned so often */
#define GATHER_IDLE_MS 20 /* and nobody has asked for a clone for so long */

static void template_note(void *data, const char *sentence)
{
	struct pv_handle *handle = data;

	/* A note that is lost changes nothing about the template. */
	(void)note_send(handle->fd, sentence, 0);
}

static int template_park(struct pv_handle *handle, struct clone_template **ret)
{
	const int ours[] = { STDOUT_FILENO, STDERR_FILENO, handle->fd, handle->landlock };
	const struct clone_options options = {
		.settle_limit = TEMPLATE_SETTLE,
		.park_deadline = TEMPLATE_PARK,
		.note = template_note,
		.note_data = handle,
		.ignored_fds = ours,
		.ignored_count = handle->landlock < 0 ? array_size(ours) - 1 : array_size(ours),
	};

	return clone_park(ret, &options, &handle->error);
}

/* What must be true of a template before there are clones of it, and parked threads that may hold a lock. */
static int template_check(struct pv_handle *handle)
{
	return handle->stage == STAGE_FUNCTION && handle_is_confined(handle) ? tmp_check(handle)
									     : 0;
}

static int template_send_ready(struct pv_handle *handle, struct clone_template *t)
{
	unsigned char frame[GUEST_FRAME_MAX];
	struct wire_writer w;
	int r;

	wire_begin(&w, frame, sizeof(frame), WIRE_READY, 0);
	wire_put(&w, WIRE_RUNTIME_VERSION, handle->runtime_version);
	wire_put_number(&w, WIRE_THREADS, clone_thread_count(t));
	r = handle_send(handle, &w);
	return r < 0 ? err_errno(&handle->error, r, "The supervisor did not hear of the template")
		     : 0;
}

/* The request that this template is there for, in memory that its clones keep. */
static struct role *template_role(struct pv_handle *handle)
{
	return handle->stage == STAGE_BOOTING ? &handle->become : &handle->launch;
}

static bool template_uses_namespaces(struct pv_handle *handle)
{
	const char *value = role_setting(&handle->become, SETTING_NAMESPACES);

	return !value || strcmp(value, "0") != 0;
}

bool handle_is_confined(struct pv_handle *handle)
{
	const char *value = role_setting(&handle->become, SETTING_ENVELOPE);

	return value && strcmp(value, "1") == 0;
}

/* Whether a LAUNCH brings the namespaces that the isolate is to live in. */
static bool template_has_berth(struct envelope *envelope)
{
	const char *value = envelope->handle->stage == STAGE_FUNCTION
				    ? role_setting(&envelope->handle->launch, SETTING_BERTH)
				    : NULL;

	return value && strcmp(value, "1") == 0;
}

static size_t template_number(struct envelope *envelope, const char *setting)
{
	const char *value = role_setting(&envelope->handle->become, setting);

	return value ? strtoul(value, NULL, 10) : 0;
}

/* Of a BECOME, the control groups come last. Returns how many descriptors come before them, or
 * -EBADMSG. */
static int template_take_groups(struct envelope *envelope, const struct fd_message *message)
{
	size_t count = message->fd_count, groups = template_number(envelope, SETTING_GROUPS);

	if (template_number(envelope, SETTING_CGROUP) == 1 && count > 0)
		envelope->cgroup = message->fds[--count];
	if (groups > count || groups > ENVELOPE_GROUPS_MAX)
		return -EBADMSG;
	count -= groups;
	envelope->group_count = groups;
	for (size_t i = 0; i < groups; i++)
		envelope->groups[i] = message->fds[count + i];
	return (int)count;
}

/* Gives the descriptors of a request their names; settings.h has the order. 0 or -EBADMSG. */
static int template_sort_descriptors(struct envelope *envelope, struct fd_message *message)
{
	bool namespaces = template_uses_namespaces(envelope->handle);
	bool launch = envelope->handle->stage == STAGE_FUNCTION;
	bool confined = handle_is_confined(envelope->handle);
	bool berth = template_has_berth(envelope);
	int *const places[] = {
		namespaces && (!launch || berth) ? &envelope->pid_namespace : NULL,
		namespaces && (!launch || berth) ? &envelope->mount_namespace : NULL,
		&envelope->socket,
		&envelope->console,
		confined && !launch ? &envelope->system_calls : NULL,
		confined && !launch ? &envelope->network : NULL,
		namespaces && launch && !berth ? &envelope->tmp : NULL,
		launch ? &envelope->cgroup : NULL,
	};
	int count = launch ? (int)message->fd_count : template_take_groups(envelope, message);
	int taken = 0;

	for (size_t i = 0; i < array_size(places); i++)
		if (places[i] && taken < count)
			*places[i] = message->fds[taken++];
	if (taken != count || envelope->console < 0 ||
		(namespaces && launch && envelope->tmp < 0 && envelope->mount_namespace < 0) ||
		(confined && !launch && envelope->system_calls < 0))
		return -EBADMSG;
	return 0;
}

static int template_fork(struct envelope *envelope)
{
	bool namespaces = template_uses_namespaces(envelope->handle);
	struct clone_request request = { .flags = CLONE_PARENT, .cgroup_fd = envelope->cgroup };
	pid_t pid;

	if (namespaces && envelope->handle->stage == STAGE_FUNCTION && envelope->pid_namespace < 0)
		request.flags |= CLONE_NEWPID | CLONE_NEWNS;
	/* It is entered by its path: with its namespace, a clone leaves the folder that it is in. */
	if (template_has_berth(envelope) && !envelope->handle->folder[0])
		return -ENOTDIR;
	/* Only this way is a clone made inside a namespace that exists; it holds for the next one
	 * only as far as that one does the same. */
	if (envelope->pid_namespace >= 0 && setns(envelope->pid_namespace, CLONE_NEWPID) < 0)
		return err_set(&envelope->handle->error, -errno,
			"The template cannot use the pid namespace of its clone: %s",
			strerrordesc_np(errno));
	return clone_fork(envelope->template, &request, &pid);
}

static void template_advance(struct pv_handle *handle)
{
	handle->stage = handle->stage == STAGE_BOOTING ? STAGE_FUNCTION : STAGE_ISOLATE;
}

/* In a clone, where it is to live: its threads are made again, and what must differ, differs. */
/*
 * OpenSSL takes new entropy by itself, at its next draw, when the process id is another one than at
 * the last. Only a clone that has the number of a process it comes from must be made to: doing it in
 * every clone was measured at 120 microseconds and 37 page faults of a launch.
 */
static bool template_is_mistaken(const struct pv_handle *handle)
{
	pid_t pid = getpid();

	return pid == handle->template_pids[0] || pid == handle->template_pids[1];
}

static int template_resume(struct envelope *envelope)
{
	struct pv_handle *handle = envelope->handle;
	int r;

	r = clone_resume(envelope->template);
	if (r < 0) {
		(void)note_send(handle->fd, "The threads of the clone cannot be made", r);
		/* A runtime without its threads waits for them when it is told to exit. */
		_exit(CLONE_EXIT_BROKEN);
	}
	handle->clone = true;
	template_advance(handle);
	r = template_is_mistaken(handle) ? reseed_run(&handle->reseed) : 0;
	if (r < 0)
		return err_set(&handle->error, r, "OpenSSL in the clone took no new entropy.");
	if (handle->stage == STAGE_FUNCTION)
		r = environment_apply(handle);
	return r < 0 ? err_errno(&handle->error, r, "The clone has no environment") : 0;
}

static int template_become_clone(struct envelope *envelope)
{
	struct pv_handle *handle = envelope->handle;
	int r;

	if (handle->stage == STAGE_BOOTING)
		envelope_enter_function(envelope);
	else
		envelope_enter_isolate(envelope);
	r = template_resume(envelope);
	if (r < 0)
		(void)note_send(handle->fd, handle->error.text, r);
	return r;
}

/*
 * Waits for a request. A function template that is cloned often uses a pause to make its memory
 * cheaper to clone; doing it for each would cost the memory that it shares with its runtime template.
 */
static int template_wait(struct pv_handle *handle, struct clone_template *t, unsigned clones)
{
	struct pollfd readable = { .fd = handle->fd, .events = POLLIN };

	if (handle->stage != STAGE_FUNCTION || clones != GATHER_CLONES)
		return 0;
	if (poll(&readable, 1, GATHER_IDLE_MS) != 0)
		return 0;
	clone_gather(t);
	return 1;
}

/* The request that is being answered, and what the template remembers between two. */
struct service {
	struct pv_handle *handle;
	struct clone_template *template;
	struct role *role;
	struct fd_message message;
	struct envelope envelope;
	int request;     /* 0, or why it cannot be answered */
	int gone;        /* 0, or why there is none */
	unsigned clones; /* as many as template_wait() cares for */
};

static int service_decode(struct service *s)
{
	bool booting = s->handle->stage == STAGE_BOOTING;
	struct wire_header header = { 0 };
	int r = role_decode(s->role, (size_t)s->message.size, &header);

	s->envelope.sequence = header.sequence;
	if (r == 0 && header.type != (booting ? WIRE_BECOME : WIRE_LAUNCH))
		r = -EBADMSG;
	return r == 0 ? template_sort_descriptors(&s->envelope, &s->message) : r;
}

static void service_receive(struct service *s)
{
	struct envelope *e = &s->envelope;
	int r;

	*e = (struct envelope){ .handle = s->handle, .template = s->template };
	e->pid_namespace = e->mount_namespace = e->socket = -1;
	e->console = e->tmp = e->cgroup = e->system_calls = e->network = -1;
	s->clones += (unsigned)template_wait(s->handle, s->template, s->clones);
	r = fd_receive(s->handle->fd, s->role->data, WIRE_CONTROL_MAX, 0, &s->message);
	s->gone = r == 0 && s->message.size == 0 ? -ESHUTDOWN : r;
	s->request = s->gone == 0 ? service_decode(s) : s->gone;
}

/* CLONE_CHILD in the clone, else 0. */
static int service_answer(struct service *s)
{
	struct err *e = &s->handle->error;
	int r = s->request;

	e->code = 0;
	if (r < 0)
		err_set(e, r, "The request is not one that this template knows.");
	else
		r = template_fork(&s->envelope);
	if (r == CLONE_CHILD)
		return r;
	if (r < 0 && !e->code)
		err_set(e, r, "The process cannot be cloned: %s", strerrordesc_np(-r));
	/* Before the descriptors are closed: once they are, the supervisor takes the clone for one
	 * that ended without a word. */
	if (r < 0)
		handle_refuse(s->handle, s->envelope.sequence);
	fd_message_done(&s->message);
	/* The next function's clone must not find this one's secrets. */
	explicit_bzero(s->role->data, (size_t)s->message.size);
	s->clones += s->clones < GATHER_CLONES;
	return 0;
}

static bool service_has_berth(const struct service *s)
{
	return s->request == 0 && s->handle->stage == STAGE_FUNCTION &&
	       s->envelope.pid_namespace >= 0;
}

static int service_fill_berths(void *data)
{
	struct service *s = data;

	do {
		if (service_answer(s) == CLONE_CHILD)
			return CLONE_CHILD;
		service_receive(s);
	} while (service_has_berth(s));
	return 0;
}

/*
 * The function's pid namespace is the supervisor's, so that whoever has entered a berth's cannot enter it
 * again, nor make another below it. A stand-in does that, and goes when a launch comes without one.
 */
static int service_step(struct service *s)
{
	int r;

	if (service_has_berth(s)) {
		r = clone_stand_in(s->template, service_fill_berths, s);
		s->request = r < 0 ? r : s->request;
		return r == CLONE_CHILD ? r : 0;
	}
	r = service_answer(s);
	if (r == 0)
		service_receive(s);
	return r;
}

/* Returns 0 in clones, where *t is gone, and a fault in the template when it is not wanted. */
static int template_serve(struct pv_handle *handle, struct clone_template **t)
{
	struct service s = { .handle = handle, .template = *t, .role = template_role(handle) };

	for (service_receive(&s); s.gone == 0;) {
		if (service_step(&s) != CLONE_CHILD)
			continue;
		*t = NULL;
		return template_become_clone(&s.envelope);
	}
	return err_errno(&handle->error, s.gone, "The supervisor is gone");
}

static int template_by_clone(struct pv_handle *handle)
{
	struct clone_template *t = NULL;
	int r;

	r = role_map(template_role(handle));
	if (r < 0)
		return err_errno(&handle->error, r, "There is no memory for requests");
	handle->template_pids[handle->stage == STAGE_FUNCTION] = getpid();
	reseed_find(&handle->reseed);
	/* What a native library printed and libc still holds would be printed by every clone. */
	fflush(stdout);
	r = template_check(handle);
	if (r == 0)
		r = template_park(handle, &t);
	if (r < 0) {
		handle_refuse(handle, 0);
		return r;
	}
	if (handle->rehearsal)
		clone_rehearsal_apply(handle->rehearsal, t);
	if (handle->stage == STAGE_BOOTING)
		clone_gather(t);
	r = template_send_ready(handle, t);
	if (r == 0)
		r = template_serve(handle, &t);
	/* To exit, a runtime needs its threads. */
	if (t)
		clone_release(t);
	return r;
}

/* By exec, the process is told what to be and is then an isolate. */
static int template_by_exec(struct pv_handle *handle)
{
	struct wire_header header;
	const char *root;
	int r;

	template_advance(handle);
	if (handle->stage == STAGE_ISOLATE)
		return 0;
	r = role_map(&handle->become);
	if (r == 0)
		r = channel_read_role(handle->fd, &handle->become, &header);
	if (r == 0 && header.type != WIRE_BECOME)
		r = -EBADMSG;
	if (r < 0)
		return err_errno(&handle->error, r, "The supervisor did not say what to be");
	root = wire_find(handle->become.fields, handle->become.fields_size, WIRE_TASK_ROOT);
	if (root && chdir(root) < 0)
		return err_errno(
			&handle->error, -errno, "The code's folder %s cannot be entered", root);
	return environment_apply(handle);
}

int pv_rehearse(pv_handle *handle, int begin)
{
	int r = 0;

	if (!handle || handle->stage != STAGE_BOOTING)
		return -EINVAL;
	if (handle->exec)
		return 0;
	if (begin && !handle->rehearsal)
		r = clone_rehearsal_begin(&handle->rehearsal);
	else if (!begin && handle->rehearsal)
		clone_rehearsal_end(handle->rehearsal);
	return r < 0 ? err_errno(&handle->error, r, "There can be no rehearsal") : 0;
}

int pv_template(pv_handle *handle)
{
	if (!handle)
		return -EINVAL;
	if (handle->stage == STAGE_ISOLATE)
		return err_set(&handle->error, -EINVAL, "An isolate is no template.");
	return handle->exec ? template_by_exec(handle) : template_by_clone(handle);
}
