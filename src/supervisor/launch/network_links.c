/*
 * network_links.c - see network_links.h.
 */
#include "supervisor/launch/network_links.h"

#include "base/fd.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <unistd.h>

/* A request at the end of the batch; batch_end() makes it part of it. Requests are of fixed size, so
 * that a batch that overflows is a mistake of ours: it is left as one that the kernel refuses. */
static struct nlmsghdr *batch_begin(struct links_batch *batch, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(batch->data + batch->size);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	request->nlmsg_seq = ++batch->count;
	return request;
}

static void batch_end(struct links_batch *batch, const struct nlmsghdr *request)
{
	batch->size += request->nlmsg_len;
}

static void put_address(struct nlmsghdr *request, uint16_t type, struct in_addr address)
{
	if (address.s_addr != INADDR_ANY)
		mnl_attr_put(request, type, sizeof(address), &address);
}

static void put_end(struct nlmsghdr *request, const struct links_end *end)
{
	mnl_attr_put_strz(request, IFLA_IFNAME, end->name);
	mnl_attr_put(request, IFLA_ADDRESS, sizeof(end->mac), end->mac);
	mnl_attr_put_u32(request, IFLA_MTU, LINKS_MTU);
}

static void put_interface(struct nlmsghdr *request, int index, bool up)
{
	struct ifinfomsg *interface = mnl_nlmsg_put_extra_header(request, sizeof(*interface));

	interface->ifi_index = index;
	interface->ifi_flags = interface->ifi_change = up ? IFF_UP : 0;
}

void links_add_pair(struct links_batch *batch, const struct links_end *here,
	const struct links_end *peer, int peer_namespace)
{
	struct nlmsghdr *request = batch_begin(batch, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data, *other;

	put_interface(request, here->index, true);
	put_end(request, here);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	other = mnl_attr_nest_start(request, VETH_INFO_PEER);
	put_interface(request, peer->index, false); /* it is no pair yet: refused */
	put_end(request, peer);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)peer_namespace);
	mnl_attr_nest_end(request, other);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	batch_end(batch, request);
}

void links_raise(struct links_batch *batch, int index, unsigned mtu)
{
	struct nlmsghdr *request = batch_begin(batch, RTM_NEWLINK, 0);

	put_interface(request, index, true);
	if (mtu)
		mnl_attr_put_u32(request, IFLA_MTU, mtu);
	batch_end(batch, request);
}

void links_add_address(struct links_batch *batch, int index, struct in_addr address)
{
	struct nlmsghdr *request = batch_begin(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));

	message->ifa_family = AF_INET;
	message->ifa_prefixlen = 32;
	message->ifa_index = (unsigned)index;
	put_address(request, IFA_LOCAL, address);
	put_address(request, IFA_ADDRESS, address);
	batch_end(batch, request);
}

void links_add_route(
	struct links_batch *batch, int index, struct in_addr to, struct in_addr gateway)
{
	struct nlmsghdr *request = batch_begin(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));
	bool direct = gateway.s_addr == INADDR_ANY;

	message->rtm_family = AF_INET;
	message->rtm_dst_len = to.s_addr == INADDR_ANY ? 0 : 32;
	message->rtm_table = RT_TABLE_MAIN;
	message->rtm_protocol = RTPROT_STATIC;
	message->rtm_scope = direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	message->rtm_type = RTN_UNICAST;
	message->rtm_flags = direct ? 0 : RTNH_F_ONLINK;
	put_address(request, RTA_DST, to);
	put_address(request, RTA_GATEWAY, gateway);
	mnl_attr_put_u32(request, RTA_OIF, (uint32_t)index);
	batch_end(batch, request);
}

void links_add_neighbour(struct links_batch *batch, int index, struct in_addr address,
	const unsigned char mac[static 6])
{
	struct nlmsghdr *request = batch_begin(batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
	struct ndmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));

	message->ndm_family = AF_INET;
	message->ndm_ifindex = index;
	message->ndm_state = NUD_PERMANENT;
	put_address(request, NDA_DST, address);
	mnl_attr_put(request, NDA_LLADDR, 6, mac);
	batch_end(batch, request);
}

