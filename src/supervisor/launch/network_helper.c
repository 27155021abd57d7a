/*
 * network_helper.c - see network_helper.h.
 */
#include "supervisor/launch/network_helper.h"

#include "base/fd.h"
#include "base/usec.h"
#include "supervisor/launch/child.h"
#include "supervisor/launch/network_hub.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define HELPER_TURN (10 * USEC_PER_SEC)    /* how often it looks at what does not announce itself */
#define HELPER_SPARES 4                    /* made ahead, since a first call waits for it */
#define HELPER_PAUSE (200 * USEC_PER_MSEC) /* before pasta is started again */

struct helper {
	struct hub hub;
	int socket, supervisor_pidfd;
	int spares[HELPER_SPARES]; /* networks that no function has yet */
	size_t spare_count;
	bool spares_fail;
	bool built;
	bool available; /* once it is, it stays so: a way that is lost is found again */
	struct network_report news;
};

/* The supervisor is gone, and with us everything of the network. */
static _Noreturn void helper_end(void)
{
	_exit(0);
}

static void helper_send(struct helper *helper, const struct network_report *report, int network)
{
	if (fd_send(helper->socket, report, sizeof(*report), &network, network >= 0) < 0)
		helper_end();
}

/* Says it once: what is tried again and again fails for the same reason. */
static void helper_tell(struct helper *helper, const struct network_report *news)
{
	if (news->available == helper->news.available && !strcmp(news->text, helper->news.text))
		return;
	helper->news = *news;
	helper_send(helper, news, -1);
}

static void helper_tell_fault(struct helper *helper, const struct err *e)
{
	struct network_report news = { .available = helper->available, .fault = true };

	snprintf(news.text, sizeof(news.text), "%s", e->text);
	helper_tell(helper, &news);
}

static void helper_tell_resolvers(struct helper *helper)
{
	const struct resolvers *resolvers = &helper->hub.resolvers;
	struct network_report news = { .available = true };
	char address[INET_ADDRSTRLEN];
	size_t n = 0;

	for (unsigned i = 0; i < resolvers->count; i++) {
		inet_ntop(AF_INET, &resolvers->addresses[i], address, sizeof(address));
		n += (size_t)snprintf(news.text + n, sizeof(news.text) - n, "%s%s",
			i ? " and " : "names by ", address);
	}
	if (resolvers->count == 0)
		snprintf(news.text, sizeof(news.text),
			"no names, since /etc/resolv.conf has no resolver with an IPv4 address");
	helper_tell(helper, &news);
}

/* One attempt at what is not there yet. */
static int helper_try(struct helper *helper, struct err *e)
{
	struct hub *hub = &helper->hub;
	int r = 0;

	if (!helper->built) {
		r = hub_check(hub, e);
		if (r == 0)
			r = hub_build(hub, e);
		helper->built = r == 0;
	}
	/* The rules come before the way out. */
	if (r == 0)
		r = hub_refresh(hub, e);
	if (r == 0 && hub->uplink <= 0 && hub->tap < 0) {
		r = hub_connect(hub, e);
		if (r == 0)
			r = hub_rest(hub, e);
	}
	return r;
}

static void helper_turn(struct helper *helper)
{
	struct err e = { 0 };

	if (helper_try(helper, &e) < 0) {
		helper_tell_fault(helper, &e);
		return;
	}
	helper->available = true;
	helper_tell_resolvers(helper);
}

static void helper_uplink_ended(struct helper *helper, usec_t *turn)
{
	struct err e = { 0 };

	hub_disconnect(&helper->hub, &e);
	helper_tell_fault(helper, &e);
	*turn = min_of(*turn, usec_monotonic() + HELPER_PAUSE);
}

/* The first packet of a function; until pasta is there, the others wait. */
static void helper_wake(struct helper *helper, usec_t *turn)
{
	struct err e = { 0 };

	if (hub_wake(&helper->hub, &e) == 0)
		return;
	helper_tell_fault(helper, &e);
	*turn = min_of(*turn, usec_monotonic() + HELPER_PAUSE);
}

static void helper_serve(struct helper *helper)
{
	struct network_report report = { 0 };
	struct network_request request;
	struct fd_message message;
	_cleanup_close_ int network = -1;

	if (fd_receive(helper->socket, &request, sizeof(request), 0, &message) < 0 ||
		message.size != sizeof(request))
		helper_end();
	report.sequence = request.sequence;
	helper->spares_fail = false;
	if (helper->spare_count > 0)
		network = helper->spares[--helper->spare_count];
	else
		report.error = helper->available ? hub_attach(&helper->hub, &network) : -ENETDOWN;
	helper_send(helper, &report, network);
}

static bool helper_wants_spare(const struct helper *helper)
{
	return helper->available && helper->spare_count < HELPER_SPARES && !helper->spares_fail;
}

/* A failure shows where one is asked for; it is not tried again before then. */
static void helper_make_spare(struct helper *helper)
{
	int network = -1;

	helper->spares_fail = hub_attach(&helper->hub, &network) < 0;
	if (network >= 0)
		helper->spares[helper->spare_count++] = network;
}

/* Waits for something to do; what is not there is not waited for. */
static void helper_wait(struct helper *helper, usec_t *turn)
{
	enum {
		SUPERVISOR,
		SOCKET,
		MACHINE,
		UPLINK,
		TAP
	};
	struct pollfd watched[] = {
		[SUPERVISOR] = { .fd = helper->supervisor_pidfd, .events = POLLIN },
		[SOCKET] = { .fd = helper->socket, .events = POLLIN },
		[MACHINE] = { .fd = helper->hub.machine_watch, .events = POLLIN },
		[UPLINK] = { .fd = helper->hub.uplink_pidfd, .events = POLLIN },
		[TAP] = { .fd = helper->hub.tap, .events = POLLIN },
	};
	usec_t now = usec_monotonic();
	int wait = now < *turn ? (int)((*turn - now) / USEC_PER_MSEC) + 1 : 0;

	if (poll(watched, array_size(watched), helper_wants_spare(helper) ? 0 : wait) < 0 &&
		errno != EINTR)
		helper_end();
	if (watched[SUPERVISOR].revents)
		helper_end();
	if (watched[UPLINK].revents)
		helper_uplink_ended(helper, turn);
	if (watched[TAP].revents)
		helper_wake(helper, turn);
	if (watched[MACHINE].revents || usec_monotonic() >= *turn) {
		helper_turn(helper);
		*turn = usec_monotonic() + HELPER_TURN;
	}
	if (watched[SOCKET].revents)
		helper_serve(helper);
	else if (helper_wants_spare(helper))
		helper_make_spare(helper);
}

_Noreturn void network_helper_run(struct child *child)
{
	static struct helper helper;
	usec_t turn = 0;

	helper.socket = child->message.fds[0];
	helper.supervisor_pidfd = child->supervisor_pidfd;
	helper.hub = (struct hub){ .machine_link = -1,
		.machine_watch = -1,
		.network = -1,
		.uplink_pidfd = -1,
		.uplink_complaints = -1,
		.tap = -1 };
	if (child->request->strings[0])
		helper.hub.allowed = child->request->strings;
	prctl(PR_SET_NAME, "polyvisor-net");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	for (;;)
		helper_wait(&helper, &turn);
}
