/*
 * worker.c - see worker.h. Two queues under one lock: jobs to do, and jobs that are done, of which
 * an eventfd tells the loop.
 */
#include "supervisor/store/worker.h"

#include "base/fd.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct worker {
	struct loop *loop;
	struct loop_source source;
	int event;
	size_t pending; /* loop thread only: submitted and not yet done() */
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	pthread_cond_t wake;   /* there is a job, or the worker is to end */
	pthread_cond_t finish; /* a job is done */
	struct list jobs, finished;
	bool ending;
};

static struct job *worker_next(struct worker *worker)
{
	struct job *job;

	while (list_empty(&worker->jobs) && !worker->ending)
		pthread_cond_wait(&worker->wake, &worker->lock);
	job = list_first(&worker->jobs, struct job, link);
	if (job)
		list_remove(&job->link);
	return job;
}

static void worker_tell(struct worker *worker)
{
	uint64_t one = 1;

	/* Cannot fail: the counter would have to overflow. */
	while (write(worker->event, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *worker_run(void *data)
{
	struct worker *worker = data;
	struct job *job;

	pthread_mutex_lock(&worker->lock);
	while ((job = worker_next(worker))) {
		bool first;

		pthread_mutex_unlock(&worker->lock);
		job->work(job);
		pthread_mutex_lock(&worker->lock);
		first = list_empty(&worker->finished);
		list_append(&worker->finished, &job->link);
		pthread_cond_signal(&worker->finish);
		if (first)
			worker_tell(worker);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

static void worker_deliver(struct worker *worker)
{
	struct job *job;

	for (;;) {
		pthread_mutex_lock(&worker->lock);
		job = list_first(&worker->finished, struct job, link);
		if (job)
			list_remove(&job->link);
		pthread_mutex_unlock(&worker->lock);
		if (!job)
			return;
		worker->pending--;
		job->done(job);
	}
}

static void worker_ready(struct loop_source *source, uint32_t events)
{
	struct worker *worker = container_of(source, struct worker, source);
	uint64_t count;

	(void)events;
	if (read(worker->event, &count, sizeof(count)) < 0)
		return;
	worker_deliver(worker);
}

/* Signals are for the loop thread. */
static int worker_start(struct worker *worker)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&worker->thread, NULL, worker_run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->started = r == 0;
	return r;
}

int worker_new(struct loop *loop, struct worker **ret)
{
	_cleanup_(worker_free_cleanup) struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->wake, NULL);
	pthread_cond_init(&worker->finish, NULL);
	list_init(&worker->jobs);
	list_init(&worker->finished);
	worker->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->event < 0)
		return -errno;
	r = loop_add(loop, &worker->source, worker->event, EPOLLIN, worker_ready);
	if (r == 0)
		r = worker_start(worker);
	if (r == 0)
		*ret = take_ptr(worker);
	return r;
}

void worker_submit(struct worker *worker, struct job *job)
{
	worker->pending++;
	pthread_mutex_lock(&worker->lock);
	list_append(&worker->jobs, &job->link);
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

void worker_flush(struct worker *worker)
{
	while (worker->pending > 0) {
		pthread_mutex_lock(&worker->lock);
		while (list_empty(&worker->finished))
			pthread_cond_wait(&worker->finish, &worker->lock);
		pthread_mutex_unlock(&worker->lock);
		worker_deliver(worker);
	}
}

struct worker *worker_free(struct worker *worker)
{
	if (!worker)
		return NULL;
	if (worker->started) {
		worker_flush(worker);
		pthread_mutex_lock(&worker->lock);
		worker->ending = true;
		pthread_cond_signal(&worker->wake);
		pthread_mutex_unlock(&worker->lock);
		pthread_join(worker->thread, NULL);
	}
	loop_remove(worker->loop, &worker->source);
	fd_close(worker->event);
	pthread_cond_destroy(&worker->finish);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
	return NULL;
}
