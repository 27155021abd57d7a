/*
 * test_worker.c - store/worker.h: order, threads, and an orderly end.
 */
#include "check.h"

#include "supervisor/loop/loop.h"
#include "supervisor/store/worker.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#define JOBS 1000

struct counted {
	struct job job;
	int number;
	struct world *world;
	bool on_worker;
};

struct world {
	struct loop *loop;
	struct worker *worker;
	pthread_t loop_thread;
	int worked, done;
	bool in_order;
	struct counted jobs[JOBS];
};

static void work(struct job *job)
{
	struct counted *counted = container_of(job, struct counted, job);
	struct world *world = counted->world;

	counted->on_worker = !pthread_equal(pthread_self(), world->loop_thread);
	world->in_order &= world->worked == counted->number;
	world->worked++;
}

static void done(struct job *job)
{
	struct counted *counted = container_of(job, struct counted, job);
	struct world *world = counted->world;

	assert_true(counted->on_worker);
	assert_true(pthread_equal(pthread_self(), world->loop_thread));
	assert_int_equal(world->done, counted->number);
	if (++world->done == JOBS)
		loop_stop(world->loop);
}

/* Submits the next job, until there are no more. */
static void done_and_next(struct job *job)
{
	struct counted *counted = container_of(job, struct counted, job);
	struct world *world = counted->world;

	if (++world->done < JOBS) {
		world->jobs[world->done].job.done = done_and_next;
		worker_submit(world->worker, &world->jobs[world->done].job);
	}
}

static int make_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->loop_thread = pthread_self();
	world->in_order = true;
	for (int i = 0; i < JOBS; i++)
		world->jobs[i] = (struct counted){
			.job = { .work = work, .done = done }, .number = i, .world = world
		};
	*state = world;
	if (loop_new(&world->loop) < 0)
		return -1;
	return worker_new(world->loop, &world->worker);
}

static int end_world(void **state)
{
	struct world *world = *state;

	worker_free(world->worker);
	loop_free(world->loop);
	free(world);
	return 0;
}

static void jobs_are_done_in_order(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < JOBS; i++)
		worker_submit(world->worker, &world->jobs[i].job);
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(world->done, JOBS);
	assert_true(world->in_order);
}

static void a_flush_waits_for_what_follows_too(void **state)
{
	struct world *world = *state;

	world->jobs[0].job.done = done_and_next;
	worker_submit(world->worker, &world->jobs[0].job);
	worker_flush(world->worker);
	assert_int_equal(world->done, JOBS);
	assert_true(world->in_order);
	worker_flush(world->worker);
}

static void the_end_finishes_what_was_submitted(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < JOBS; i++)
		worker_submit(world->worker, &world->jobs[i].job);
	world->worker = worker_free(world->worker);
	assert_int_equal(world->done, JOBS);
	assert_null(worker_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(jobs_are_done_in_order, make_world, end_world),
		cmocka_unit_test_setup_teardown(
			a_flush_waits_for_what_follows_too, make_world, end_world),
		cmocka_unit_test_setup_teardown(
			the_end_finishes_what_was_submitted, make_world, end_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
