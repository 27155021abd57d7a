/*
 * test_clone_parking.c - every thread parks, whatever it does, or the one that does not is named
 * and nothing else is disturbed.
 */
#include "clone/scenario.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#define PARK_SIGNAL 33

static int started, stop, event;

static void event_set(void)
{
	uint64_t one = 1;

	CHECK(write(event, &one, sizeof(one)) == sizeof(one));
}

/* Waits for the event; returns its argument. */
static void *event_await(void *data)
{
	uint64_t value;

	__atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
	CHECK(read(event, &value, sizeof(value)) == sizeof(value));
	return data;
}

static pthread_t waiter;

static void expect_waiter(void)
{
	event_set();
	thread_join_expect(waiter, &waiter);
}

static void *all_blocked_run(void *data)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	return event_await(data);
}

static void test_all_signals_blocked(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	waiter = thread_start(all_blocked_run, &waiter);
	counter_await(&started, 1);
	check_in_clone_and_template(expect_waiter);
}

/* No libc function can block signal 33; a program that does so by itself is told which thread. */
static void *stubborn_run(void *data)
{
	uint64_t mask = UINT64_MAX;

	prctl(PR_SET_NAME, "stubborn");
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
	__atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
	counter_await(&stop, 1);
	mask = 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
	return event_await(data);
}

static void expect_park_fails(const char *part, const char *other_part)
{
	struct clone_options options = { .park_deadline = 100 * USEC_PER_MSEC };
	struct clone_template *t = NULL;
	struct err e = { 0 };

	CHECK(clone_park(&t, &options, &e) < 0);
	CHECK(t == NULL);
	CHECK(strstr(e.text, part) && strstr(e.text, other_part), "%s", e.text);
}

static void test_signal_33_blocked(void)
{
	pthread_t other;

	event = eventfd(0, EFD_CLOEXEC);
	waiter = thread_start(stubborn_run, &waiter);
	other = thread_start(event_await, &event);
	counter_await(&started, 2);
	for (int i = 0; i < 3; i++)
		expect_park_fails("(stubborn)", "blocks signal 33");

	/* Everything goes on, and parks once the cause is gone. */
	event_set();
	thread_join_expect(other, &event);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	counter_await(&started, 3);
	check_in_clone_and_template(expect_waiter);
}

/* An ordinary user's signals may not be queued without limit. */
static void test_queue_of_signals_full(void)
{
	struct rlimit limit = { 0, 1000 };

	event = eventfd(0, EFD_CLOEXEC);
	waiter = thread_start(event_await, &waiter);
	counter_await(&started, 1);
	CHECK(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
	expect_park_fails("cannot be parked", "RLIMIT_SIGPENDING");
	limit.rlim_cur = 1000;
	CHECK(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
	check_in_clone_and_template(expect_waiter);
}

/* The previous disposition is there again after success, failure and release. */
static void disposition(struct sigaction *ret)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} action;

	CHECK(syscall(SYS_rt_sigaction, PARK_SIGNAL, NULL, &action, sizeof(action.mask)) == 0);
	ret->sa_sigaction = (void (*)(int, siginfo_t *, void *))action.handler;
}

static void test_disposition_restored(void)
{
	struct sigaction before, parked, in_clone, after;
	struct clone_template *t;
	pid_t pid;

	event = eventfd(0, EFD_CLOEXEC);
	waiter = thread_start(event_await, &waiter);
	counter_await(&started, 1);
	disposition(&before);
	t = template_park();
	disposition(&parked);
	CHECK(parked.sa_sigaction == before.sa_sigaction);
	pid = template_clone(t);
	if (pid == 0) {
		disposition(&in_clone);
		CHECK(in_clone.sa_sigaction == before.sa_sigaction);
		expect_waiter();
		clone_done();
	}
	clone_expect_done(pid);
	clone_release(t);
	disposition(&after);
	CHECK(after.sa_sigaction == before.sa_sigaction);
	expect_waiter();
}

/* 16 KB, nearly half of it in use. */
#define SMALL_STACK (WITH_ADDRESS_SANITIZER ? 65536 : 16384)

static void *small_stack_run(void *data)
{
	volatile char used[6000];

	memset((char *)used, 1, sizeof(used));
	event_await(NULL);
	for (size_t i = 0; i < sizeof(used); i++)
		CHECK(used[i] == 1);
	return data;
}

static void expect_small_stack(void)
{
	event_set();
	thread_join_expect(waiter, &event);
}

