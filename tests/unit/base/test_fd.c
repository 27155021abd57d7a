/*
 * test_fd.c - base/fd.h: what a hostile peer may put into a message.
 */
#include "base/fd.h"
#include "base/usec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define MOST 253 /* the kernel's limit for one message */

/* As fd_send(), which has a limit. */
static int send_descriptors(int socket, const int *fds, size_t count)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int) * MOST)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.buffer,
		.msg_controllen = CMSG_SPACE(sizeof(int) * count) };

	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * count);
	return sendmsg(socket, &message, 0) < 0 ? -errno : 0;
}

static int lowest_free(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static void more_descriptors_than_fit_are_closed(void **state)
{
	static const size_t counts[] = { 0, 1, FD_PASS_MAX, FD_PASS_MAX + 1, 16, 17, MOST };
	int pair[2], fds[MOST], before;

	(void)state;
	for (size_t i = 0; i < MOST; i++)
		fds[i] = STDERR_FILENO;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	before = lowest_free();
	for (size_t i = 0; i < array_size(counts); i++) {
		struct fd_message message;
		char data[8];

		assert_int_equal(send_descriptors(pair[0], fds, counts[i]), 0);
		assert_int_equal(fd_receive(pair[1], data, sizeof(data), 0, &message), 0);
		assert_int_equal(message.size, 1);
		assert_int_equal(message.fd_count, min_of(counts[i], (size_t)FD_PASS_MAX));
		assert_int_equal(message.truncated, counts[i] > FD_PASS_MAX);
		assert_false(message.has_credentials);
		fd_message_done(&message);
		assert_int_equal(lowest_free(), before);
	}
	close(pair[0]);
	close(pair[1]);
}

/* A connection with bytes that nobody takes, whose last descriptor waits in close(). */
static int make_lingering(int *ret_peer)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 20 };
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char bytes[65536];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	*ret_peer = accept(listener, NULL, NULL);
	close(listener);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

static void a_descriptor_that_waits_in_close_does_not_hold_up_its_receiver(void **state)
{
	static const size_t counts[] = { 1, FD_PASS_MAX + 3 };

	(void)state;
	for (size_t i = 0; i < array_size(counts); i++) {
		struct fd_message message;
		int pair[2], fds[MOST], peer, fd = make_lingering(&peer);
		usec_t start = usec_monotonic();
		char data[8];

		for (size_t k = 0; k < MOST; k++)
			fds[k] = fd;
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(send_descriptors(pair[0], fds, counts[i]), 0);
		close(fd);
		assert_int_equal(fd_receive(pair[1], data, sizeof(data), 0, &message), 0);
		fd_message_done(&message);
		assert_true(usec_monotonic() - start < 10 * USEC_PER_SEC);
		close(pair[0]);
		close(pair[1]);
		close(peer);
	}
}

static void a_socket_can_refuse_descriptors(void **state)
{
	const int fds[] = { STDERR_FILENO };
	struct fd_message message;
	int pair[2], r;
	char data[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fd_refuse_descriptors(pair[1]);
	r = send_descriptors(pair[0], fds, 1);
	/* An older kernel sends them. */
	assert_true(r == -EPERM || r == 0);
	assert_int_equal(fd_send(pair[0], "plain", 5, NULL, 0), 0);
	if (r == 0) {
		assert_int_equal(fd_receive(pair[1], data, sizeof(data), 0, &message), 0);
		fd_message_done(&message);
	}
	assert_int_equal(fd_receive(pair[1], data, sizeof(data), 0, &message), 0);
	assert_int_equal(message.size, 5);
	/* The other direction is as it was. */
	assert_int_equal(send_descriptors(pair[1], fds, 1), 0);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_descriptors_than_fit_are_closed),
		cmocka_unit_test(a_descriptor_that_waits_in_close_does_not_hold_up_its_receiver),
		cmocka_unit_test(a_socket_can_refuse_descriptors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
