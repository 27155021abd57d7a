/*
 * test_clone_threads.c - what makes a thread itself is the same in a clone, and it lives and ends
 * there like any other.
 */
#include "clone/scenario.h"

#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <xmmintrin.h>

/* A thread that waits for a round number, does one job, and waits for the next. */

static int round_wanted, round_done, ready;
static void (*job)(void);
static pthread_t worker;
static pid_t worker_tid;

static void *worker_run(void *data)
{
	void (*prepare)(void) = (void (*)(void))data;

	if (prepare)
		prepare();
	for (int done = 0;;) {
		__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
		counter_await(&round_wanted, done + 1);
		job();
		__atomic_store_n(&round_done, ++done, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void worker_do(void)
{
	int round = __atomic_add_fetch(&round_wanted, 1, __ATOMIC_ACQ_REL);

	counter_await(&round_done, round);
}

/* Runs `check` by a thread after `prepare`, in the template, in a clone, and in a clone of it. */
static void scenario_worker(void (*prepare)(void), void (*check)(void))
{
	job = check;
	worker = thread_start(worker_run, (void *)prepare);
	counter_await(&ready, 1);
	worker_do();
	for (int generation = 0; generation < 2; generation++) {
		struct clone_template *t = template_park();
		pid_t pid = template_clone(t);

		if (pid > 0) {
			clone_expect_done(pid);
			clone_release(t);
			worker_do();
			if (generation > 0)
				clone_done();
			return;
		}
		worker_do();
	}
	clone_done();
}

static void name_prepare(void)
{
	prctl(PR_SET_NAME, "first-name");
	worker_tid = gettid();
}

static void name_check(void)
{
	char name[16] = "", path[64];
	FILE *file;

	CHECK(pthread_getname_np(pthread_self(), name, sizeof(name)) == 0);
	CHECK(strcmp(name, "first-name") == 0, "%s", name);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", gettid());
	file = fopen(path, "r");
	CHECK(file && fgets(name, sizeof(name), file));
	CHECK(strcmp(name, "first-name\n") == 0, "%s", name);
	fclose(file);
}

static void test_name(void)
{
	scenario_worker(name_prepare, name_check);
}

/* An alternate stack: a handler that asks for it runs on it. */

static char *alternate_stack;
static size_t alternate_size;
static volatile sig_atomic_t handler_was_on_it;

static void handle_on_stack(int signal)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), start = (uintptr_t)alternate_stack;

	(void)signal;
	handler_was_on_it = here >= start && here < start + alternate_size;
}

static void alternate_prepare(void)
{
	struct sigaction action = { .sa_handler = handle_on_stack, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_size = alternate_size = (size_t)sysconf(_SC_SIGSTKSZ) };

	stack.ss_sp = alternate_stack = malloc(alternate_size);
	CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
}

static void alternate_check(void)
{
	handler_was_on_it = 0;
	pthread_kill(pthread_self(), SIGUSR1);
	CHECK(handler_was_on_it == 1);
}

static void test_alternate_stack(void)
{
	scenario_worker(alternate_prepare, alternate_check);
}

/* Parked while running on the alternate stack itself. */

static int in_handler;

static void handle_long(int signal)
{
	(void)signal;
	__atomic_store_n(&in_handler, 1, __ATOMIC_RELEASE);
	counter_await(&round_wanted, 1);
	handler_was_on_it = 1;
}

static void *in_handler_run(void *data)
{
	struct sigaction action = { .sa_handler = handle_long, .sa_flags = SA_ONSTACK };
	stack_t before;

	sigaltstack(NULL, &before); /* AddressSanitizer wants its own back */
	alternate_prepare();
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	pthread_kill(pthread_self(), SIGUSR1);
	CHECK(handler_was_on_it);
	sigaction(SIGUSR1,
		&(struct sigaction){ .sa_handler = handle_on_stack, .sa_flags = SA_ONSTACK }, NULL);
	alternate_check();
	sigaltstack(&before, NULL);
	return data;
}

static void expect_handler_ends(void)
{
	__atomic_store_n(&round_wanted, 1, __ATOMIC_RELEASE);
	thread_join_expect(worker, &worker);
}

static void test_parked_on_alternate_stack(void)
{
	worker = thread_start(in_handler_run, &worker);
	counter_await(&in_handler, 1);
	check_in_clone_and_template(expect_handler_ends);
}

/* Registers: a loop that keeps values in them and in nothing else. */

static int spin_started, spin_stop;

static void *registers_run(void *data)
{
	static const unsigned char pattern[32]
		__attribute__((aligned(32))) = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
			16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 };
	unsigned char low[16], high[32] = { 0 };
	unsigned mxcsr = 0x3f80, mxcsr_after = 0; /* rounding up, all exceptions masked */
	unsigned long r12 = 0x1212121212121212, r12_after;
	bool has_avx = __builtin_cpu_supports("avx");

	__asm__ volatile("ldmxcsr %[mxcsr]\n\t"
			 "movdqa %[pattern], %%xmm3\n\t"
			 "testb %[avx], %[avx]\n\t"
			 "jz 1f\n\t"
			 "vmovdqa %[pattern], %%ymm5\n"
			 "1:\n\t"
			 "mov %[r12], %%r12\n\t"
			 "movl $1, %[started]\n"
			 "2:\n\t"
			 "pause\n\t"
			 "cmpl $0, %[stop]\n\t"
			 "je 2b\n\t"
			 "mov %%r12, %[r12_after]\n\t"
			 "stmxcsr %[mxcsr_after]\n\t"
			 "movdqu %%xmm3, %[low]\n\t"
			 "testb %[avx], %[avx]\n\t"
			 "jz 3f\n\t"
			 "vmovdqu %%ymm5, %[high]\n\t"
			 "vzeroupper\n"
			 "3:\n\t"
			 : [started] "=m"(spin_started), [low] "=m"(low), [high] "=m"(high),
			 [mxcsr_after] "=m"(mxcsr_after), [r12_after] "=&r"(r12_after)
			 : [stop] "m"(spin_stop), [pattern] "m"(pattern), [mxcsr] "m"(mxcsr),
			 [r12] "r"(r12), [avx] "r"((char)has_avx)
			 : "xmm3", "xmm5", "r12", "memory");
	CHECK(r12_after == r12 && mxcsr_after == mxcsr, "%#lx %#x", r12_after, mxcsr_after);
	CHECK(memcmp(low, pattern, sizeof(low)) == 0);
	CHECK(!has_avx || memcmp(high, pattern, sizeof(high)) == 0);
	return data;
}

