/*
 * resume.c - making the parked threads again in a clone, off the caller's path.
 *
 * The caller makes one helper thread and goes on. The helper makes all others, each on a small
 * stack of ours, waits until every one of them has left it for its own, unmaps the template and the
 * stacks and ends: nothing is left behind.
 *
 * The helper is tied to the caller's processor until it runs, and so runs when the caller first
 * sleeps or has used up its time. On another processor it would run at once, and while threads of
 * this process run there, each page that the caller writes to for the first time costs an interrupt
 * to it. Measured: a third of the launch and of the first event of a Java function.
 */
#include "guest/clone/template.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __SANITIZE_ADDRESS__ /* makes frames many times larger */
#define STACK_SCALE 8
#else
#define STACK_SCALE 1
#endif

#define HELPER_STACK ((size_t)16 << 10)
#define THREAD_STACK ((size_t)STACK_SCALE << 11) /* for thread_begin() and what it calls */
#define SIGSET_SIZE 8
#define MAKE_ATTEMPTS 200 /* a millisecond apart, while the system has no room for a thread */

#define THREAD_FLAGS                                                                               \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

ON_FOREIGN_STACK static void wait_until(uint32_t *word, uint32_t wanted)
{
	uint32_t value;

	while ((value = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != wanted)
		futex_wait(word, value, NULL);
}

/*
 * A waiter for a mutex with priority inheritance hands its owner's TID to the kernel, which must
 * find that thread. So, if there is such a mutex, all threads exist before any goes on.
 */
ON_FOREIGN_STACK static void meet(struct clone_template *t)
{
	__atomic_add_fetch(&t->ready, 1, __ATOMIC_ACQ_REL);
	futex_wake(&t->ready, 1);
	wait_until(&t->met, 1);
}

ON_FOREIGN_STACK static void meet_all(struct clone_template *t)
{
	wait_until(&t->ready, (uint32_t)t->thread_count);
	__atomic_store_n(&t->met, 1, __ATOMIC_RELEASE);
	futex_wake(&t->met, INT32_MAX);
}

/* Counts a user of the template out; who sees zero may unmap it. */
ON_FOREIGN_STACK static void leave(struct clone_template *t)
{
	uint32_t *remaining = &t->remaining;

	if (__atomic_sub_fetch(remaining, 1, __ATOMIC_ACQ_REL) == 0)
		futex_wake(remaining, 1);
}

/* First code of a thread that was made again; it has its TLS, and all signals are blocked. */
ON_FOREIGN_STACK static _Noreturn void thread_begin(void *data)
{
	struct thread *thread = data;
	struct clone_template *t = thread->template;

	thread_become(t, thread);
	if (t->must_meet)
		meet(t);
	arch_resume_context(thread->context, &t->remaining);
}

ON_FOREIGN_STACK static long thread_make(struct thread *thread, char *stack_top)
{
	struct arch_thread new = {
		.flags = THREAD_FLAGS | CLONE_SETTLS,
		.stack_top = stack_top,
		.parent_tid = thread->tid_address,
		.child_tid = thread->tid_address,
		.tls = thread->tls,
		.entry = thread_begin,
		.data = thread,
	};

	if (thread->tid_address)
		new.flags |= CLONE_CHILD_CLEARTID;
	if (thread->tid_address && *thread->tid_address == thread->tid)
		new.flags |= CLONE_PARENT_SETTID;
	return arch_make_thread(&new);
}

/*
 * A clone that lacks a thread would hang at some later time without a reason, and nobody is there
 * to be told by a return value. So it says why and ends, and counts as a process that exited by
 * itself.
 */
ON_FOREIGN_STACK static _Noreturn void give_up(void)
{
	static const char reason[] = "A thread of this clone could not be made again: the limit on "
				     "processes or memory is reached\n";

	raw_syscall(SYS_write, 2, reason, sizeof(reason) - 1);
	for (;;)
		raw_syscall(SYS_exit_group, CLONE_EXIT_BROKEN);
}

ON_FOREIGN_STACK static void thread_make_surely(struct thread *thread, char *stack_top)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < MAKE_ATTEMPTS; i++) {
		if (thread_make(thread, stack_top) >= 0)
			return;
		raw_syscall(SYS_nanosleep, &pause, NULL);
	}
	give_up();
}