static int netlink_open(unsigned groups, int *ret_fd)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Counts the answers in a received message; 0, or what the first failure said. */
static int answers_read(const char *data, int size, unsigned *answered)
{
	const struct nlmsghdr *answer = (const struct nlmsghdr *)data;
	int r = 0;

	for (; mnl_nlmsg_ok(answer, size); answer = mnl_nlmsg_next(answer, &size)) {
		const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);

		if (answer->nlmsg_type != NLMSG_ERROR)
			continue;
		++*answered;
		if (r == 0)
			r = error->error;
	}
	return r;
}

static int batch_send(const struct links_batch *batch)
{
	_Alignas(8) char answer[8192];
	_cleanup_close_ int fd = -1;
	unsigned answered = 0;
	int r = netlink_open(0, &fd);

	if (r == 0 && send(fd, batch->data, batch->size, 0) < 0)
		r = -errno;
	while (r == 0 && answered < batch->count) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);

		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n > 0)
			r = answers_read(answer, (int)n, &answered);
	}
	return r;
}

int links_run(struct links_batch *batch)
{
	int r = batch_send(batch);

	batch->size = batch->count = 0;
	return r;
}

int links_watch(int *ret_fd)
{
	return netlink_open(RTMGRP_IPV4_ROUTE, ret_fd);
}

int links_open(int *ret_fd)
{
	const int on = 1;
	int r = netlink_open(0, ret_fd);

	/* Where it is known, one table is dumped when one is asked for, not a million routes. */
	if (r == 0 && setsockopt(*ret_fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0)
		return errno == ENOPROTOOPT ? 0 : -errno;
	return r;
}

void links_drain(int fd)
{
	char data[8192];

	/* Messages that were lost (ENOBUFS) are as good as those that came: what they tell is read
	 * anew in either case. */
	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
		errno == EINTR)
		continue;
}

struct local_reader {
	links_local_fn each;
	void *data;
};

/* The table named "local" is what the kernel asks whether a packet is for this machine. */
static int local_route(const struct nlmsghdr *answer, void *data)
{
	const struct local_reader *reader = data;
	const struct rtmsg *message = mnl_nlmsg_get_payload(answer);
	const struct nlattr *attribute;

	if (message->rtm_table != RT_TABLE_LOCAL || message->rtm_family != AF_INET)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, answer, sizeof(*message))
	{
		struct in_addr address;

		if (mnl_attr_get_type(attribute) != RTA_DST ||
			mnl_attr_get_payload_len(attribute) != sizeof(address))
			continue;
		memcpy(&address, mnl_attr_get_payload(attribute), sizeof(address));
		reader->each(reader->data, address, message->rtm_dst_len);
	}
	return MNL_CB_OK;
}

static int local_request(int fd)
{
	_Alignas(8) char data[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(data);
	struct rtmsg *message = mnl_nlmsg_put_extra_header(request, sizeof(*message));

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->rtm_family = AF_INET;
	message->rtm_table = RT_TABLE_LOCAL;
	return send(fd, request, request->nlmsg_len, 0) < 0 ? -errno : 0;
}

int links_for_each_local(int socket_fd, links_local_fn each, void *data)
{
	_Alignas(8) static char answer[32 * 1024];
	struct local_reader reader = { .each = each, .data = data };
	int r, more = MNL_CB_OK;

	/* What is left of an answer that was broken off. */
	links_drain(socket_fd);
	r = local_request(socket_fd);
	while (r == 0 && more > MNL_CB_STOP) {
		ssize_t n = recv(socket_fd, answer, sizeof(answer), 0);

		if (n < 0)
			r = -errno;
		else
			more = mnl_cb_run(answer, (size_t)n, 0, 0, local_route, &reader);
		if (more < 0)
			r = -errno;
	}
	return r;
}