static void test_small_stack(void)
{
	pthread_attr_t attributes;

	event = eventfd(0, EFD_CLOEXEC);
	pthread_attr_init(&attributes);
	CHECK(pthread_attr_setstacksize(&attributes, SMALL_STACK) == 0);
	CHECK(pthread_create(&waiter, &attributes, small_stack_run, &event) == 0);
	counter_await(&started, 1);
	check_in_clone_and_template(expect_small_stack);
}

/* Threads that are inside malloc most of the time. */

#define HAMMERS 4
#define HAMMER_ROUNDS (WITH_ADDRESS_SANITIZER ? 10 : 200)

static int progress[HAMMERS];

static void *hammer_run(void *data)
{
	int *counter = data;
	void *blocks[32] = { 0 };
	unsigned random = (unsigned)(counter - progress) + 1;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		random = random * 1103515245 + 12345;
		size_t i = (random >> 16) % 32;

		free(blocks[i]);
		blocks[i] = malloc((random >> 8) % 5000);
		CHECK(blocks[i] != NULL);
		memset(blocks[i], 1, 1);
		__atomic_add_fetch(counter, 1, __ATOMIC_RELEASE);
	}
	for (size_t i = 0; i < 32; i++)
		free(blocks[i]);
	return data;
}

static void expect_progress(void)
{
	for (int i = 0; i < HAMMERS; i++)
		counter_await(&progress[i], __atomic_load_n(&progress[i], __ATOMIC_ACQUIRE) + 10);
	free(malloc(100000));
}

static void test_inside_malloc(void)
{
	pthread_t threads[HAMMERS];

	for (int i = 0; i < HAMMERS; i++)
		threads[i] = thread_start(hammer_run, &progress[i]);
	for (int i = 0; i < HAMMER_ROUNDS; i++)
		check_in_clone_and_template(expect_progress);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < HAMMERS; i++)
		thread_join_expect(threads[i], &progress[i]);
}

/* A thread that makes threads all the time, which end soon. */

static int spawned;

static void *short_run(void *data)
{
	__atomic_add_fetch(&spawned, 1, __ATOMIC_RELEASE);
	return data;
}

static void *spawner_run(void *data)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			threads[i] = thread_start(short_run, NULL);
		for (int i = 0; i < 4; i++)
			thread_join_expect(threads[i], NULL);
	}
	return data;
}

static void expect_spawning(void)
{
	counter_await(&spawned, __atomic_load_n(&spawned, __ATOMIC_ACQUIRE) + 20);
}

static void test_threads_appear(void)
{
	pthread_t spawner = thread_start(spawner_run, &spawned);

	for (int i = 0; i < 100; i++)
		check_in_clone_and_template(expect_spawning);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	thread_join_expect(spawner, &spawned);
}

/* 600 threads: no table has a fixed size. */

#define MANY 600

static pthread_t many[MANY];

static void expect_many(void)
{
	for (int i = 0; i < MANY; i++)
		event_set();
	for (int i = 0; i < MANY; i++)
		thread_join_expect(many[i], &started);
	while (count_entries("/proc/self/task") > 1) /* the helper thread ends last */
		usleep(1000);
}

static void test_many_threads(void)
{
	pthread_attr_t attributes;

	event = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (int i = 0; i < MANY; i++)
		CHECK(pthread_create(&many[i], &attributes, event_await, &started) == 0);
	counter_await(&started, MANY);
	check_in_clone_and_template(expect_many);
}

/* The first thread has ended, others go on: it stays in the list of threads as a zombie. */
static void *leader_gone_run(void *data)
{
	(void)data;
	usleep(20000); /* until the leader is gone */
	waiter = thread_start(event_await, &waiter);
	counter_await(&started, 1);
	check_in_clone_and_template(expect_waiter);
	_exit(0);
}

static void test_leader_gone(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	thread_start(leader_gone_run, NULL);
	pthread_exit(NULL);
}

/* The thread that clones is not the first one, as in Java, where the first waits for it. */
static void *second_run(void *data)
{
	waiter = thread_start(event_await, &waiter);
	counter_await(&started, 1);
	check_in_clone_and_template(expect_waiter);
	return data;
}

static void test_cloner_is_not_first(void)
{
	struct clone_template *t;
	pthread_t cloner;

	event = eventfd(0, EFD_CLOEXEC);
	cloner = thread_start(second_run, &event);
	thread_join_expect(cloner, &event);
	t = template_park(); /* by another thread than before */
	clone_release(t);
}

static void *joined_run(void *data)
{
	struct clone_template *t = template_park();
	pid_t pid = template_clone(t);

	if (pid == 0)
		return data; /* ends; the first thread of the clone waits for that */
	clone_expect_done(pid);
	_exit(0);
}

