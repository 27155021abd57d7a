/*
 * test_clone_generations.c - clones of clones, very many clones, and clones in namespaces of their
 * own: nothing is lost on the way and nothing is left behind.
 */
#include "clone/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

/* A little runtime: a worker that answers over an eventfd, an event loop, a timer thread. */

#define RUNTIME_THREADS 3

static int question, answer, loop, timer;
static int ticks;

static void *worker_run(void *data)
{
	for (;;) {
		uint64_t value;

		CHECK(read(question, &value, sizeof(value)) == sizeof(value));
		value *= 2;
		CHECK(write(answer, &value, sizeof(value)) == sizeof(value));
	}
	return data;
}

static void *loop_run(void *data)
{
	for (;;) {
		struct epoll_event event;
		uint64_t expired;

		CHECK(epoll_wait(loop, &event, 1, -1) == 1);
		if (read(timer, &expired, sizeof(expired)) == sizeof(expired))
			__atomic_add_fetch(&ticks, 1, __ATOMIC_RELEASE);
	}
	return data;
}

static void *sleeper_run(void *data)
{
	for (;;)
		CHECK(usleep(1000000) == 0);
	return data;
}

static void runtime_start(void)
{
	struct itimerspec period = { { 0, 1000000 }, { 0, 1000000 } };
	struct epoll_event event = { .events = EPOLLIN };

	question = eventfd(0, EFD_CLOEXEC);
	answer = eventfd(0, EFD_CLOEXEC);
	loop = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	CHECK(timerfd_settime(timer, 0, &period, NULL) == 0);
	CHECK(epoll_ctl(loop, EPOLL_CTL_ADD, timer, &event) == 0);
	thread_start(worker_run, NULL);
	thread_start(loop_run, NULL);
	thread_start(sleeper_run, NULL);
}

static void runtime_use(void)
{
	for (uint64_t i = 1; i < 10; i++) {
		uint64_t got;

		CHECK(write(question, &i, sizeof(i)) == sizeof(i));
		CHECK(read(answer, &got, sizeof(got)) == sizeof(got));
		CHECK(got == 2 * i, "%llu", (unsigned long long)got);
	}
	counter_await(&ticks, __atomic_load_n(&ticks, __ATOMIC_ACQUIRE) + 2);
}

struct inventory {
	int threads, descriptors;
	size_t mappings;
};

static struct inventory inventory_take(void)
{
	struct inventory i;

	while (count_entries("/proc/self/task") != RUNTIME_THREADS + 1)
		usleep(200); /* the helper thread ends after it has made the others */
	i.threads = count_entries("/proc/self/task");
	i.descriptors = count_entries("/proc/self/fd");
	i.mappings = count_mappings();
	return i;
}

static void inventory_compare(const struct inventory *a, const struct inventory *b)
{
	CHECK(a->threads == b->threads, "%d, %d", a->threads, b->threads);
	CHECK(a->descriptors == b->descriptors, "%d, %d", a->descriptors, b->descriptors);
	/* Neighbouring mappings merge and split, but none may be left per generation. */
	CHECK(a->mappings + (WITH_ADDRESS_SANITIZER ? 1000 : 3) >= b->mappings, "%zu, %zu",
		a->mappings, b->mappings);
}

/* Each generation is a clone of the one before; the first waits for all. */
static void test_generations(int generations)
{
	struct inventory first, now;

	runtime_start();
	runtime_use();
	first = inventory_take();
	for (int i = 1; i <= generations; i++) {
		struct clone_template *t = template_park();
		pid_t pid;

		CHECK(clone_thread_count(t) == RUNTIME_THREADS);
		pid = template_clone(t);
		if (pid > 0) {
			clone_expect_done(pid);
			clone_release(t);
			runtime_use();
			now = inventory_take();
			inventory_compare(&first, &now);
			if (i > 1)
				clone_done();
			return;
		}
		runtime_use();
		now = inventory_take();
		inventory_compare(&first, &now);
	}
	clone_done();
}

