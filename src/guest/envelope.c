/*
 * envelope.c - a clone's way, while it has one thread, to the place where it is to live.
 *
 * The way is a table of steps, taken in order; a step whose object was not given is none. Nothing
 * here allocates or takes a lock: the threads that may hold one do not exist yet. A step that fails
 * ends the clone, since half an envelope is none; its sentence goes to the supervisor over the
 * clone's own socket.
 */
#include "guest/handle.h"

#include "base/fd.h"
#include "envelope/namespaces.h"
#include "envelope/privileges.h"
#include "wire/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004 /* glibc 2.36 has it in a header of its own */
#endif

struct envelope_step {
	const char *failed; /* the sentence, up to its reason */
	int (*take)(struct envelope *envelope);
};

static int errno_of(int result)
{
	return result < 0 ? -errno : 0;
}

/* Its parent is the supervisor, thanks to CLONE_PARENT. If that is gone already, the socket is at
 * its end, which the first receive finds. */
static int step_die_with_supervisor(struct envelope *envelope)
{
	(void)envelope;
	return errno_of(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

static uint64_t envelope_number(struct envelope *envelope, const char *setting, uint64_t otherwise)
{
	const char *value = role_setting(&envelope->handle->become, setting);

	return value ? strtoull(value, NULL, 10) : otherwise;
}

/* By itself, since that is the one way that does not wait for a grace period of the kernel's. */
static int step_enter_groups(struct envelope *envelope)
{
	int r = 0;

	for (size_t i = 0; i < envelope->group_count; i++) {
		if (r == 0 && write(envelope->groups[i], "0", 1) < 0)
			r = -errno;
		envelope->groups[i] = fd_close(envelope->groups[i]);
	}
	return r;
}

static int step_join_namespaces(struct envelope *envelope)
{
	if (envelope->mount_namespace < 0)
		return 0;
	return namespaces_join(envelope->mount_namespace, envelope->network);
}

/* Without the envelope: what a function does to its mounts reaches nothing outside. */
static int step_own_mounts(struct envelope *envelope)
{
	if (envelope->mount_namespace < 0 || handle_is_confined(envelope->handle))
		return 0;
	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	return errno_of(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static int step_own_namespaces(struct envelope *envelope)
{
	return handle_is_confined(envelope->handle) ? namespaces_own(envelope->network < 0) : 0;
}

/* Only somebody outside can map the ids of a user namespace to one that is not its maker's. */
static int step_be_mapped(struct envelope *envelope)
{
	unsigned char frame[WIRE_HEADER_SIZE];
	struct wire_header header;
	struct wire_writer w;
	size_t size;
	int r;

	if (!handle_is_confined(envelope->handle))
		return 0;
	wire_begin(&w, frame, sizeof(frame), WIRE_MAP_ME, envelope->sequence);
	r = wire_end(&w, 0, &size);
	if (r == 0)
		r = fd_send(envelope->socket, frame, size, NULL, 0);
	if (r == 0)
		r = fd_read_exactly(envelope->socket, frame, size);
	if (r == 0)
		r = wire_decode_header(frame, &header);
	return r < 0 ? r : header.type == WIRE_MAPPED ? 0 : -EBADMSG;
}

static int step_furnish(struct envelope *envelope)
{
	uint64_t isolates = envelope_number(envelope, SETTING_ISOLATES, SETTING_ISOLATES_DEFAULT);

	if (!handle_is_confined(envelope->handle))
		return 0;
	/* The kernel gives the counts of ended isolates back late: leave room. */
	return namespaces_furnish(envelope->network < 0, (unsigned)isolates * 2 + 1024);
}

/* As an isolate has one, so that code which writes there while it is loaded, as libraries do, can. */
static int step_make_tmp(struct envelope *envelope)
{
	uint64_t megabytes = envelope_number(envelope, SETTING_TMP_MB, 0);

	if (!handle_is_confined(envelope->handle) || !megabytes)
		return 0;
	return namespaces_make_tmp((unsigned)megabytes);
}

/* The kernel counts by user, and all isolates of a function are one user: this bounds them together.
 * One more for each, since a berth has an init. */
static uint64_t function_processes(struct envelope *envelope)
{
	uint64_t isolates = envelope_number(envelope, SETTING_ISOLATES, SETTING_ISOLATES_DEFAULT);
	uint64_t processes = envelope_number(envelope, SETTING_PIDS, 0);

	return processes ? (processes + 1) * (isolates + 1) : 0;
}

static int step_set_limits(struct envelope *envelope)
{
	if (!handle_is_confined(envelope->handle))
		return 0;
	return limits_set(
		function_processes(envelope), envelope_number(envelope, SETTING_DESCRIPTORS, 0));
}

static int step_drop_privileges(struct envelope *envelope)
{
	return handle_is_confined(envelope->handle) ? privileges_drop() : 0;
}

static int step_make_landlock(struct envelope *envelope)
{
	return handle_is_confined(envelope->handle) ? landlock_make(&envelope->handle->landlock)
						    : 0;
}

static int step_filter_system_calls(struct envelope *envelope)
{
	return envelope->system_calls < 0 ? 0 : seccomp_install(envelope->system_calls);
}

static int step_enter_task_root(struct envelope *envelope)
{
	const struct role *become = &envelope->handle->become;
	const char *root = wire_find(become->fields, become->fields_size, WIRE_TASK_ROOT);

	return errno_of(chdir(root ? root : "/"));
}

/* Its /tmp and its /proc are there already, and its tasks are limited. */
static int step_enter_berth(struct envelope *envelope)
{
	const struct pv_handle *handle = envelope->handle;

	if (envelope->mount_namespace < 0)
		return 0;
	if (setns(envelope->mount_namespace, CLONE_NEWNS) < 0)
		return -errno;
	return errno_of(chdir(handle->works_in_tmp ? "/tmp" : handle->folder));
}

static int step_attach_tmp(struct envelope *envelope)
{
	int r;

	if (envelope->tmp < 0)
		return 0;
	r = errno_of((int)syscall(
		SYS_move_mount, envelope->tmp, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH));
	return r == 0 && envelope->handle->works_in_tmp ? errno_of(chdir("/tmp")) : r;
}

/* The isolate is alone in its pid namespace and must see its own numbers. */
static int step_mount_proc(struct envelope *envelope)
{
	if (envelope->tmp < 0)
		return 0;
	return errno_of(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

static int step_enter_landlock(struct envelope *envelope)
{
	int *ruleset = &envelope->handle->landlock;
	int r = landlock_enter(*ruleset);

	*ruleset = fd_close(*ruleset);
	return r;
}

static int step_give_up_capabilities(struct envelope *envelope)
{
	return handle_is_confined(envelope->handle) ? capabilities_set(0) : 0;
}

static int step_lead_session(struct envelope *envelope)
{
	(void)envelope;
	return errno_of(setsid());
}

/* Needs the isolate's own /proc, and the last capability. */
static int step_limit_tasks(struct envelope *envelope)
{
	uint64_t processes = envelope_number(envelope, SETTING_PIDS, 0);

	if (!handle_is_confined(envelope->handle) || !processes || envelope->mount_namespace >= 0)
		return 0;
	return namespaces_limit_tasks((unsigned)processes);
}

/* Nine tenths, so that a fork bomb leaves room for the launches of its siblings: the count is shared. */
static int step_limit_isolate(struct envelope *envelope)
{
	return handle_is_confined(envelope->handle)
		       ? limits_set(function_processes(envelope) / 10 * 9, 0)
		       : 0;
}

static int step_close_places(struct envelope *envelope)
{
	int *const places[] = { &envelope->pid_namespace, &envelope->mount_namespace,
		&envelope->tmp, &envelope->cgroup, &envelope->system_calls, &envelope->network };

	for (size_t i = 0; i < array_size(places); i++)
		*places[i] = fd_close(*places[i]);
	return 0;
}

/* The template's socket and console go; every other descriptor becomes the clone's own. Isolates do it within
 * Landlock, whose one rule is about everything below the root that the template opened its files in. */
static int step_place_descriptors(struct envelope *envelope)
{
	struct clone_descriptor places[] = {
		{ .number = envelope->handle->fd, .fd = envelope->socket },
		{ .number = STDOUT_FILENO, .fd = envelope->console, .keep_flags = true },
		{ .number = STDERR_FILENO, .keep_flags = true },
	};
	int r, failed_fd;

	places[2].fd = fcntl(envelope->console, F_DUPFD_CLOEXEC, envelope->handle->fd + 1);
	if (places[2].fd < 0)
		return -errno;
	r = clone_remake_descriptors(envelope->template, places, array_size(places), &failed_fd);
	if (r < 0)
		return r;
	envelope->socket = envelope->handle->fd;
	return errno_of(fcntl(envelope->socket, F_SETFD, FD_CLOEXEC));
}

static int step_say_hello(struct envelope *envelope)
{
	unsigned char frame[WIRE_HEADER_SIZE];
	struct wire_writer w;

	wire_begin(&w, frame, sizeof(frame), WIRE_HELLO, envelope->sequence);
	return handle_send(envelope->handle, &w);
}

/* The order is that of the kernel's permissions: each step takes away what the next ones do without. */
static const struct envelope_step function_steps[] = {
	{ "The control groups of the function cannot be entered", step_enter_groups },
	{ "The namespaces of the function cannot be entered", step_join_namespaces },
	{ "The function cannot have mounts of its own", step_own_mounts },
	{ "The function cannot have namespaces of its own", step_own_namespaces },
	{ "The function's ids cannot be mapped", step_be_mapped },
	{ "The function's namespaces cannot be furnished", step_furnish },
	{ "The function's /tmp cannot be mounted", step_make_tmp },
	{ "The function's limits cannot be set", step_set_limits },
	{ "The function cannot lead a session", step_lead_session },
	{ "The function cannot give up its privileges", step_drop_privileges },
	/* After the change of identity, which clears it. */
	{ "The function cannot be tied to the supervisor's life", step_die_with_supervisor },
	{ "The folder with the function's code cannot be entered", step_enter_task_root },
	{ "The function's Landlock ruleset cannot be made", step_make_landlock },
	{ "The function's system calls cannot be filtered", step_filter_system_calls },
	{ "The function's places cannot be closed", step_close_places },
	{ "The function's descriptors cannot be made", step_place_descriptors },
	{ "The function cannot say that it exists", step_say_hello },
};

static const struct envelope_step isolate_steps[] = {
	{ "The isolate cannot be tied to the supervisor's life", step_die_with_supervisor },
	{ "The isolate's berth cannot be entered", step_enter_berth },
	{ "The isolate's /tmp cannot be attached", step_attach_tmp },
	{ "The isolate's /proc cannot be mounted", step_mount_proc },
	{ "The isolate's tasks cannot be limited", step_limit_tasks },
	{ "The isolate cannot be confined by Landlock", step_enter_landlock },
	{ "The isolate cannot give up its last capability", step_give_up_capabilities },
	{ "The isolate cannot lead a session", step_lead_session },
	{ "The isolate's limits cannot be set", step_limit_isolate },
	{ "The isolate's places cannot be closed", step_close_places },
	{ "The isolate's descriptors cannot be made", step_place_descriptors },
	{ "The isolate cannot say that it exists", step_say_hello },
};

static void envelope_take(
	struct envelope *envelope, const struct envelope_step *steps, size_t count)
{
	struct err *e = &envelope->handle->error;
	int r;

	for (size_t i = 0; i < count; i++) {
		r = steps[i].take(envelope);
		if (r == 0)
			continue;
		/* Not err_errno(): strerror_r() takes the lock of the message catalogues. */
		err_set(e, r, "%s: %s", steps[i].failed, strerrordesc_np(-r));
		/* Closed already, it is where the clone is to have it. */
		if (note_send(envelope->socket, e->text, r) < 0)
			(void)note_send(envelope->handle->fd, e->text, r);
		_exit(ENVELOPE_EXIT);
	}
}

void envelope_enter_function(struct envelope *envelope)
{
	envelope_take(envelope, function_steps, array_size(function_steps));
}

void envelope_enter_isolate(struct envelope *envelope)
{
	envelope_take(envelope, isolate_steps, array_size(isolate_steps));
}
