/*
 * test_clone_waits.c - a thread that waits in the kernel goes on waiting in a clone, whatever the
 * call: it ends with what it waited for, or when its time is over, and not with EINTR.
 *
 * Each wait is one function that a thread runs, and one that brings what it waits for. Every
 * scenario is checked in a clone and, after the release, in the template.
 */
#include "clone/scenario.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#define SHORT_MS 150

static int word;           /* a futex */
static int event, ends[2]; /* an eventfd; a pipe or socket pair */
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static struct {
	pid_t tid;
	long result;
	int error;
	int done;
	usec_t began, ended;
	pthread_t thread;
} waiter;

static long (*wait_call)(void);

static void *wait_run(void *data)
{
	(void)data;
	waiter.began = usec_monotonic();
	__atomic_store_n(&waiter.tid, gettid(), __ATOMIC_RELEASE);
	errno = 0;
	waiter.result = wait_call();
	waiter.error = errno;
	waiter.ended = usec_monotonic();
	__atomic_store_n(&waiter.done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void (*wake_call)(void);
static long expected_result;
static int expected_error;
static usec_t expected_duration;

static void expect_result(void)
{
	if (wake_call) {
		usleep(20000); /* a call that ended too early has had time to */
		CHECK(!__atomic_load_n(&waiter.done, __ATOMIC_ACQUIRE), "%ld, errno %d",
			waiter.result, waiter.error);
		wake_call();
	}
	thread_join_expect(waiter.thread, NULL);
	CHECK(waiter.result == expected_result, "%ld", waiter.result);
	CHECK(expected_result >= 0 || waiter.error == expected_error, "errno %d", waiter.error);
	CHECK(waiter.ended - waiter.began >= expected_duration, "%llu us",
		(unsigned long long)(waiter.ended - waiter.began));
}

static void scenario_wait(long (*call)(void), void (*wake)(void), long result)
{
	wait_call = call;
	wake_call = wake;
	expected_result = result;
	waiter.thread = thread_start(wait_run, NULL);
	while (!__atomic_load_n(&waiter.tid, __ATOMIC_ACQUIRE))
		usleep(100);
	thread_await_blocked(waiter.tid);
	check_in_clone_and_template(expect_result);
}

/* The same for a call that ends by itself after SHORT_MS. */
static void scenario_timeout(long (*call)(void), long result, int error)
{
	expected_error = error;
	expected_duration = SHORT_MS * USEC_PER_MSEC;
	scenario_wait(call, NULL, result);
}

static struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static const struct timespec short_time = { .tv_nsec = SHORT_MS * 1000000 };

/* Futexes. */

static long futex_plain(void)
{
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static long futex_until(void)
{
	struct timespec t = in_ms(CLOCK_MONOTONIC, 20000);

	return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, ~0);
}

static long futex_until_soon(void)
{
	struct timespec t = in_ms(CLOCK_MONOTONIC, SHORT_MS);

	return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, ~0);
}

static void futex_wake_one(void)
{
	word = 1;
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void test_futex(void)
{
	scenario_wait(futex_plain, futex_wake_one, 0);
}

static void test_timed_futex(void)
{
	scenario_wait(futex_until, futex_wake_one, 0);
}

static void test_timed_futex_ends(void)
{
	scenario_timeout(futex_until_soon, -1, ETIMEDOUT);
}

static long semaphore_wait(void)
{
	return sem_wait(&semaphore);
}

static long semaphore_timed(void)
{
	struct timespec t = in_ms(CLOCK_REALTIME, 20000);

	return sem_timedwait(&semaphore, &t);
}

static void semaphore_wake(void)
{
	sem_post(&semaphore);
}

static void test_semaphore(void)
{
	sem_init(&semaphore, 0, 0);
	scenario_wait(semaphore_wait, semaphore_wake, 0);
}

static void test_timed_semaphore(void)
{
	sem_init(&semaphore, 0, 0);
	scenario_wait(semaphore_timed, semaphore_wake, 0);
}

static long condition_wait(void)
{
	struct timespec t = in_ms(CLOCK_REALTIME, 20000);
	int r = 0;

	pthread_mutex_lock(&mutex);
	while (!word && r == 0)
		r = pthread_cond_timedwait(&condition, &mutex, &t);
	pthread_mutex_unlock(&mutex);
	return r;
}

static void condition_wake(void)
{
	pthread_mutex_lock(&mutex);
	word = 1;
	pthread_cond_signal(&condition);
	pthread_mutex_unlock(&mutex);
}

static void test_timed_condition(void)
{
	scenario_wait(condition_wait, condition_wake, 0);
}

/* Waiting for descriptors. */

static void event_wake(void)
{
	uint64_t one = 1;

	CHECK(write(event, &one, sizeof(one)) == sizeof(one));
}

static long epoll_with(int timeout)
{
	struct epoll_event e = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(epoll, EPOLL_CTL_ADD, event, &e);
	return epoll_wait(epoll, &e, 1, timeout);
}

static long epoll_forever(void)
{
	return epoll_with(-1);
}

static long epoll_soon(void)
{
	return epoll_with(SHORT_MS);
}

/* An argument of a call in which a thread waits, other than this one; 0 while there is none. */
static unsigned long thread_argument(long call, int index)
{
	unsigned long value = 0;
	DIR *tasks = opendir("/proc/self/task");

	for (struct dirent *entry; (entry = readdir(tasks));) {
		char path[300], text[256] = "", *at = text;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(text, sizeof(text), file) && strtol(text, &at, 10) == call && at != text)
			for (int i = 0; i <= index; i++)
				value = strtoul(at, &at, 16);
		fclose(file);
	}
	closedir(tasks);
	return value;
}

static void test_epoll_wait(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	scenario_wait(epoll_forever, event_wake, 1);
}

static void test_epoll_wait_ends(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	scenario_timeout(epoll_soon, 0, 0);
}

static long poll_forever(void)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, -1);
}

