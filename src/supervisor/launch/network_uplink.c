/*
 * network_uplink.c - the hub's way out: pasta while anybody goes out, and before that a watch on the
 * tap that pasta will serve.
 *
 * A pasta takes 20 MB, and most functions never send a packet. So it is started once to see that it
 * works, ended, and started for good by the first frame that comes out of the tap. Frames that came
 * meanwhile are sent again: who opens a connection would wait a second to do it himself.
 */
#include "supervisor/launch/network_hub.h"

#include "base/fd.h"
#include "supervisor/launch/network_links.h"
#include "supervisor/launch/network_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAP "tap"
#define UPLINK_STEP_MS 2
#define UPLINK_LIMIT 2500 /* steps until pasta is at the tap; 20 ms are usual */
#define FRAMES_MAX 16     /* kept while pasta starts */
#define FRAME_MAX ((size_t)LINKS_MTU + 14)

static _Noreturn void uplink_execute(const struct hub *hub, int complaints)
{
	static const char *const fixed[] = { "-f", "-q", "-4", "-I", "tap", "-t", "none", "-u",
		"none", "-T", "none", "-U", "none", "--no-map-gw", "--no-dhcp", "--no-dhcpv6",
		"--no-ndp", "--no-ra" };
	const char *argv[array_size(fixed) + 5];
	char *const environment[] = { NULL };
	char holder[16];
	size_t n = 0;

	argv[n++] = hub->tools.pasta;
	for (size_t i = 0; i < array_size(fixed); i++)
		argv[n++] = fixed[i];
	if (hub->resolvers.loopback) {
		argv[n++] = "--dns-forward";
		argv[n++] = "100.64.0.4";
	}
	snprintf(holder, sizeof(holder), "%d", hub->holder);
	argv[n++] = holder;
	argv[n] = NULL;
	signal(SIGPIPE, SIG_DFL); /* pasta takes one that is ignored for an error */
	if (hub_become_nobody_else(hub) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		dup2(complaints, 1) >= 0 && dup2(complaints, 2) >= 0 &&
		syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		execve(argv[0], (char *const *)argv, environment);
	dprintf(complaints, "%s\n", strerror(errno));
	_exit(127);
}

static int uplink_start(struct hub *hub)
{
	_cleanup_close_ int complaints = -1;
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	complaints = pipes[1];
	hub->uplink_complaints = pipes[0];
	/* In a pid namespace of its own, since pasta has children at its start that outlive a kill. */
	hub->uplink = (pid_t)syscall(
		SYS_clone, CLONE_NEWPID | CLONE_PIDFD | SIGCHLD, NULL, &hub->uplink_pidfd, NULL, 0);
	if (hub->uplink == 0)
		uplink_execute(hub, complaints);
	return hub->uplink < 0 ? -errno : 0;
}

/* The first line since the last call; the pipe takes what fits and pasta does not wait for it. Where
 * there is no system log it complains about that, too. */
static void uplink_listen(struct hub *hub, char *line, size_t size)
{
	char text[4096];
	ssize_t n;

	*line = '\0';
	while ((n = read(hub->uplink_complaints, text, sizeof(text) - 1)) > 0) {
		char *rest = text, *each;

		text[n] = '\0';
		while (!*line && (each = strsep(&rest, "\n")))
			if (*each && strncmp(each, "Failed to send", 14) != 0)
				snprintf(line, size, "%s", each);
	}
}

void hub_drain_complaints(struct hub *hub)
{
	char line[64];

	if (hub->uplink > 0)
		uplink_listen(hub, line, sizeof(line));
}

void hub_disconnect(struct hub *hub, struct err *e)
{
	char line[256] = "";
	int status = 0;

	if (hub->uplink <= 0)
		return;
	syscall(SYS_pidfd_send_signal, hub->uplink_pidfd, SIGKILL, NULL, 0);
	while (waitpid(hub->uplink, &status, 0) < 0 && errno == EINTR)
		continue;
	uplink_listen(hub, line, sizeof(line));
	err_set(e, -ECHILD, "pasta ended with status %#x%s%s", (unsigned)status, *line ? ": " : "",
		line);
	hub->uplink = 0;
	hub->uplink_pidfd = fd_close(hub->uplink_pidfd);
	hub->uplink_complaints = fd_close(hub->uplink_complaints);
}

/* A neighbour that is learnt would be forgotten, with the packet that waits for it, each time that the
 * tap changes hands. Pasta takes what comes out of the tap, whoever it is for. */
static int tap_configure(int index)
{
	static const unsigned char pasta[6] = { 0x02, 0x02, 0x70, 0, 0, 0 };
	const struct in_addr uplink = { htonl(RULES_UPLINK) };
	struct links_batch batch = { .count = 0 };

	links_raise(&batch, index, LINKS_MTU);
	links_add_address(&batch, index, (struct in_addr){ htonl(RULES_HUB) });
	links_add_neighbour(&batch, index, uplink, pasta);
	links_add_route(&batch, index, (struct in_addr){ INADDR_ANY }, uplink);
	return links_run(&batch);
}

/* In the hub. The device stays when nobody has it open, so that pasta and we can take turns. */
static int tap_attach(struct hub *hub, void *data)
{
	struct ifreq request = { .ifr_name = TAP, .ifr_flags = IFF_TAP | IFF_NO_PI };
	bool is_new = if_nametoindex(TAP) == 0;
	const int *socket_fd = data;
	_cleanup_close_ int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int r = 0;

	(void)hub;
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0 || ioctl(tap, TUNSETPERSIST, 1) < 0)
		return -errno;
	if (is_new)
		r = tap_configure((int)if_nametoindex(TAP));
	return r < 0 ? r : fd_send(*socket_fd, "t", 1, &tap, 1);
}