static void expect_registers(void)
{
	__atomic_store_n(&spin_stop, 1, __ATOMIC_RELEASE);
	thread_join_expect(worker, &worker);
}

static void test_registers(void)
{
	worker = thread_start(registers_run, &worker);
	counter_await(&spin_started, 1);
	check_in_clone_and_template(expect_registers);
}

/* Thread-local storage, and the destructors of its keys when the thread ends. */

static __thread int local;
static pthread_key_t key;
static int destroyed;

static void destroy(void *value)
{
	CHECK(value == &key && local == 42);
	destroyed++;
}

static void *local_run(void *data)
{
	local = 42;
	pthread_setspecific(key, &key);
	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	counter_await(&round_wanted, 1);
	CHECK(local == 42 && pthread_getspecific(key) == &key);
	return data;
}

static void expect_destructor(void)
{
	destroyed = 0;
	__atomic_store_n(&round_wanted, 1, __ATOMIC_RELEASE);
	thread_join_expect(worker, &local);
	CHECK(destroyed == 1);
	CHECK(local == 7); /* the cloner's own */
}

static void test_local_storage(void)
{
	local = 7;
	pthread_key_create(&key, destroy);
	worker = thread_start(local_run, &local);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_destructor);
}

/* TIDs: libc's idea of them is right, so signals and clocks of single threads work. */

static void tid_check(void)
{
	struct timespec t;
	clockid_t clock;

	worker_tid = gettid();
	CHECK(pthread_getcpuclockid(pthread_self(), &clock) == 0);
	CHECK(clock_gettime(clock, &t) == 0);
}

static void expect_tids(void)
{
	clockid_t clock;
	struct timespec t;

	worker_do();
	CHECK(syscall(SYS_tgkill, getpid(), worker_tid, 0) == 0);
	CHECK(pthread_kill(worker, 0) == 0);
	CHECK(pthread_getcpuclockid(worker, &clock) == 0 && clock_gettime(clock, &t) == 0);
	CHECK(pthread_kill(pthread_self(), 0) == 0);
	CHECK(pthread_getcpuclockid(pthread_self(), &clock) == 0);
	CHECK(clock_gettime(clock, &t) == 0);
	CHECK(gettid() == getpid());
}

