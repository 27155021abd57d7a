/*
 * network.c - see network.h.
 */
#include "supervisor/launch/network.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/usec.h"
#include "supervisor/launch/network_helper.h"
#include "supervisor/launch/network_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define NETWORK_LIMIT (15 * USEC_PER_SEC) /* of an answer; the helper takes 1 ms, its start 1 s */
#define NETWORK_ASKED 64                  /* at once: as many as its socket surely holds */
#define NETWORK_PAUSE (1 * USEC_PER_SEC)  /* before a lost helper is started again */

/*
 *     IDLE --wanted--> STARTING --news: there is one--> OPEN --helper lost--> STARTING
 *                            \                            ^
 *                             --news: none, helper lost--> CLOSED --news: there is one
 */
enum network_state {
	NETWORK_IDLE,     /* nobody has wanted a way out yet */
	NETWORK_STARTING, /* the helper has not said yet whether there is one */
	NETWORK_OPEN,
	NETWORK_CLOSED, /* there is none now; that is tried again */
};

struct network {
	struct loop *loop;
	struct processes *processes;
	struct network_options options;
	enum network_state state;
	struct process helper;
	struct spawn spawn;
	struct loop_source reports;
	struct loop_timer restart;
	struct list waiting; /* places that want a way out */
	struct list asked;   /* those of them that the helper was asked for, in order */
	struct list places;  /* that have one */
	uint32_t asked_count, sequence;
	char reason[ERR_TEXT_MAX], description[ERR_TEXT_MAX + 128];
};

static void network_describe_anew(struct network *n)
{
	const char *by_default = n->options.egress ? "functions reach out by default"
						   : "functions have no network by default";

	if (n->options.unconfined)
		snprintf(n->description, sizeof(n->description),
			"functions have the network of this machine (--envelope off)");
	else if (n->state == NETWORK_CLOSED)
		snprintf(n->description, sizeof(n->description),
			"functions have no network, since there is no way out for them: %s",
			n->reason);
	else if (n->state == NETWORK_OPEN)
		snprintf(n->description, sizeof(n->description), "%s; network=egress has %s",
			by_default, n->reason);
	else
		snprintf(n->description, sizeof(n->description), "%s", by_default);
}

static void network_set_state(struct network *n, enum network_state state, const char *reason)
{
	n->state = state;
	snprintf(n->reason, sizeof(n->reason), "%s", reason);
	network_describe_anew(n);
}

const char *network_describe(const struct network *n)
{
	return n->description;
}

/* Takes it out of whichever list it is in. */
static void place_leave(struct network_place *place)
{
	loop_timer_cancel(place->network->loop, &place->limit);
	if (place->sequence)
		place->network->asked_count--;
	place->sequence = 0;
	list_remove(&place->link);
}

static void place_finish(struct network_place *place, const struct err *e)
{
	place_leave(place);
	place->ready = !e;
	if (place->fd >= 0 && place->mode == CONFIG_NETWORK_EGRESS)
		list_append(&place->network->places, &place->link);
	place->attached(place, e);
}

static void place_fail(struct network_place *place, int code)
{
	struct err e = { 0 };

	err_errno(&e, code, "the network of a function cannot be made");
	place_finish(place, &e);
}

static void place_expired(struct loop_timer *timer)
{
	place_fail(container_of(timer, struct network_place, limit), -ETIMEDOUT);
}

static void place_ask(struct network *n, struct network_place *place)
{
	struct network_request request;
	int r;

	n->sequence = n->sequence == UINT32_MAX ? 1 : n->sequence + 1;
	request.sequence = n->sequence;
	r = fd_send(n->reports.fd, &request, sizeof(request), NULL, 0);
	if (r < 0) {
		place_fail(place, r);
		return;
	}
	place->sequence = request.sequence;
	n->asked_count++;
	list_remove(&place->link);
	list_append(&n->asked, &place->link);
}

