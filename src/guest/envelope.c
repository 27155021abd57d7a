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

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
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

static int step_enter_mounts(struct envelope *envelope)
{
	if (envelope->mount_namespace < 0)
		return 0;
	return errno_of(setns(envelope->mount_namespace, CLONE_NEWNS));
}

/* What a function does to its mounts reaches neither its init nor anything outside. */
static int step_own_mounts(struct envelope *envelope)
{
	if (envelope->mount_namespace < 0)
		return 0;
	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	return errno_of(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static int step_enter_task_root(struct envelope *envelope)
{
	const struct role *become = &envelope->handle->become;
	const char *root = wire_find(become->fields, become->fields_size, WIRE_TASK_ROOT);

	return errno_of(chdir(root ? root : "/"));
}

static int step_attach_tmp(struct envelope *envelope)
{
	if (envelope->tmp < 0)
		return 0;
	return errno_of((int)syscall(
		SYS_move_mount, envelope->tmp, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH));
}

/* The isolate is alone in its pid namespace and must see its own numbers. */
static int step_mount_proc(struct envelope *envelope)
{
	if (envelope->tmp < 0)
		return 0;
	return errno_of(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

static int step_lead_session(struct envelope *envelope)
{
	(void)envelope;
	return errno_of(setsid());
}

static int step_close_places(struct envelope *envelope)
{
	int *const places[] = { &envelope->pid_namespace, &envelope->mount_namespace,
		&envelope->tmp, &envelope->cgroup };

	for (size_t i = 0; i < array_size(places); i++)
		*places[i] = fd_close(*places[i]);
	return 0;
}

/* The template's socket and console go; every other descriptor becomes the clone's own. */
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

static const struct envelope_step function_steps[] = {
	{ "The function cannot be tied to the supervisor's life", step_die_with_supervisor },
	{ "The mounts of the function cannot be entered", step_enter_mounts },
	{ "The function cannot have mounts of its own", step_own_mounts },
	{ "The folder with the function's code cannot be entered", step_enter_task_root },
	{ "The function cannot lead a session", step_lead_session },
	{ "The function's places cannot be closed", step_close_places },
	{ "The function's descriptors cannot be made", step_place_descriptors },
	{ "The function cannot say that it exists", step_say_hello },
};

static const struct envelope_step isolate_steps[] = {
	{ "The isolate cannot be tied to the supervisor's life", step_die_with_supervisor },
	{ "The isolate's /tmp cannot be attached", step_attach_tmp },
	{ "The isolate's /proc cannot be mounted", step_mount_proc },
	{ "The isolate cannot lead a session", step_lead_session },
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
		(void)note_send(envelope->socket, e->text, r);
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