static void test_tids(void)
{
	job = tid_check;
	worker = thread_start(worker_run, NULL);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_tids);
}

/* rseq: the kernel keeps the number of the CPU in the thread's block up to date. */
static void rseq_check(void)
{
	const struct rseq *rseq =
		(const void *)((const char *)__builtin_thread_pointer() + __rseq_offset);
	cpu_set_t set;

	CHECK(__rseq_size > 0);
	for (int cpu = 0; cpu < 2 && cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
		CHECK(*(volatile const uint32_t *)&rseq->cpu_id == (uint32_t)cpu, "%u",
			rseq->cpu_id);
	}
}

static void rseq_check_both(void)
{
	worker_do();
	rseq_check();
}

static void test_rseq(void)
{
	job = rseq_check;
	worker = thread_start(worker_run, NULL);
	counter_await(&ready, 1);
	check_in_clone_and_template(rseq_check_both);
}

/* Mask, scheduling and CPUs. */

static void schedule_prepare(void)
{
	struct sched_param none = { 0 };
	cpu_set_t set;
	sigset_t mask;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	CHECK(sched_setscheduler(0, SCHED_BATCH, &none) == 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 7) == 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

static void schedule_check(void)
{
	cpu_set_t set;
	sigset_t mask;

	CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
	CHECK(CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set));
	CHECK(sched_getscheduler(0) == SCHED_BATCH);
	CHECK(getpriority(PRIO_PROCESS, 0) == 7);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	CHECK(sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGUSR1));
}

static void test_schedule(void)
{
	scenario_worker(schedule_prepare, schedule_check);
}

/* The processors that a process may use, whether it was told so or not, are those of its clones. */

static cpu_set_t processors;

static void expect_processors(void)
{
	cpu_set_t set;

	CHECK(sched_getaffinity(0, sizeof(set), &set) == 0);
	CHECK(CPU_EQUAL(&set, &processors));
}

static void expect_processors_of_both(void)
{
	expect_processors();
	worker_do();
	expect_processors();
}

static void test_processors(void)
{
	CHECK(sched_getaffinity(0, sizeof(processors), &processors) == 0);
	job = expect_processors;
	worker = thread_start(worker_run, NULL);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_processors_of_both);
}

static void test_restricted_processors(void)
{
	CPU_ZERO(&processors);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &processors);
	CHECK(sched_setaffinity(0, sizeof(processors), &processors) == 0);
	job = expect_processors;
	worker = thread_start(worker_run, NULL);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_processors_of_both);
}

/* Threads come although the one that resumed never sleeps. */

static void job_nothing(void)
{
}

static void expect_answer_without_sleep(void)
{
	int round = __atomic_add_fetch(&round_wanted, 1, __ATOMIC_ACQ_REL);

	while (__atomic_load_n(&round_done, __ATOMIC_ACQUIRE) < round)
		continue;
}

static void test_spinning(void)
{
	job = job_nothing;
	worker = thread_start(worker_run, NULL);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_answer_without_sleep);
}

static void second_pointer_prepare(void)
{
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123000) == 0);
}

static void second_pointer_check(void)
{
	unsigned long value = 0;

	CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &value) == 0 && value == 0x123000);
}

static void test_second_pointer(void)
{
	scenario_worker(second_pointer_prepare, second_pointer_check);
}

/* Signals that wait while blocked: of one thread, and of the process. */

static void pending_prepare(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
}

static void pending_check(void)
{
	sigset_t set;
	int signal = 0;

	CHECK(sigpending(&set) == 0 && sigismember(&set, SIGUSR1));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(sigwait(&set, &signal) == 0 && signal == SIGUSR1);
}

static void expect_pending(void)
{
	sigset_t set;
	int signal = 0;

	worker_do();
	CHECK(sigpending(&set) == 0 && sigismember(&set, SIGUSR2) && !sigismember(&set, SIGUSR1));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(sigwait(&set, &signal) == 0 && signal == SIGUSR2);
}

static void test_pending_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	job = pending_check;
	worker = thread_start(worker_run, (void *)pending_prepare);
	counter_await(&ready, 1);
	kill(getpid(), SIGUSR2);
	check_in_clone_and_template(expect_pending);
}

/* setitimer(), which a fork loses. */

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
	alarms += signal == SIGALRM;
}

static void expect_alarm(void)
{
	alarms = 0;
	for (int i = 0; i < 200 && !alarms; i++)
		usleep(1000);
	CHECK(alarms > 0);
}