static void test_four_generations(void)
{
	test_generations(4);
}

static void test_sixty_generations(void)
{
	test_generations(60);
}

/* A clone that parks at once, while its threads are still being made. */
static void test_park_while_resuming(void)
{
	runtime_start();
	for (int i = 0; i < 40; i++) {
		struct clone_template *t = template_park();
		pid_t pid = template_clone(t);

		if (pid == 0) {
			struct clone_template *again = template_park();
			pid_t second = template_clone(again);

			if (second == 0) {
				runtime_use();
				clone_done();
			}
			clone_expect_done(second);
			clone_done();
		}
		clone_expect_done(pid);
		clone_release(t);
	}
}

#define CLONES 10000

static void test_ten_thousand_clones(void)
{
	struct inventory before, after;
	struct clone_template *t;
	size_t memory = 0;

	runtime_start();
	runtime_use();
	before = inventory_take();
	t = template_park();
	for (int i = 0; i < CLONES; i++) {
		pid_t pid = template_clone(t);

		if (pid == 0) {
			if (i % 100 == 0)
				runtime_use();
			clone_done();
		}
		clone_expect_done(pid);
		if (i == 100)
			memory = memory_kb("Anonymous:");
	}
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	CHECK(memory_kb("Anonymous:") <= memory + 8, "%zu KB, %zu KB", memory,
		memory_kb("Anonymous:"));
	clone_release(t);
	runtime_use();
	after = inventory_take();
	inventory_compare(&before, &after);
}

/* Parking and releasing leaves nothing either. */
static void test_thousand_parkings(void)
{
	struct inventory before, after;
	size_t memory = 0;

	runtime_start();
	before = inventory_take();
	for (int i = 0; i < 1000; i++) {
		clone_release(template_park());
		if (i == 10)
			memory = memory_kb("Anonymous:");
	}
	CHECK(memory_kb("Anonymous:") <= memory + 8, "%zu KB, %zu KB", memory,
		memory_kb("Anonymous:"));
	runtime_use();
	after = inventory_take();
	inventory_compare(&before, &after);
}

/* Many clones alive at once, each with its own event loop and timer. */
static void test_clones_at_once(void)
{
	struct clone_template *t;
	pid_t pids[50];

	runtime_start();
	t = template_park();
	for (int i = 0; i < 50; i++) {
		pids[i] = template_clone(t);
		if (pids[i] == 0) {
			for (int round = 0; round < 5; round++)
				runtime_use();
			clone_done();
		}
	}
	for (int i = 0; i < 50; i++)
		clone_expect_done(pids[i]);
}

/* As isolates are made: PID 1 of a namespace, child of the template's parent. */

static void own_proc(void)
{
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
}

static pid_t isolate_clone(struct clone_template *t)
{
	const struct clone_request request = {
		.flags = CLONE_PARENT | CLONE_NEWPID | CLONE_NEWNS,
		.cgroup_fd = -1,
	};
	int failed = -1, r;
	pid_t pid = 0;

	r = clone_fork(t, &request, &pid);
	if (r == 0)
		return pid;
	CHECK(r == CLONE_CHILD, "%d", r);
	CHECK(getpid() == 1);
	own_proc();
	r = clone_remake_descriptors(t, NULL, 0, &failed);
	CHECK(r == 0, "%d on descriptor %d", r, failed);
	CHECK(clone_resume(t) == 0);
	return 0;
}

static void isolate_use(void)
{
	runtime_use();
	CHECK(getpid() == 1 && gettid() == 1);
	inventory_take();
	clone_done();
}

