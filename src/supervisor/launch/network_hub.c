/*
 * network_hub.c - see network_hub.h.
 */
#include "supervisor/launch/network_hub.h"

#include "base/fd.h"
#include "supervisor/launch/network_links.h"
#include "supervisor/launch/network_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* An id between those that systemd gives to containers and those that are signed: nobody's. */
#define HUB_UID 2147418112u

#define HUB_PAIRS_TRIED 100

#define HUB_LOOPBACK 1   /* numbers of interfaces */
#define HUB_FUNCTION 100 /* eth0 of a function; small ones are of tunnels on some machines */
#define HUB_FIRST 1000   /* the hub's end of the first function's pair */

static struct in_addr address_of(uint32_t number)
{
	return (struct in_addr){ htonl(number) };
}

static int proc_write(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* Root of the machine: of a user namespace, an id of the hub's own would have to be mapped. */
static bool is_root(void)
{
	_cleanup_free_ char *map = NULL;
	unsigned inside, outside, count;

	if (geteuid() != 0 || fd_read_file("/proc/self/uid_map", 4096, &map, NULL) < 0)
		return false;
	return sscanf(map, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 &&
	       outside == 0 && count == UINT32_MAX;
}

int hub_check(struct hub *hub, struct err *e)
{
	hub->root = is_root();
	return egress_find(&hub->tools, e);
}

/* Where only root may open the device, pasta gets a node of its own. Nobody else has this mount
 * namespace. */
static int hub_mount_tun(void)
{
	if (mount("dev", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=4k") < 0 ||
		mkdir("/dev/net", 0755) < 0 ||
		mknod("/dev/net/tun", S_IFCHR | 0600, makedev(10, 200)) < 0 ||
		chmod("/dev/net/tun", 0666) < 0)
		return -errno;
	return 0;
}

/* The init's own /proc, so that pasta and we mean the same by a number. */
static int hub_mount(struct hub *hub, struct err *e)
{
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_errno(e, -errno, "the network helper cannot mount its /proc");
	if (!hub->root || !hub->tools.tun_is_closed)
		return 0;
	r = hub_mount_tun();
	return r < 0 ? err_errno(e, r,
			       "/dev/net/tun is root's only (chmod 0666 /dev/net/tun opens it, as "
			       "most systems have it), and there can be no other")
		     : 0;
}

int hub_run(struct hub *hub, int (*work)(struct hub *hub, void *data), void *data)
{
	int status, r;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = setns(hub->network, CLONE_NEWNET) < 0 ? -errno : work(hub, data);
		_exit(-r);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int hub_become_nobody_else(const struct hub *hub)
{
	if (!hub->root)
		return 0;
	/* The group list and the group first: they need the rights that go with the id. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 || setresgid(HUB_UID, HUB_UID, HUB_UID) < 0 ||
		setresuid(HUB_UID, HUB_UID, HUB_UID) < 0)
		return -errno;
	return 0;
}

/* A user namespace as well, so that pasta may enter with no right but that of being its owner. */
static int holder_enter(const struct hub *hub)
{
	char map[32];
	int r = hub_become_nobody_else(hub);

	if (r < 0)
		return r;
	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	/* The change of id has hidden the namespaces from pasta, which is of the same id. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	r = proc_write("/proc/self/setgroups", "deny");
	if (r == 0)
		r = proc_write("/proc/self/uid_map", map);
	return r < 0 ? r : proc_write("/proc/self/gid_map", map);
}

/* Says that it is there by its namespace, or why it is not by nothing but the number. */
static _Noreturn void holder_run(const struct hub *hub, int socket_fd)
{
	int r = holder_enter(hub), network = -1;

	prctl(PR_SET_NAME, "polyvisor-hub");
	if (r == 0) {
		network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		r = network < 0 ? -errno : 0;
	}
	if (fd_send(socket_fd, &r, sizeof(r), &network, r == 0 ? 1 : 0) < 0 || r < 0)
		_exit(1);
	syscall(SYS_close_range, 0, ~0U, 0);
	/* Until the helper, the init of this pid namespace, ends. */
	for (;;)
		pause();
}

static int holder_start(struct hub *hub)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	struct fd_message message = { 0 };
	int pair[2], r, said = -ECHILD;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	hub->holder = fork();
	if (hub->holder < 0)
		return -errno;
	if (hub->holder == 0)
		holder_run(hub, theirs);
	theirs = fd_close(theirs);
	r = fd_receive(ours, &said, sizeof(said), 0, &message);
	if (r < 0 || said < 0 || message.fd_count != 1)
		return r < 0 ? r : said < 0 ? said : -ECHILD;
	hub->network = message.fds[0];
	return 0;
}

/* Of interfaces that are still to come: a loopback keeps ::1. */
static int ipv6_disable(void)
{
	int r = proc_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");

	return r == -ENOENT ? 0 : r;
}

/* Connections that ended are forgotten sooner than by default, since those that a function may have
 * are counted; and those that nothing is heard of, within an hour. Not every kernel has them all. */
static void hub_tune(void)
{
	static const struct {
		const char *name, *seconds;
	} timeouts[] = {
		{ "tcp_timeout_established", "3600" },
		{ "tcp_timeout_syn_sent", "60" },
		{ "tcp_timeout_fin_wait", "30" },
		{ "tcp_timeout_time_wait", "10" },
		{ "udp_timeout", "15" },
		{ "udp_timeout_stream", "60" },
	};
	char path[96];

	for (size_t i = 0; i < array_size(timeouts); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/netfilter/nf_conntrack_%s",
			timeouts[i].name);
		if (proc_write(path, timeouts[i].seconds) < 0)
			continue;
	}
}

static int hub_furnish(struct hub *hub, void *data)
{
	struct links_batch batch = { .count = 0 };
	int r = ipv6_disable();

	(void)hub;
	(void)data;
	hub_tune();
	links_raise(&batch, HUB_LOOPBACK, 0);
	if (r == 0)
		r = links_run(&batch);
	return r < 0 ? r : proc_write("/proc/sys/net/ipv4/ip_forward", "1");
}

int hub_build(struct hub *hub, struct err *e)
{
	int r = 0;

	if (!hub->mounted)
		r = hub_mount(hub, e);
	if (r < 0)
		return r;
	hub->mounted = true;
	if (hub->machine_link < 0)
		r = links_open(&hub->machine_link);
	if (r == 0 && hub->machine_watch < 0)
		r = links_watch(&hub->machine_watch);
	if (r == 0 && hub->network < 0)
		r = holder_start(hub);
	if (r < 0)
		return err_errno(e, r, "the network namespace of functions cannot be made");
	/* Nothing is forwarded before there are rules. */
	r = rules_load(&(struct rules){ hub->tools.nft, hub->network }, hub->allowed, e);
	if (r < 0)
		return r;
	r = hub_run(hub, hub_furnish, NULL);
	return r < 0 ? err_errno(e, r, "the network namespace of functions cannot be furnished")
		     : 0;
}

static void local_append(void *data, struct in_addr address, unsigned bits)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &address, text, sizeof(text));
	buffer_printf(data, "%s/%u,", text, bits);
}

static bool buffer_equal(const struct buffer *a, const struct buffer *b)
{
	return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

int hub_refresh(struct hub *hub, struct err *e)
{
	_cleanup_buffer_ struct buffer local = { 0 };
	struct resolvers resolvers;
	int r;

	links_drain(hub->machine_watch);
	r = links_for_each_local(hub->machine_link, local_append, &local);
	if (r == 0 && local.failed)
		r = -ENOMEM;
	if (r < 0)
		return err_errno(e, r, "the addresses of this machine cannot be read");
	hub_drain_complaints(hub);
	resolvers_read(&resolvers);
	if (hub->refreshed && resolvers_equal(&resolvers, &hub->resolvers) &&
		buffer_equal(&local, &hub->local))
		return 0;
	r = rules_update(&(struct rules){ hub->tools.nft, hub->network }, &local, &resolvers, e);
	if (r < 0)
		return r;
	/* Pasta reads who it stands in for at its start. */
	if (hub->uplink > 0 && resolvers.loopback && !resolvers_equal(&resolvers, &hub->resolvers))
		syscall(SYS_pidfd_send_signal, hub->uplink_pidfd, SIGKILL, NULL, 0);
	hub->resolvers = resolvers;
	buffer_done(&hub->local);
	hub->local = local;
	local = (struct buffer){ 0 };
	hub->refreshed = true;
	return 0;
}

/* Own bits say whose end it is; the others are the function's number. */
static void mac_of(uint32_t number, bool function, unsigned char mac[static 6])
{
	const unsigned char bytes[] = { 0x02, function, 0x70, (unsigned char)(number >> 16),
		(unsigned char)(number >> 8), (unsigned char)number };

	memcpy(mac, bytes, sizeof(bytes));
}

struct pair {
	struct in_addr address;
	char name[16];
	struct links_end function, hub;
	int socket; /* that the function's namespace is sent over */
};

static void pair_next(struct hub *hub, struct pair *pair)
{
	uint32_t number = hub->next++;

	if (RULES_FUNCTIONS + hub->next >= RULES_FUNCTIONS_END)
		hub->next = 0;
	pair->address = address_of(RULES_FUNCTIONS + number);
	snprintf(pair->name, sizeof(pair->name), "pv%u", number);
	pair->function = (struct links_end){ .name = "eth0", .index = HUB_FUNCTION };
	pair->hub = (struct links_end){ .name = pair->name, .index = HUB_FIRST + (int)number };
	mac_of(number, true, pair->function.mac);
	mac_of(number, false, pair->hub.mac);
}

/* In the function's namespace. */
static int pair_make(const struct hub *hub, const struct pair *pair)
{
	struct links_batch batch = { .count = 0 };
	int r = ipv6_disable();

	links_add_pair(&batch, &pair->function, &pair->hub, hub->network);
	links_raise(&batch, HUB_LOOPBACK, 0);
	links_add_address(&batch, HUB_FUNCTION, pair->address);
	links_add_neighbour(&batch, HUB_FUNCTION, address_of(RULES_GATEWAY), pair->hub.mac);
	links_add_route(&batch, HUB_FUNCTION, address_of(INADDR_ANY), address_of(RULES_GATEWAY));
	return r < 0 ? r : links_run(&batch);
}

/* In the hub's. */
static int pair_accept(const struct pair *pair)
{
	struct links_batch batch = { .count = 0 };

	links_raise(&batch, pair->hub.index, 0);
	links_add_neighbour(&batch, pair->hub.index, pair->address, pair->function.mac);
	links_add_route(&batch, pair->hub.index, pair->address, address_of(INADDR_ANY));
	return links_run(&batch);
}

static int pair_connect(struct hub *hub, void *data)
{
	const struct pair *pair = data;
	int network, r;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	r = network < 0 ? -errno : pair_make(hub, pair);
	if (r == 0 && setns(hub->network, CLONE_NEWNET) < 0)
		r = -errno;
	if (r == 0)
		r = pair_accept(pair);
	return r < 0 ? r : fd_send(pair->socket, "n", 1, &network, 1);
}

int hub_attach(struct hub *hub, int *ret_network)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	struct fd_message message = { 0 };
	struct pair pair;
	int sockets[2], r = -EEXIST;
	char text;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	ours = sockets[0];
	theirs = pair.socket = sockets[1];
	/* Numbers come round after four million; one that is in use still is passed over. */
	for (int i = 0; r == -EEXIST && i < HUB_PAIRS_TRIED; i++) {
		pair_next(hub, &pair);
		r = hub_run(hub, pair_connect, &pair);
	}
	if (r == 0)
		r = fd_receive(ours, &text, 1, MSG_DONTWAIT, &message);
	if (r == 0 && message.fd_count != 1)
		r = -EBADMSG;
	if (r == 0)
		*ret_network = message.fds[0];
	return r;
}
