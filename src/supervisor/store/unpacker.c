/*
 * unpacker.c - see unpacker.h. The archive goes over as a file in memory, since the directory of a
 * zip archive is at its end; what comes back is an exit status and a sentence, which is not
 * trusted: it is cut, and what is not printable is replaced.
 */
#include "supervisor/store/unpacker.h"

#include "base/fd.h"
#include "base/usec.h"
#include "supervisor/store/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNPACKER_SECONDS 120 /* that it may take */
#define FIRST_FREE 10        /* descriptors below are given to the process by number */

struct unpacker {
	int archive, directory, sentence, report; /* report is our end of `sentence` */
	pid_t pid;
	int pidfd;
	char text[384];
	size_t text_size;
};

static int archive_to_memory(const void *archive, size_t size, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, archive, size);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE);
	return *ret_fd < 0 ? -errno : 0;
}

/* All descriptors that the child gets, above the numbers that it will have them at. */
static int unpacker_open(struct unpacker *u, const void *archive, size_t size, int directory)
{
	int ends[2] = { -1, -1 }, r = archive_to_memory(archive, size, &u->archive);

	if (r < 0)
		return r;
	u->directory = fcntl(directory, F_DUPFD_CLOEXEC, FIRST_FREE);
	if (u->directory < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	u->report = ends[0];
	r = fd_set_nonblocking(u->report, true);
	u->sentence = fcntl(ends[1], F_DUPFD_CLOEXEC, FIRST_FREE);
	if (r == 0 && u->sentence < 0)
		r = -errno;
	fd_close(ends[1]);
	return r;
}

static void unpacker_close(struct unpacker *u)
{
	fd_close(u->archive);
	fd_close(u->directory);
	fd_close(u->sentence);
	fd_close(u->report);
	fd_close(u->pidfd);
}

static int set_actions(const struct unpacker *u, posix_spawn_file_actions_t *actions)
{
	int r = posix_spawn_file_actions_adddup2(actions, u->archive, 0);

	if (r == 0)
		r = posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, u->sentence, 2);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, u->directory, UNPACK_DIRECTORY);
	return -r;
}

/* The worker's thread has every signal blocked; the child must not inherit that. */
static int set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	return -posix_spawnattr_setflags(
		attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* Our own program, also when its file was replaced meanwhile. posix_spawn() copies no memory. */
static int unpacker_spawn(struct unpacker *u)
{
	char *const argv[] = { (char *)"polyvisor", (char *)UNPACK_COMMAND, NULL };
	char *const environment[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	r = set_actions(u, &actions);
	if (r == 0)
		r = set_signals(&attributes);
	if (r == 0)
		r = -posix_spawn(
			&u->pid, "/proc/self/exe", &actions, &attributes, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	u->sentence = fd_close(u->sentence);
	if (r < 0)
		return r;
	/* Nobody else waits for this child, so its number is ours until waitid() has returned. */
	u->pidfd = (int)syscall(SYS_pidfd_open, u->pid, 0);
	return u->pidfd < 0 ? -errno : 0;
}

/* Takes what there is of the sentence; what is too long for it is dropped. */
static void unpacker_read(struct unpacker *u)
{
	char rest[256];
	ssize_t n;

	do {
		size_t room = sizeof(u->text) - 1 - u->text_size;

		n = read(u->report, room ? u->text + u->text_size : rest,
			room ? room : sizeof(rest));
		u->text_size += room && n > 0 ? (size_t)n : 0;
	} while (n > 0);
}

/* Until the process has ended: 0, or -ETIMEDOUT. It may close the pipe long before. */
static int unpacker_listen(struct unpacker *u)
{
	usec_t deadline = usec_monotonic() + UNPACKER_SECONDS * USEC_PER_SEC, now;

	while ((now = usec_monotonic()) < deadline) {
		struct pollfd fds[] = { { .fd = u->pidfd, .events = POLLIN },
			{ .fd = u->report, .events = POLLIN } };

		if (poll(fds, array_size(fds), (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
			continue;
		if (fds[1].revents)
			unpacker_read(u);
		if (fds[0].revents)
			return 0;
		if (fds[1].revents & POLLHUP)
			poll(fds, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1);
	}
	return -ETIMEDOUT;
}

static int unpacker_reap(struct unpacker *u, siginfo_t *ret)
{
	*ret = (siginfo_t){ 0 };
	while (waitid(P_PIDFD, (id_t)u->pidfd, ret, WEXITED) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static const char *unpacker_sentence(struct unpacker *u)
{
	for (size_t i = 0; i < u->text_size; i++)
		if ((unsigned char)u->text[i] < 0x20 || u->text[i] == 0x7f)
			u->text[i] = '?';
	u->text[u->text_size] = '\0';
	return u->text;
}

static int unpacker_judge(struct unpacker *u, const siginfo_t *info, struct err *e)
{
	if (info->si_code == CLD_EXITED && info->si_status == UNPACK_DONE)
		return 0;
	if (info->si_code == CLD_EXITED && info->si_status == UNPACK_INVALID) {
		err_set(e, -EINVAL, "%s", unpacker_sentence(u));
		return UNPACKER_INVALID;
	}
	if (info->si_code == CLD_EXITED)
		return err_set(e, -EIO, "The code could not be unpacked: %s", unpacker_sentence(u));
	/* A limit on its time or memory, or a defect that the archive has found. */
	err_set(e, -EINVAL, "the process that unpacked it was ended by signal %d.",
		info->si_status);
	return UNPACKER_INVALID;
}

static int unpacker_finish(struct unpacker *u, struct err *e)
{
	bool overdue = unpacker_listen(u) < 0;
	siginfo_t info;
	int r;

	if (overdue)
		syscall(SYS_pidfd_send_signal, u->pidfd, SIGKILL, NULL, 0);
	r = unpacker_reap(u, &info);
	if (r < 0)
		return err_errno(e, r, "Could not wait for the process that unpacks an archive");
	if (overdue) {
		err_set(e, -EINVAL, "it took more than %d seconds to unpack.", UNPACKER_SECONDS);
		return UNPACKER_INVALID;
	}
	return unpacker_judge(u, &info, e);
}

int unpacker_run(const void *archive, size_t size, int directory, struct err *e)
{
	struct unpacker u = {
		.archive = -1, .directory = -1, .sentence = -1, .report = -1, .pidfd = -1
	};
	int r = unpacker_open(&u, archive, size, directory);

	if (r == 0)
		r = unpacker_spawn(&u);
	if (r < 0)
		err_errno(e, r, "Could not start the process that unpacks an archive");
	else
		r = unpacker_finish(&u, e);
	unpacker_close(&u);
	return r;
}