static void test_namespaces(void)
{
	pid_t template, pid;
	int count = 0, status;

	if (geteuid() != 0)
		return; /* needs the right to make namespaces */
	template = fork();
	if (template == 0) {
		struct clone_template *t;

		runtime_start();
		t = template_park();
		for (int i = 0; i < 3; i++)
			if (isolate_clone(t) == 0)
				isolate_use();
		clone_done();
	}
	while ((pid = waitpid(-1, &status, 0)) > 0) {
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%#x", status);
		count++;
	}
	CHECK(count == 4);
}

/* A pid namespace that stays, with an init that waits: its descriptor, and the init's pid. */
static int berth_open(pid_t *ret_init)
{
	char path[32];
	int fd;

	*ret_init = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (*ret_init == 0)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", *ret_init);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static int stand_in_rest(void *data)
{
	(void)data;
	return 0;
}

struct stand_in_test {
	struct clone_template *t;
	int berth;
	pid_t caller;
};

static int berth_fill(void *data)
{
	const struct clone_request request = { .flags = CLONE_PARENT, .cgroup_fd = -1 };
	struct stand_in_test *test = data;
	pid_t pid;

	CHECK(getpid() == test->caller && syscall(SYS_gettid) != test->caller);
	CHECK(setns(test->berth, CLONE_NEWPID) == 0);
	for (int i = 0; i < 3; i++) {
		int r = clone_fork(test->t, &request, &pid);

		if (r == CLONE_CHILD)
			return r;
		CHECK(r == 0, "%d", r);
	}
	return 0;
}

/* Clones of its making are whole; the caller goes on as if nobody had entered any namespace. */
static void stand_in_use(pid_t init)
{
	struct stand_in_test test = { .berth = berth_open(&init), .caller = gettid() };
	int r, failed = -1;

	runtime_start();
	test.t = template_park();
	r = clone_stand_in(test.t, berth_fill, &test);
	if (r == CLONE_CHILD) {
		/* Threads of the clones before it have numbers there as well. */
		CHECK(getpid() >= 2 && getpid() < 100 && gettid() == getpid());
		CHECK(unshare(CLONE_NEWNS) == 0);
		own_proc();
		CHECK(clone_remake_descriptors(test.t, NULL, 0, &failed) == 0);
		CHECK(clone_resume(test.t) == 0);
		runtime_use();
		clone_done();
	}
	CHECK(r == 0 && gettid() == test.caller);
	if (isolate_clone(test.t) == 0)
		isolate_use();
	for (int i = 0; i < 200; i++)
		CHECK(clone_stand_in(test.t, stand_in_rest, NULL) == 0);
	clone_release(test.t);
	runtime_use();
	usleep(300000);
	kill(init, SIGKILL);
	clone_done();
}

static void test_stand_in(void)
{
	pid_t template, pid;
	int count = 0, status;

	if (geteuid() != 0)
		return;
	template = fork();
	if (template == 0)
		stand_in_use(0);
	while ((pid = waitpid(-1, &status, 0)) > 0) {
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%#x", status);
		count++;
	}
	CHECK(count == 5);
}

/* A template inside a PID namespace, whose TIDs are small and met again in its clones. */
static void test_namespaces_twice(void)
{
	struct clone_template *t;
	pid_t pid;

	if (geteuid() != 0)
		return;
	runtime_start();
	t = template_park();
	if (isolate_clone(t) == 0) {
		runtime_use();
		t = template_park();
		pid = template_clone(t); /* PID 2 of the same namespace */
		if (pid == 0) {
			runtime_use();
			inventory_take();
			clone_done();
		}
		clone_expect_done(pid);
		clone_release(t);
		isolate_use();
	}
}

/* The proc of another namespace would show other TIDs; that is said. */
static void test_wrong_proc(void)
{
	const struct clone_request request = {
		.flags = CLONE_NEWPID,
		.exit_signal = SIGCHLD,
		.cgroup_fd = -1,
	};
	struct clone_template *t;
	pid_t pid;
	int r;

	if (geteuid() != 0)
		return;
	runtime_start();
	t = template_park();
	r = clone_fork(t, &request, &pid);
	if (r == CLONE_CHILD) {
		struct clone_template *second = NULL;
		struct err e = { 0 };

		CHECK(clone_resume(t) == 0);
		CHECK(clone_park(&second, NULL, &e) == -EINVAL);
		CHECK(strstr(e.text, "PID namespace"), "%s", e.text);
		clone_done();
	}
	CHECK(r == 0);
	clone_expect_done(pid);
}

/* Where a filter answers ENOSYS to clone3(), the older call serves. */
static void test_without_clone3(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = array_size(filter), .filter = filter };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	runtime_start();
	check_in_clone_and_template(runtime_use);
}

