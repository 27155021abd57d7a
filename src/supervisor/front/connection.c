/*
 * connection.c - see connection.h.
 */
#include "supervisor/front/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define SWEEP_INTERVAL (5 * USEC_PER_SEC)

static void connection_sweep(struct loop_timer *timer);

/* One timer for all, at the latest at `at`: an idle front has none. A failed allocation means that
 * the heap is full of other timers; the next connection tries again. */
static void connection_schedule_sweep(struct front *front, usec_t at)
{
	if (list_empty(&front->connections) || (front->sweep.index && front->sweep.at <= at))
		return;
	if (loop_timer_set(front->supervisor->loop, &front->sweep, at, connection_sweep) < 0)
		return;
}

static void connection_sweep(struct loop_timer *timer)
{
	struct front *front = container_of(timer, struct front, sweep);
	usec_t now = usec_monotonic(), next = now + SWEEP_INTERVAL;
	struct connection *connection;

	list_for_each (connection, &front->connections, link) {
		if (now >= connection->deadline)
			connection_shut(connection);
		else
			next = min_of(next, connection->deadline);
	}
	connection_schedule_sweep(front, next);
}

/* What came before the client's end is still taken; more does not come. */
static void connection_expect_end(struct connection *connection)
{
	connection->deadline = usec_monotonic() + CONNECTION_END_GRACE;
	connection_schedule_sweep(connection->front, connection->deadline);
}

static void connection_allow(struct connection *connection, size_t bytes)
{
	connection->paused = false;
	connection->deadline = usec_monotonic() + CONNECTION_IDLE_SECONDS * USEC_PER_SEC +
			       bytes * USEC_PER_SEC / CONNECTION_BYTES_PER_SECOND;
}

static void connection_end_seen(struct loop_source *source, uint32_t events)
{
	struct connection *connection = container_of(source, struct connection, end);

	(void)events;
	connection->half_closed = true;
	loop_remove(connection->front->supervisor->loop, source);
	if (!connection->paused)
		connection_expect_end(connection);
}

static struct connection *connection_new(struct front *front, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *connection = calloc(1, sizeof(*connection));

	front->connection_count++;
	if (!connection)
		return NULL;
	connection->front = front;
	connection->fd = info->connect_fd;
	connection_allow(connection, 0);
	list_append(&front->connections, &connection->link);
	connection_schedule_sweep(front, connection->deadline);
	/* Without it the deadlines still hold. */
	if (loop_add(front->supervisor->loop, &connection->end, connection->fd,
		    EPOLLRDHUP | EPOLLET, connection_end_seen) < 0)
		connection->end.added = false;
	return connection;
}

void connection_notify(void *data, struct MHD_Connection *mhd, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	struct front *front = data;
	struct connection *connection = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = connection_new(front, mhd);
		return;
	}
	front->connection_count--;
	if (connection) {
		loop_remove(front->supervisor->loop, &connection->end);
		list_remove(&connection->link);
	}
	free(connection);
	listener_resume(front);
}

struct connection *connection_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info->socket_context;
}

void connection_expect_body(struct connection *connection, size_t size)
{
	/* The first call starts the clock, later ones wind it on by what has come. */
	if (size == 0)
		connection_allow(connection, 0);
	else
		connection->deadline += size * USEC_PER_SEC / CONNECTION_BYTES_PER_SECOND;
	connection->busy = true;
	if (connection->half_closed)
		connection_expect_end(connection);
}

void connection_pause(struct connection *connection)
{
	connection->deadline = USEC_INFINITY;
	connection->paused = true;
}

void connection_expect_reading(struct connection *connection, size_t size)
{
	connection_allow(connection, size);
	connection->paused = true;
}

void connection_expect_request(struct connection *connection)
{
	connection->busy = false;
	connection_allow(connection, 0);
	if (connection->half_closed)
		connection_expect_end(connection);
	/* A reply that was under way when the end began has not said that it was the last. */
	if (connection->front->draining)
		connection_drain(connection, connection->front->drained_at);
}

void connection_drain(struct connection *connection, usec_t at)
{
	if (connection->busy)
		return;
	connection->deadline = at;
	connection_schedule_sweep(connection->front, at);
}

void connection_shut(struct connection *connection)
{
	shutdown(connection->fd, SHUT_RDWR);
}
