/*
 * fd.c - see fd.h.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FD_KERNEL_MAX 253 /* SCM_MAX_FD */

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* headers of Debian 12 are older */
#endif

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

/* Not on a socket: nothing to do. */
static void fd_close_at_once(int fd)
{
	const struct linger none = { 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	fd_close(fd);
}

int fd_read_exactly(int fd, void *data, size_t size)
{
	char *p = data;

	while (size > 0) {
		ssize_t n = read(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int fd_write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int fd_set_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int fd_read_file(const char *path, size_t max, char **ret_text, size_t *ret_size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	if (fd < 0)
		return -errno;
	text = malloc(max + 1);
	if (!text)
		return -ENOMEM;
	while (size <= max) {
		ssize_t n = read(fd, text + size, max + 1 - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
	}
	if (size > max)
		return -EFBIG;
	text[size] = '\0';
	*ret_text = take_ptr(text);
	if (ret_size)
		*ret_size = size;
	return 0;
}

int fd_send(int socket, const void *data, size_t size, const int *fds, size_t fd_count)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (fd_count > FD_PASS_MAX)
		return -EINVAL;
	if (fd_count > 0) {
		struct cmsghdr *header = &control.align;

		message.msg_control = control.buffer;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	do {
		n = sendmsg(socket, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EMSGSIZE;
}

/* More than a message of ours has: the sender is not one of ours, or is hostile. */
static void fd_message_keep(struct fd_message *m, const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (m->fd_count < FD_PASS_MAX) {
			m->fds[m->fd_count++] = fds[i];
			continue;
		}
		fd_close_at_once(fds[i]);
		m->truncated = true;
	}
}

static void fd_message_collect(struct fd_message *m, struct msghdr *message)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
		if (h->cmsg_level != SOL_SOCKET)
			continue;
		if (h->cmsg_type == SCM_RIGHTS)
			fd_message_keep(m, (const int *)CMSG_DATA(h),
				(h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		if (h->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&m->credentials, CMSG_DATA(h), sizeof(m->credentials));
			m->has_credentials = true;
		}
	}
}

int fd_receive(int socket, void *data, size_t size, int flags, struct fd_message *ret)
{
	/* Room for all that the kernel passes: what does not fit it would close itself, in this
	 * process, and a close can wait. */
	union {
		char buffer[CMSG_SPACE(sizeof(int) * FD_KERNEL_MAX) +
			    CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec part = { .iov_base = data, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.buffer,
		.msg_controllen = sizeof(control.buffer),
	};
	ssize_t n;

	do {
		n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*ret = (struct fd_message){
		.size = n,
		.truncated = message.msg_flags & (MSG_TRUNC | MSG_CTRUNC),
	};
	fd_message_collect(ret, &message);
	return 0;
}

void fd_message_done(struct fd_message *message)
{
	for (size_t i = 0; i < message->fd_count; i++)
		fd_close_at_once(message->fds[i]);
	message->fd_count = 0;
}

void fd_refuse_descriptors(int socket)
{
	const int off = 0;

	(void)setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}