/* Once it is known whether there is a way out: as many as may be asked for now, or none for all. */
static void network_serve_waiting(struct network *n)
{
	struct network_place *place;

	while (n->state == NETWORK_OPEN && n->asked_count < NETWORK_ASKED &&
		(place = list_first(&n->waiting, struct network_place, link)))
		place_ask(n, place);
	while (n->state == NETWORK_CLOSED &&
		(place = list_first(&n->waiting, struct network_place, link))) {
		place->mode = CONFIG_NETWORK_NONE;
		place_finish(place, NULL);
	}
}

static void network_heard_news(struct network *n, const struct network_report *report)
{
	network_set_state(n, report->available ? NETWORK_OPEN : NETWORK_CLOSED, report->text);
	if (report->available && report->fault)
		snprintf(n->description, sizeof(n->description),
			"functions find no way out at the moment: %s", report->text);
	log_message(report->fault ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", n->description);
	network_serve_waiting(n);
}

static void network_heard_answer(struct network *n, const struct network_report *report, int fd)
{
	struct network_place *place;

	/* In the order in which they were asked for, so the first but for those not wanted now. */
	list_for_each (place, &n->asked, link)
		if (place->sequence == report->sequence)
			break;
	if (&place->link == &n->asked) {
		fd_close(fd);
	} else if (report->error < 0 || fd < 0) {
		fd_close(fd);
		place_fail(place, report->error < 0 ? report->error : -EBADMSG);
	} else {
		place->fd = fd;
		place_finish(place, NULL);
	}
	network_serve_waiting(n);
}

static void network_reports_ready(struct loop_source *source, uint32_t events)
{
	struct network *n = container_of(source, struct network, reports);
	struct network_report report;
	struct fd_message message;

	(void)events;
	while (source->added &&
		fd_receive(source->fd, &report, sizeof(report), MSG_DONTWAIT, &message) == 0) {
		if (message.size != sizeof(report)) {
			/* Its end: the exit status comes next. */
			fd_message_done(&message);
			loop_remove(n->loop, source);
		} else if (report.sequence) {
			network_heard_answer(n, &report, message.fd_count ? message.fds[0] : -1);
		} else {
			fd_message_done(&message);
			network_heard_news(n, &report);
		}
	}
}

static void network_restart(struct loop_timer *timer);

/* Everything that the helper made is gone; who waits for it is asked for again. A helper that never
 * got as far may never do. */
static void network_lost(struct network *n, const char *why)
{
	struct network_place *place;

	processes_spawn_cancel(&n->spawn);
	process_abandon(&n->helper);
	loop_remove(n->loop, &n->reports);
	n->reports.fd = fd_close(n->reports.fd);
	network_set_state(n, n->state == NETWORK_OPEN ? NETWORK_STARTING : NETWORK_CLOSED, why);
	log_warning("%s; starting another", why);
	while ((place = list_last(&n->asked, struct network_place, link))) {
		place->sequence = 0;
		list_remove(&place->link);
		list_prepend(&n->waiting, &place->link);
	}
	n->asked_count = 0;
	while ((place = list_first(&n->places, struct network_place, link))) {
		network_detach(place);
		place->lost(place);
	}
	if (loop_timer_set(
		    n->loop, &n->restart, usec_monotonic() + NETWORK_PAUSE, network_restart) < 0)
		network_set_state(n, NETWORK_CLOSED, "out of memory");
	network_serve_waiting(n);
}

static void network_helper_exited(struct process *process, int status)
{
	struct network *n = container_of(process, struct network, helper);
	char why[96];

	snprintf(why, sizeof(why), "the network helper ended with status %#x", (unsigned)status);
	network_lost(n, why);
}

static void network_helper_spawned(struct spawn *spawn, pid_t pid)
{
	struct network *n = container_of(spawn, struct network, spawn);
	struct err e = { 0 };
	int r = pid;

	if (pid > 0)
		r = process_adopt(n->processes, &n->helper, pid, network_helper_exited);
	if (r >= 0)
		return;
	err_errno(&e, r, "the network helper cannot be started");
	network_lost(n, e.text);
}

static int network_start(struct network *n)
{
	struct spawn_request *request = processes_request(n->processes, SPAWN_NETWORK);
	const char *allowed = n->options.allowed ? n->options.allowed : "";
	_cleanup_close_ int ours = -1, theirs = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	request->argument_count = 1;
	r = spawn_request_add(request, allowed);
	if (r == 0)
		r = fd_set_nonblocking(ours, true);
	if (r == 0)
		r = loop_add(n->loop, &n->reports, ours, EPOLLIN, network_reports_ready);
	if (r < 0)
		return r;
	take_fd(&ours);
	return processes_spawn(n->processes, &n->spawn, &theirs, 1, network_helper_spawned);
}

/* A failure is like a loss: it is tried again. */
static void network_restart(struct loop_timer *timer)
{
	struct network *n = container_of(timer, struct network, restart);
	struct err e = { 0 };
	int r = network_start(n);

	if (r == 0)
		return;
	err_errno(&e, r, "the network helper cannot be started");
	network_lost(n, e.text);
}

static void network_attach_egress(struct network *n, struct network_place *place)
{
	list_append(&n->waiting, &place->link);
	if (loop_timer_set(
		    n->loop, &place->limit, usec_monotonic() + NETWORK_LIMIT, place_expired) < 0) {
		place_fail(place, -ENOMEM);
		return;
	}
	if (n->state == NETWORK_IDLE) {
		network_set_state(n, NETWORK_STARTING, "");
		network_restart(&n->restart);
	}
	network_serve_waiting(n);
}

static void network_attach_host(struct network *n, struct network_place *place)
{
	struct err e = { 0 };

	if (!n->options.host) {
		err_set(&e, -EPERM,
			"network=host is refused, since this supervisor was started "
			"without --allow-host-network");
		place_finish(place, &e);
		return;
	}
	place->fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (place->fd < 0)
		place_fail(place, -errno);
	else
		place_finish(place, NULL);
}

void network_attach(struct network *n, struct network_place *place, enum config_network mode)
{
	place->network = n;
	place->mode = mode;
	place->sequence = 0;
	list_init(&place->link);
	if (mode == CONFIG_NETWORK_EGRESS)
		network_attach_egress(n, place);
	else if (mode == CONFIG_NETWORK_HOST)
		network_attach_host(n, place);
	else
		place_finish(place, NULL);
}

void network_detach(struct network_place *place)
{
	if (!place->network)
		return;
	place_leave(place);
	place->fd = fd_close(place->fd);
	place->ready = false;
	place->network = NULL;
}

int network_new(struct loop *loop, struct processes *processes,
	const struct network_options *options, struct network **ret, struct err *e)
{
	struct network *n;
	int r = options->allowed ? rules_check_networks(options->allowed, e) : 0;

	if (r < 0)
		return r;
	n = calloc(1, sizeof(*n));
	if (!n)
		return err_errno(e, -ENOMEM, "the network of functions cannot be set up");
	n->loop = loop;
	n->processes = processes;
	n->options = *options;
	n->helper.pidfd = n->reports.fd = -1;
	list_init(&n->waiting);
	list_init(&n->asked);
	list_init(&n->places);
	network_set_state(n, options->egress ? NETWORK_STARTING : NETWORK_IDLE, "");
	if (options->egress)
		network_restart(&n->restart);
	else
		log_info("%s", n->description);
	*ret = n;
	return 0;
}

struct network *network_free(struct network *n)
{
	if (!n)
		return NULL;
	processes_spawn_cancel(&n->spawn);
	process_abandon(&n->helper);
	loop_timer_cancel(n->loop, &n->restart);
	loop_remove(n->loop, &n->reports);
	fd_close(n->reports.fd);
	free(n);
	return NULL;
}