static void test_cloner_is_joined_in_clone(void)
{
	thread_join_expect(thread_start(joined_run, &event), &event);
	clone_done();
}

/* setuid() and the like signal all threads with 33 too, and wait for each. */
static void *setuid_run(void *data)
{
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		CHECK(setuid(getuid()) == 0);
		__atomic_add_fetch(&progress[0], 1, __ATOMIC_RELEASE);
	}
	return data;
}

static void expect_setuid(void)
{
	counter_await(&progress[0], __atomic_load_n(&progress[0], __ATOMIC_ACQUIRE) + 3);
	CHECK(setuid(getuid()) == 0);
}

static void test_setuid_meanwhile(void)
{
	pthread_t setter = thread_start(setuid_run, NULL);

	event = eventfd(0, EFD_CLOEXEC);
	waiter = thread_start(event_await, &waiter);
	for (int i = 0; i < 25; i++)
		check_in_clone_and_template(expect_setuid);
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	thread_join_expect(setter, NULL);
}

/* A parked template uses no CPU. */
static void test_no_cpu_while_parked(void)
{
	struct clone_template *t;
	usec_t before;

	event = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < 8; i++)
		thread_start(event_await, NULL);
	counter_await(&started, 8);
	thread_start(hammer_run, &progress[0]);
	t = template_park();
	before = usec_of_clock(CLOCK_PROCESS_CPUTIME_ID);
	usleep(100000);
	CHECK(usec_of_clock(CLOCK_PROCESS_CPUTIME_ID) - before < 2000);
	clone_release(t);
}

/* Settling waits for work to end, but not for ever. */
static void *work_run(void *data)
{
	usec_t end = usec_monotonic() + 60 * USEC_PER_MSEC;

	__atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
	while (usec_monotonic() < end)
		continue;
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	return event_await(data);
}

static void test_settles(void)
{
	struct clone_options options = { .settle_limit = 10 * USEC_PER_SEC };
	struct clone_template *t;
	struct err e = { 0 };

	event = eventfd(0, EFD_CLOEXEC);
	thread_start(work_run, NULL);
	counter_await(&started, 1);
	CHECK(clone_park(&t, &options, &e) == 0, "%s", e.text);
	CHECK(__atomic_load_n(&stop, __ATOMIC_ACQUIRE));
	clone_release(t);
}

static void note_count(void *data, const char *sentence)
{
	*(int *)data += strstr(sentence, "still used CPU") != NULL;
}

static void test_settling_is_limited(void)
{
	int noted = 0;
	struct clone_options options = {
		.settle_limit = 30 * USEC_PER_MSEC,
		.note = note_count,
		.note_data = &noted,
	};
	struct clone_template *t;
	struct err e = { 0 };

	for (int i = 0; i < HAMMERS; i++) /* on a busy machine, one may get no CPU for long */
		thread_start(hammer_run, &progress[i]);
	counter_await(&progress[0], 1);
	CHECK(clone_park(&t, &options, &e) == 0, "%s", e.text);
	CHECK(noted == 1);
	clone_release(t);
}

/* A thread in the middle of vfork(): it cannot take signals before its child has gone. */
static void *vfork_run(void *data)
{
	__atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
	if (vfork() == 0) {
		syscall(SYS_nanosleep, &(struct timespec){ .tv_nsec = 50000000 }, NULL);
		_exit(0);
	}
	return event_await(data);
}

static void test_vfork_meanwhile(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	waiter = thread_start(vfork_run, &waiter);
	counter_await(&started, 1);
	usleep(5000);
	check_in_clone_and_template(expect_waiter);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{ "all signals blocked", test_all_signals_blocked },
		{ "signal 33 blocked", test_signal_33_blocked },
		{ "queue of signals full", test_queue_of_signals_full },
		{ "disposition restored", test_disposition_restored },
		{ "small stack", test_small_stack },
		{ "inside malloc", test_inside_malloc },
		{ "threads appear", test_threads_appear },
		{ "many threads", test_many_threads },
		{ "leader gone", test_leader_gone },
		{ "cloner is not first", test_cloner_is_not_first },
		{ "cloner is joined in a clone", test_cloner_is_joined_in_clone },
		{ "setuid meanwhile", test_setuid_meanwhile },
		{ "no cpu while parked", test_no_cpu_while_parked },
		{ "settles", test_settles },
		{ "settling is limited", test_settling_is_limited },
		{ "vfork meanwhile", test_vfork_meanwhile },
	};

	return scenario_run_all(scenarios, array_size(scenarios));
}