static long poll_soon(void)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, SHORT_MS);
}

static long poll_for_ten_seconds(void)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, 10000);
}

/* What is left of a timeout is shorter by the time that the template was parked. */
static void test_poll_is_shortened(void)
{
	struct clone_template *t;
	pid_t pid;

	event = eventfd(0, EFD_CLOEXEC);
	wait_call = poll_for_ten_seconds;
	waiter.thread = thread_start(wait_run, NULL);
	while (!__atomic_load_n(&waiter.tid, __ATOMIC_ACQUIRE))
		usleep(100);
	thread_await_blocked(waiter.tid);
	t = template_park();
	usleep(60000);
	pid = template_clone(t);
	if (pid == 0) {
		unsigned long timeout;

		while (!(timeout = thread_argument(SYS_poll, 2)))
			usleep(500);
		CHECK(timeout <= 10000 - 60 && timeout > 5000, "%lu", timeout);
		clone_done();
	}
	clone_expect_done(pid);
}

static long ppoll_soon(void)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return ppoll(&p, 1, &short_time, NULL);
}

static long select_forever(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(event, &set);
	return select(event + 1, &set, NULL, NULL, NULL);
}

static long select_soon(void)
{
	struct timeval t = { .tv_usec = SHORT_MS * 1000 };

	return select(0, NULL, NULL, NULL, &t);
}

static void test_poll(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	scenario_wait(poll_forever, event_wake, 1);
}

static void test_poll_ends(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	scenario_timeout(poll_soon, 0, 0);
}

static void test_ppoll_ends(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	scenario_timeout(ppoll_soon, 0, 0);
}

static void test_select(void)
{
	event = eventfd(0, EFD_CLOEXEC);
	scenario_wait(select_forever, event_wake, 1);
}

static void test_select_ends(void)
{
	scenario_timeout(select_soon, 0, 0);
}

static long end_read(void)
{
	char byte;

	return read(ends[0], &byte, 1);
}

static long end_receive(void)
{
	char byte;

	return recv(ends[0], &byte, 1, 0);
}

static void end_write(void)
{
	CHECK(write(ends[1], "x", 1) == 1);
}

/* A call that the kernel restarts by itself, and that nobody issues again. */
static char fifo[64];

static long fifo_open(void)
{
	return open(fifo, O_RDONLY | O_CLOEXEC) >= 0;
}

static void fifo_wake(void)
{
	CHECK(open(fifo, O_WRONLY | O_CLOEXEC) >= 0);
}

static void test_open_of_named_pipe(void)
{
	snprintf(fifo, sizeof(fifo), "/tmp/clone-test-%d-%llx", getpid(),
		(unsigned long long)usec_realtime());
	CHECK(mkfifo(fifo, 0600) == 0);
	scenario_wait(fifo_open, fifo_wake, 1);
	unlink(fifo);
}

