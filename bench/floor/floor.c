/*
 * floor.c - the floor of what answers HTTP here: libmicrohttpd, driven as polyvisor's front drives
 * it, giving the same reply to every request. `bench-floor PORT BODY [NAME VALUE]...`
 *
 * It serves until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* Like the front, it reads a request whole before it answers. */
static enum MHD_Result answer(void *reply, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **state)
{
	(void)url;
	(void)method;
	(void)version;
	(void)upload;
	if (!*state || *upload_size > 0) {
		*state = reply;
		*upload_size = 0;
		return MHD_YES;
	}
	return MHD_queue_response(connection, MHD_HTTP_OK, reply);
}

static struct MHD_Daemon *start(const char *port, struct MHD_Response *reply)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };

	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO, 0, NULL, NULL, answer, reply,
		MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
}

static int serve(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, info->epoll_fd, &event) < 0)
		return -errno;
	for (;;) {
		MHD_UNSIGNED_LONG_LONG timeout;
		int wait = MHD_get_timeout(daemon, &timeout) == MHD_YES ? (int)timeout : -1;

		if (epoll_wait(epoll, &event, 1, wait) < 0 && errno != EINTR)
			return -errno;
		MHD_run(daemon);
	}
}

int main(int argc, char **argv)
{
	struct MHD_Response *reply;
	struct MHD_Daemon *daemon;

	if (argc < 3) {
		fputs("usage: bench-floor PORT BODY [NAME VALUE]...\n", stderr);
		return 2;
	}
	reply = MHD_create_response_from_buffer(strlen(argv[2]), argv[2], MHD_RESPMEM_PERSISTENT);
	for (int i = 3; reply && i + 1 < argc; i += 2)
		MHD_add_response_header(reply, argv[i], argv[i + 1]);
	daemon = reply ? start(argv[1], reply) : NULL;
	if (!daemon) {
		fprintf(stderr, "bench-floor: it cannot serve at port %s\n", argv[1]);
		return 1;
	}
	fprintf(stderr, "bench-floor: %s\n", strerror(-serve(daemon)));
	return 1;
}