/* What the helper needs after the template is gone; it lies at the bottom of the helper's stack. */
struct helper {
	struct clone_template *template;
	size_t size; /* of the mapping that starts here: this, its stack, one stack per thread */
	bool kept;   /* to the processor of its maker */
};

static char *helper_stack_top(struct helper *h)
{
	return (char *)h + HELPER_STACK;
}

/* The helper thread. It borrows the caller's TLS: no errno, nothing of the C library's. */
ON_FOREIGN_STACK static _Noreturn void helper_run(void *data)
{
	struct helper *h = data;
	struct clone_template *t = h->template;
	usec_t parked_for = usec_monotonic() - t->parked_at;
	char *stack_top = helper_stack_top(h);

	if (h->kept)
		raw_syscall(SYS_sched_setaffinity, 0, t->cloner.affinity_size, t->cloner.affinity);
	for (struct thread *thread = t->threads; thread; thread = thread->next) {
		if (thread->state != THREAD_PARKED)
			continue;
		stack_top += THREAD_STACK;
		blocked_call_adjust(thread, parked_for);
		thread_make_surely(thread, stack_top);
	}
	if (t->must_meet)
		meet_all(t);
	wait_until(&t->remaining, 0);
	arena_free(&t->arena);
	arch_unmap_and_exit(h, h->size);
}

/* All signals are blocked, so that whichever thread unblocks one first takes it, as before. */
static void process_signals_requeue(uint64_t pending)
{
	long pid = pending ? raw_syscall(SYS_getpid) : 0;

	for (int signal = 1; pending; signal++, pending >>= 1)
		if (pending & 1)
			raw_syscall(SYS_kill, pid, signal);
}

static bool processor_keep(size_t size)
{
	unsigned char one[AFFINITY_SIZE_MAX] = { 0 };
	unsigned processor;

	if (raw_syscall(SYS_getcpu, &processor, NULL, NULL) < 0 || processor / 8 >= size)
		return false;
	one[processor / 8] = (unsigned char)(1 << processor % 8);
	return raw_syscall(SYS_sched_setaffinity, 0, size, one) == 0;
}

/* Returns the helper's TID or -errno. It starts on this thread's processor. */
static long helper_make(struct helper *h)
{
	struct arch_thread helper = {
		.flags = THREAD_FLAGS,
		.stack_top = helper_stack_top(h),
		.entry = helper_run,
		.data = h,
	};
	const struct thread *cloner = &h->template->cloner;
	unsigned char own[AFFINITY_SIZE_MAX]; /* once there is a helper, the template may be gone */
	size_t size = cloner->affinity_size;
	bool kept = processor_keep(size);
	long r;

	memcpy(own, cloner->affinity, size);
	h->kept = kept;
	r = arch_make_thread(&helper);
	if (kept)
		raw_syscall(SYS_sched_setaffinity, 0, size, own);
	return r;
}

static int helper_start(struct clone_template *t)
{
	size_t size = HELPER_STACK + t->thread_count * THREAD_STACK;
	struct helper *h =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool must_meet = t->must_meet; /* afterwards the template may be gone */
	long r;

	if (h == MAP_FAILED)
		return -ENOMEM;
	h->template = t;
	h->size = size;
	t->remaining = (uint32_t)t->thread_count + must_meet;
	r = helper_make(h);
	if (r < 0) {
		raw_syscall(SYS_munmap, h, size);
		return (int)r;
	}
	if (must_meet) {
		wait_until(&t->met, 1);
		leave(t);
	}
	return 0;
}

int clone_resume(struct clone_template *t)
{
	const uint64_t all = UINT64_MAX;
	uint64_t mask;
	int r = 0;

	/* Threads inherit the mask: each keeps all signals blocked until its sigreturn. */
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, SIGSET_SIZE);
	timers_restore(t);
	process_signals_requeue(t->pending);
	if (t->thread_count > 0)
		r = helper_start(t);
	else
		arena_free(&t->arena);
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
	return r;
}