/* From here on this process cannot make threads of a runtime, or any. */
static void threads_forbid(uint32_t flags)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = array_size(filter), .filter = filter };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

/* A clone without some of its threads would hang one day; it ends, and says why. */
static void test_no_room_for_threads(void)
{
	const struct clone_request plain = { .exit_signal = SIGCHLD, .cgroup_fd = -1 };
	struct clone_template *t;
	int output[2], status, r;
	char text[256] = "";
	pid_t pid;

	runtime_start();
	CHECK(pipe2(output, O_CLOEXEC) == 0);
	t = template_park();
	r = clone_fork(t, &plain, &pid);
	if (r == CLONE_CHILD) {
		CHECK(dup2(output[1], 2) == 2);
		threads_forbid(CLONE_SETTLS);
		CHECK(clone_resume(t) == 0);
		sleep(20);
		clone_done();
	}
	CHECK(r == 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 86, "%#x", status);
	CHECK(read(output[0], text, sizeof(text) - 1) > 0);
	CHECK(strstr(text, "could not be made again"), "%s", text);

	/* Without even the helper, the caller is told. */
	r = clone_fork(t, &plain, &pid);
	if (r == CLONE_CHILD) {
		threads_forbid(CLONE_VM);
		CHECK(clone_resume(t) == -EAGAIN);
		clone_done();
	}
	CHECK(r == 0);
	clone_expect_done(pid);
}

/* An ordinary user, as most templates are. */
static void test_without_privileges(void)
{
	if (geteuid() == 0) {
		CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
		CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	}
	runtime_start();
	check_in_clone_and_template(runtime_use);
}

/* Not dumpable, a process may not read all about itself; what that costs is noted. */
static void test_not_dumpable(void)
{
	if (geteuid() != 0)
		return;
	CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	runtime_start();
	check_in_clone_and_template(runtime_use);
	CHECK(scenario_noted("Mutexes"));
}

static void test_bad_flags(void)
{
	struct clone_request request = {
		.flags = CLONE_VM, .exit_signal = SIGCHLD, .cgroup_fd = -1
	};
	struct clone_template *t = template_park();
	pid_t pid;

	CHECK(clone_fork(t, &request, &pid) == -EINVAL);
	request = (struct clone_request){ .exit_signal = SIGCHLD, .cgroup_fd = 1234 };
	CHECK(clone_fork(t, &request, &pid) == -EBADF);
	clone_release(t);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{ "four generations", test_four_generations },
		{ "sixty generations", test_sixty_generations },
		{ "park while resuming", test_park_while_resuming },
		{ "ten thousand clones", test_ten_thousand_clones },
		{ "thousand parkings", test_thousand_parkings },
		{ "clones at once", test_clones_at_once },
		{ "namespaces", test_namespaces },
		{ "namespaces twice", test_namespaces_twice },
		{ "stand-in", test_stand_in },
		{ "wrong proc", test_wrong_proc },
		{ "without clone3", test_without_clone3 },
		{ "no room for threads", test_no_room_for_threads },
		{ "without privileges", test_without_privileges },
		{ "not dumpable", test_not_dumpable },
		{ "bad flags", test_bad_flags },
	};

	return scenario_run_all(scenarios, array_size(scenarios));
}