static void test_interval_timer(void)
{
	struct itimerval timer = { { 0, 20000 }, { 0, 20000 } };

	signal(SIGALRM, count_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
	check_in_clone_and_template(expect_alarm);
}

static void test_posix_timer_is_noted(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	struct clone_template *t;
	timer_t timer;

	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	t = template_park();
	CHECK(scenario_noted("POSIX timer"));
	clone_release(t);
}

/* Ends of threads. */

static void *cancelled_run(void *data)
{
	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return data;
}

/* libc knows no thread to signal before it exists again. */
static void expect_cancel(void)
{
	while (pthread_kill(worker, 0) != 0)
		usleep(100);
	CHECK(pthread_cancel(worker) == 0);
	thread_join_expect(worker, PTHREAD_CANCELED);
}

static void test_cancel(void)
{
	worker = thread_start(cancelled_run, NULL);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_cancel);
}

static void *thread_exit_run(void *data)
{
	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	counter_await(&round_wanted, 1);
	pthread_exit(data);
}

static void expect_exit_and_new_threads(void)
{
	__atomic_store_n(&round_wanted, 1, __ATOMIC_RELEASE);
	thread_join_expect(worker, &ready);
	/* Its stack goes to the next thread, and so does its block. */
	for (int i = 0; i < 20; i++)
		thread_join_expect(thread_start(thread_exit_run, &i), &i);
}

static void test_exit_of_thread(void)
{
	worker = thread_start(thread_exit_run, &ready);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_exit_and_new_threads);
}

static void expect_detached_end(void)
{
	__atomic_store_n(&round_wanted, 1, __ATOMIC_RELEASE);
	while (count_entries("/proc/self/task") > 1)
		usleep(500);
}

static void test_detached_thread(void)
{
	worker = thread_start(thread_exit_run, &ready);
	pthread_detach(worker);
	counter_await(&ready, 1);
	check_in_clone_and_template(expect_detached_end);
}

/* exit() in a clone, while other threads run, flushes and ends. */
static void test_exit_of_process(void)
{
	struct clone_template *t;
	pid_t pid;

	worker = thread_start(cancelled_run, NULL);
	counter_await(&ready, 1);
	t = template_park();
	pid = template_clone(t);
	if (pid == 0) {
		worker = thread_start(cancelled_run, NULL);
		exit(7);
	}
	clone_expect_done(pid);
}

/* A thread made by raw clone(), which borrows its maker's TLS, as some runtimes have. */

static int raw_done;
static pid_t raw_tid;

static int raw_run(void *data)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	(void)data;
	while (!__atomic_load_n(&round_wanted, __ATOMIC_ACQUIRE))
		syscall(SYS_nanosleep, &pause, NULL);
	__atomic_store_n(&raw_done, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	syscall(SYS_exit, 0);
	return 0;
}

static void expect_raw_thread(void)
{
	__atomic_store_n(&round_wanted, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&raw_done, __ATOMIC_ACQUIRE))
		usleep(500);
	while (*(volatile pid_t *)&raw_tid) /* the kernel clears it */
		usleep(500);
	CHECK(pthread_kill(pthread_self(), 0) == 0); /* our TID was not mistaken for the thread's */
}

static void test_raw_thread(void)
{
	static char stack[32768] __attribute__((aligned(64)));

	CHECK(clone(raw_run, stack + sizeof(stack),
		      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			      CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
		      NULL, &raw_tid, NULL, &raw_tid) > 0);
	check_in_clone_and_template(expect_raw_thread);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{ "name", test_name },
		{ "alternate stack", test_alternate_stack },
		{ "parked on the alternate stack", test_parked_on_alternate_stack },
		{ "registers", test_registers },
		{ "local storage", test_local_storage },
		{ "tids", test_tids },
		{ "rseq", test_rseq },
		{ "schedule", test_schedule },
		{ "processors", test_processors },
		{ "restricted processors", test_restricted_processors },
		{ "spinning", test_spinning },
		{ "second pointer", test_second_pointer },
		{ "pending signals", test_pending_signals },
		{ "interval timer", test_interval_timer },
		{ "POSIX timer is noted", test_posix_timer_is_noted },
		{ "cancel", test_cancel },
		{ "exit of a thread", test_exit_of_thread },
		{ "detached thread", test_detached_thread },
		{ "exit of the process", test_exit_of_process },
		{ "raw thread", test_raw_thread },
	};

	return scenario_run_all(scenarios, array_size(scenarios));
}
