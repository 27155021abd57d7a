/*
 * front.c - see front.h: libmicrohttpd on the supervisor's loop, from its start to its end.
 */
#include "supervisor/front/access.h"
#include "supervisor/front/async.h"
#include "supervisor/front/request.h"

#include "base/fd.h"
#include "supervisor/store/code.h"
#include "supervisor/store/store.h"

#include <errno.h>
#include <jansson.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * For the head of a request, and for what is read at once. It is cleared for every request: with
 * 64 KB that was an eighth of all the time that an invocation took here.
 */
#define CONNECTION_MEMORY (32 * 1024)

#define DEPLOYER_NICENESS 5
#define COLLECT_INTERVAL (5 * USEC_PER_SEC)
/* For requests that idle connections have on their way: they are told that it was the last. */
#define DRAIN_GRACE (500 * USEC_PER_MSEC)
#define FAREWELL_TURNS 100 /* to send what is left when the front ends */

static void front_timer(struct loop_timer *timer);

/* One turn of libmicrohttpd, and when it wants the next. */
static void front_run(struct front *front)
{
	MHD_UNSIGNED_LONG_LONG timeout;
	usec_t at;

	MHD_run(front->daemon);
	if (MHD_get_timeout(front->daemon, &timeout) != MHD_YES)
		return;
	if (timeout == 0) {
		front_wake(front);
		return;
	}
	/* One that comes too early does no harm, and is there already most of the time. */
	at = usec_monotonic() + timeout * USEC_PER_MSEC;
	if (front->timer.index && front->timer.at <= at)
		return;
	if (loop_timer_set(front->supervisor->loop, &front->timer, at, front_timer) < 0)
		front_wake(front);
}

static void front_timer(struct loop_timer *timer)
{
	front_run(container_of(timer, struct front, timer));
}

static void front_ready(struct loop_source *source, uint32_t events)
{
	(void)events;
	front_run(container_of(source, struct front, source));
}

static void front_woken(struct loop_deferred *deferred)
{
	front_run(container_of(deferred, struct front, wake));
}

void front_wake(struct front *front)
{
	loop_defer(front->supervisor->loop, &front->wake, front_woken);
}

/* Targets stay as the client wrote them: uri.c decodes the parts, each once. */
static size_t keep_target(void *data, struct MHD_Connection *connection, char *text)
{
	size_t size = 0;

	(void)data;
	(void)connection;
	while (text[size])
		size++;
	return size;
}

static int front_start_daemon(struct front *front)
{
	const union MHD_DaemonInfo *info;

	const struct MHD_OptionItem tls[] = {
		{ front->tls_key ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, front->tls_key },
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, front->tls_certificate },
		{ MHD_OPTION_END, 0, NULL },
	};

	front->daemon = MHD_start_daemon((front->tls_key ? MHD_USE_TLS : 0) | MHD_USE_EPOLL |
						 MHD_ALLOW_SUSPEND_RESUME |
						 MHD_USE_NO_LISTEN_SOCKET | MHD_USE_TURBO,
		0, NULL, NULL, request_handle, front, MHD_OPTION_URI_LOG_CALLBACK, request_begin,
		front, MHD_OPTION_NOTIFY_COMPLETED, request_end, front,
		MHD_OPTION_NOTIFY_CONNECTION, connection_notify, front,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_target, front, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)front->connection_max + 16, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)CONNECTION_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, tls,
		MHD_OPTION_END);
	if (!front->daemon)
		return -EIO;
	info = MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	return loop_add(
		front->supervisor->loop, &front->source, info->epoll_fd, EPOLLIN, front_ready);
}

/* Connections are a part of the descriptors; isolates need the others. */
static size_t connection_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 64;
	return (size_t)max_of(
		min_of(limit.rlim_cur / 4, (rlim_t)FRONT_CONNECTIONS_MAX), (rlim_t)16);
}

static void front_init(
	struct front *front, struct supervisor *supervisor, const struct front_calls *calls)
{
	front->supervisor = supervisor;
	front->calls = *calls;
	front->listener.fd = -1;
	front->connection_max = connection_limit();
	list_init(&front->connections);
	list_init(&front->requests);
	list_init(&front->changing);
}

