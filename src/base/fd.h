/*
 * fd.h - file descriptors: ownership, exact reads and writes, passing them over sockets.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>
#include <sys/socket.h>

#define FD_PASS_MAX 12 /* descriptors in one message; more than any message of ours carries */

/* Closes fd unless it is negative; keeps errno; returns -1, so that `fd = fd_close(fd)` works. */
int fd_close(int fd);

static inline void fd_close_pointer(int *fd)
{
	fd_close(*fd);
}

#define _cleanup_close_ _cleanup_(fd_close_pointer)

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Reads or writes all of size, going on after EINTR. 0, or -errno; end of file is -ENODATA. */
int fd_read_exactly(int fd, void *data, size_t size) MUST_CHECK;
int fd_write_all(int fd, const void *data, size_t size) MUST_CHECK;

int fd_set_nonblocking(int fd, bool on) MUST_CHECK;

/* Reads a whole small file (at most max bytes) into a malloc'd, NUL-terminated buffer. */
int fd_read_file(const char *path, size_t max, char **ret_text, size_t *ret_size) MUST_CHECK;

/* A message as it came from a socket; the descriptors belong to the receiver. */
struct fd_message {
	ssize_t size; /* bytes in the message; 0 is end of file */
	int fds[FD_PASS_MAX];
	size_t fd_count;
	bool truncated;       /* the message or its descriptors did not fit; those are closed */
	bool has_credentials; /* only on sockets with SO_PASSCRED */
	struct ucred credentials;
};

/* Sends one message with descriptors, which stay the caller's. Returns 0 or -errno (-EAGAIN too).
 */
int fd_send(int socket, const void *data, size_t size, const int *fds, size_t fd_count) MUST_CHECK;

/* Receives up to size bytes and any descriptors, close-on-exec. Returns 0 or -errno. */
int fd_receive(int socket, void *data, size_t size, int flags, struct fd_message *ret) MUST_CHECK;

/* Closes what came, without the wait that its sender may have asked the kernel for (SO_LINGER). */
void fd_message_done(struct fd_message *message);

/* Lets nobody pass descriptors to this end of a Unix socket (Linux 6.16; harmless before). */
void fd_refuse_descriptors(int socket);