static void test_read_of_pipe(void)
{
	CHECK(pipe(ends) == 0);
	scenario_wait(end_read, end_write, 1);
}

static void test_read_of_eventfd(void)
{
	ends[0] = event = eventfd(0, EFD_CLOEXEC);
	wait_call = NULL;
	scenario_wait(poll_forever, event_wake, 1);
}

static void test_receive_of_pair(void)
{
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	scenario_wait(end_receive, end_write, 1);
}

static void test_receive_with_timeout(void)
{
	struct timeval t = { .tv_sec = 20 };

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	scenario_wait(end_receive, end_write, 1);
}

/* Time. */

static long sleep_relative(void)
{
	return nanosleep(&short_time, NULL);
}

static long sleep_with_remainder(void)
{
	struct timespec rest = short_time;

	return nanosleep(&rest, &rest);
}

static long sleep_until(void)
{
	struct timespec t = in_ms(CLOCK_MONOTONIC, SHORT_MS);

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void test_nanosleep(void)
{
	scenario_timeout(sleep_relative, 0, 0);
}

static void test_nanosleep_with_remainder(void)
{
	scenario_timeout(sleep_with_remainder, 0, 0);
}

static void test_clock_nanosleep_until(void)
{
	scenario_timeout(sleep_until, 0, 0);
}

/* Signals. */

static void signals_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static long signal_wait(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigwaitinfo(&set, &info);
}

static long signal_wait_timed(void)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigtimedwait(&set, &info, &short_time);
}

static void signal_wake(void)
{
	CHECK(pthread_kill(waiter.thread, SIGUSR1) == 0);
}

static void test_sigwait(void)
{
	signals_block();
	scenario_wait(signal_wait, signal_wake, SIGUSR1);
}

static void test_sigtimedwait_ends(void)
{
	signals_block();
	scenario_timeout(signal_wait_timed, -1, EAGAIN);
}

static volatile sig_atomic_t handled;

static void handle(int signal)
{
	handled = signal;
}

static void handler_set(void)
{
	struct sigaction action = { .sa_handler = handle };

	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static long pause_call(void)
{
	return pause();
}

static long suspend_call(void)
{
	sigset_t none;

	sigemptyset(&none);
	return sigsuspend(&none);
}

static void test_pause(void)
{
	handler_set();
	expected_error = EINTR;
	scenario_wait(pause_call, signal_wake, -1);
}

static void test_sigsuspend(void)
{
	handler_set();
	signals_block();
	expected_error = EINTR;
	scenario_wait(suspend_call, signal_wake, -1);
}

/* Another thread. */

static pthread_t target;

static void *target_run(void *data)
{
	(void)data;
	futex_plain();
	return &word;
}

static long join_target(void)
{
	void *value = NULL;
	int r = pthread_join(target, &value);

	return r ? -r : value == &word;
}

static void test_join(void)
{
	target = thread_start(target_run, NULL);
	scenario_wait(join_target, futex_wake_one, 1);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{ "futex", test_futex },
		{ "timed futex", test_timed_futex },
		{ "timed futex ends", test_timed_futex_ends },
		{ "semaphore", test_semaphore },
		{ "timed semaphore", test_timed_semaphore },
		{ "timed condition", test_timed_condition },
		{ "epoll_wait", test_epoll_wait },
		{ "epoll_wait ends", test_epoll_wait_ends },
		{ "poll", test_poll },
		{ "poll ends", test_poll_ends },
		{ "poll is shortened", test_poll_is_shortened },
		{ "ppoll ends", test_ppoll_ends },
		{ "select", test_select },
		{ "select ends", test_select_ends },
		{ "open of a named pipe", test_open_of_named_pipe },
		{ "read of a pipe", test_read_of_pipe },
		{ "read of an eventfd", test_read_of_eventfd },
		{ "receive of a pair", test_receive_of_pair },
		{ "receive with a timeout", test_receive_with_timeout },
		{ "nanosleep", test_nanosleep },
		{ "nanosleep with a remainder", test_nanosleep_with_remainder },
		{ "clock_nanosleep until", test_clock_nanosleep_until },
		{ "sigwait", test_sigwait },
		{ "sigtimedwait ends", test_sigtimedwait_ends },
		{ "pause", test_pause },
		{ "sigsuspend", test_sigsuspend },
		{ "pthread_join", test_join },
	};

	return scenario_run_all(scenarios, array_size(scenarios));
}