/* Once, on the deployer: it, and what it starts, give way to the loop and to the functions. */
static void lower_priority(struct job *job)
{
	(void)job;
	setpriority(PRIO_PROCESS, (id_t)gettid(), DEPLOYER_NICENESS);
}

static void collect_work(struct job *job)
{
	struct front *front = container_of(job, struct front, collect);

	code_collect(store_code(front->supervisor->store));
}

static void collect_done(struct job *job)
{
	container_of(job, struct front, collect)->collecting = false;
}

int front_new(struct supervisor *supervisor, const struct front_calls *calls, struct front **ret,
	struct err *e)
{
	_cleanup_(front_free_cleanup) struct front *front = calloc(1, sizeof(*front));
	int r;

	if (!front)
		return err_errno(e, -ENOMEM, "Could not start the HTTP server");
	front_init(front, supervisor, calls);
	/* Before there is a second thread that makes objects: the seed is made only once. */
	json_object_seed(0);
	r = access_open(front, e);
	if (r < 0)
		return r;
	r = worker_new(supervisor->loop, &front->deployer);
	if (r == 0) {
		front->collect.work = lower_priority;
		front->collect.done = collect_done;
		worker_submit(front->deployer, &front->collect);
		r = front_start_daemon(front);
	}
	if (r < 0)
		return err_errno(e, r, "Could not start the HTTP server");
	r = async_new(front, &front->async, e);
	if (r == 0)
		r = listener_open(front, supervisor->options.listen, e);
	if (r == 0)
		*ret = take_ptr(front);
	return r;
}

const char *front_address(const struct front *front)
{
	return front->listener.address;
}

void front_drain(struct front *front)
{
	struct connection *connection;

	if (front->draining)
		return;
	front->draining = true;
	front->drained_at = usec_monotonic() + DRAIN_GRACE;
	listener_close(front);
	list_for_each (connection, &front->connections, link)
		connection_drain(connection, front->drained_at);
}

bool front_is_idle(const struct front *front)
{
	return list_empty(&front->requests) &&
	       (list_empty(&front->connections) || usec_monotonic() > front->drained_at);
}

static void collect_again(struct loop_timer *timer)
{
	front_collect_code(container_of(timer, struct front, collect_timer));
}

/* Code may lose its last user, a function template, long after the change that made it unused. */
void front_collect_code(struct front *front)
{
	if (code_has_garbage(store_code(front->supervisor->store)) && !front->collecting) {
		front->collecting = true;
		front->collect.work = collect_work;
		front->collect.done = collect_done;
		worker_submit(front->deployer, &front->collect);
	}
	if (loop_timer_set(front->supervisor->loop, &front->collect_timer,
		    usec_monotonic() + COLLECT_INTERVAL, collect_again) < 0)
		return; /* then the next change collects */
}

/* Replies that were just made reach the clients that are there to read them. */
static void front_say_farewell(struct front *front)
{
	request_abandon_all(front);
	for (int i = 0; i < FAREWELL_TURNS && !list_empty(&front->requests); i++) {
		MHD_run(front->daemon);
		usleep(1000);
	}
}

struct front *front_free(struct front *front)
{
	struct loop *loop;

	if (!front)
		return NULL;
	loop = front->supervisor->loop;
	front->draining = true;
	listener_close(front);
	/* Jobs belong to requests: none is under way when requests end. */
	if (front->deployer)
		worker_flush(front->deployer);
	if (front->supervisor->worker)
		worker_flush(front->supervisor->worker);
	if (front->daemon) {
		front_say_farewell(front);
		loop_remove(loop, &front->source);
		MHD_stop_daemon(front->daemon);
	}
	async_free(front->async);
	worker_free(front->deployer);
	access_close(front);
	loop_defer_cancel(loop, &front->wake);
	loop_timer_cancel(loop, &front->timer);
	loop_timer_cancel(loop, &front->sweep);
	loop_timer_cancel(loop, &front->collect_timer);
	free(front);
	return NULL;
}