static int tap_open(struct hub *hub)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	struct fd_message message = { 0 };
	int pair[2], r;
	char text;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	r = hub_run(hub, tap_attach, &theirs);
	if (r == 0)
		r = fd_receive(ours, &text, 1, MSG_DONTWAIT, &message);
	if (r == 0 && message.fd_count != 1)
		r = -EBADMSG;
	if (r == 0)
		hub->tap = message.fds[0];
	return r;
}

/* 1 or 0, or -errno. Asked of the driver, since IFF_RUNNING tells of a change up to a second later. */
static int tap_is_attached(int any_socket)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq request = { .ifr_name = TAP, .ifr_data = (void *)&link };

	return ioctl(any_socket, SIOCETHTOOL, &request) < 0 ? -errno : link.data != 0;
}

/* In the hub: waits for pasta at the tap. -ECHILD when it ends instead. */
static int tap_await(struct hub *hub, void *data)
{
	struct pollfd end = { .fd = hub->uplink_pidfd, .events = POLLIN };
	_cleanup_close_ int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = any < 0 ? -errno : 0;

	(void)data;
	for (int i = 0; r == 0 && i < UPLINK_LIMIT; i++) {
		r = tap_is_attached(any);
		if (r != 0)
			return min_of(r, 0);
		if (poll(&end, 1, UPLINK_STEP_MS) > 0)
			return -ECHILD;
	}
	return r < 0 ? r : -ETIMEDOUT;
}

int hub_connect(struct hub *hub, struct err *e)
{
	int r = hub->tap < 0 ? tap_open(hub) : 0;

	hub->tap = fd_close(hub->tap);
	if (r == 0)
		r = uplink_start(hub);
	if (r == 0)
		r = hub_run(hub, tap_await, NULL);
	if (r == 0)
		return 0;
	if (r != -ECHILD)
		err_errno(e, r, "pasta cannot be connected");
	hub_disconnect(hub, r == -ECHILD ? e : NULL);
	return r;
}

int hub_rest(struct hub *hub, struct err *e)
{
	int r;

	hub_disconnect(hub, NULL);
	r = tap_open(hub);
	return r < 0 ? err_errno(e, r, "the way out of functions cannot be watched") : 0;
}

struct frames {
	struct buffer bytes;
	uint32_t sizes[FRAMES_MAX];
	size_t count;
};

static void frames_read(struct frames *frames, int tap)
{
	ssize_t n = 1;

	while (frames->count < FRAMES_MAX && n > 0 && buffer_reserve(&frames->bytes, FRAME_MAX)) {
		n = read(tap, frames->bytes.data + frames->bytes.size, FRAME_MAX);
		if (n <= 0)
			return;
		frames->bytes.size += (size_t)n;
		frames->sizes[frames->count++] = (uint32_t)n;
	}
}

/* In the hub. What is lost here, its sender sends again, but a second later. */
static int frames_send(struct hub *hub, void *data)
{
	const struct frames *frames = data;
	const char *frame = (const char *)frames->bytes.data;
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(TAP) };
	_cleanup_close_ int raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)hub;
	for (size_t i = 0; raw >= 0 && i < frames->count; i++) {
		if (sendto(raw, frame, frames->sizes[i], 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return -errno;
		frame += frames->sizes[i];
	}
	return raw < 0 ? -errno : 0;
}

int hub_wake(struct hub *hub, struct err *e)
{
	struct frames frames = { 0 };
	int r;

	frames_read(&frames, hub->tap);
	r = hub_connect(hub, e);
	if (r == 0)
		r = hub_run(hub, frames_send, &frames);
	buffer_done(&frames.bytes);
	return r < 0 && !e->code ? err_errno(e, r, "the first packets of functions are lost") : r;
}
