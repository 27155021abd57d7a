/*
 * park.c - bringing every thread but the caller to a known point, and letting them go again.
 *
 * Each thread gets a signal whose handler notes its context and waits on a futex. The signal frame
 * on the thread's own stack then holds its registers, FPU state, signal mask and alternate stack;
 * copies of the process have the same frame at the same place.
 */
#include "guest/clone/template.h"

#include "guest/clone/procfs.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARK_DEADLINE_DEFAULT USEC_PER_SEC
#define PATIENCE_NS 2000000 /* between two looks at threads that have not parked yet */
#define KERNEL_SIGSET_SIZE 8
#define SA_RESTORER_ 0x04000000

/* The kernel's struct sigaction. */
struct kernel_action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* One parking at a time in a process. */
struct parking {
	struct clone_template *t;
	usec_t deadline;
	struct kernel_action previous;
	size_t signalled; /* threads that have parked or still have to */
	int found;        /* new threads in the current look at the list */
	pid_t refused;    /* a thread that could not be signalled in it, or 0 */
};

/*
 * Signal 33 is glibc's own for setuid() in all threads. If it arrives for that while our handler is
 * installed, it is passed on; the pointer is read by handlers only.
 */
static void (*previous_handler)(int, siginfo_t *, void *);

void template_note(struct clone_template *t, const char *format, ...)
{
	char sentence[ERR_TEXT_MAX];
	va_list arguments;

	if (!t->note)
		return;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	t->note(t->note_data, sentence);
}

static void thread_wait_for_release(struct clone_template *t)
{
	__atomic_add_fetch(&t->parked, 1, __ATOMIC_ACQ_REL);
	futex_wake(&t->parked, 1);
	while (!__atomic_load_n(&t->released, __ATOMIC_ACQUIRE))
		futex_wait(&t->released, 0, NULL);
	__atomic_add_fetch(&t->left, 1, __ATOMIC_ACQ_REL);
	futex_wake(&t->left, 1);
}

/*
 * Runs in every thread, with all signals blocked. Nothing here may touch errno or take a lock: the
 * thread may have been interrupted anywhere.
 */
static void handle_park(int signal, siginfo_t *info, void *context)
{
	struct thread *thread = info->si_value.sival_ptr;
	uint32_t expected = THREAD_SIGNALLED;

	if (info->si_code != SI_QUEUE || info->si_pid != raw_syscall(SYS_getpid)) {
		if (previous_handler)
			previous_handler(signal, info, context);
		return;
	}
	if (thread->tid != raw_syscall(SYS_gettid))
		return;
	if (!__atomic_compare_exchange_n(&thread->state, &expected, THREAD_PARKED, false,
		    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return;
	thread->context = context;
	thread_record_self(thread, thread->template->tid_offset);
	thread_wait_for_release(thread->template);
}

static int handler_install(struct parking *p)
{
	struct kernel_action action = {
		.handler = handle_park,
		.flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_RESTORER_,
		.restorer = arch_restorer,
		.mask = UINT64_MAX,
	};
	long r = raw_syscall(SYS_rt_sigaction, PARK_SIGNAL, NULL, &p->previous, KERNEL_SIGSET_SIZE);

	if (r < 0)
		return (int)r;
	previous_handler = p->previous.handler;
	if (previous_handler == (void *)SIG_DFL || previous_handler == (void *)SIG_IGN ||
		previous_handler == handle_park) /* left by a failure: see park_undo() */
		previous_handler = NULL;
	return (int)raw_syscall(SYS_rt_sigaction, PARK_SIGNAL, &action, NULL, KERNEL_SIGSET_SIZE);
}

static void handler_restore(struct parking *p)
{
	raw_syscall(SYS_rt_sigaction, PARK_SIGNAL, &p->previous, NULL, KERNEL_SIGSET_SIZE);
}

struct thread *thread_find(struct clone_template *t, pid_t tid)
{
	struct thread *thread = t->buckets[tid % THREAD_BUCKETS];

	while (thread && thread->tid != tid)
		thread = thread->bucket_next;
	return thread;
}

static struct thread *thread_add(struct clone_template *t, pid_t tid)
{
	struct thread *thread = arena_alloc(&t->arena, sizeof(*thread));

	if (!thread)
		return NULL;
	thread->template = t;
	thread->tid = tid;
	thread->state = THREAD_GONE;
	thread->bucket_next = t->buckets[tid % THREAD_BUCKETS];
	t->buckets[tid % THREAD_BUCKETS] = thread;
	*t->threads_end = thread;
	t->threads_end = &thread->next;
	return thread;
}

/* A thread group's leader that has ended stays in the list, without ever taking a signal. */
static bool thread_has_ended(pid_t pid, pid_t tid)
{
	char state;

	if (raw_syscall(SYS_tgkill, pid, tid, 0) == -ESRCH)
		return true;
	state = procfs_thread_state(tid);
	return state == 'Z' || state == 'X';
}

static long signal_send(struct thread *thread, pid_t pid)
{
	siginfo_t info = { .si_signo = PARK_SIGNAL, .si_code = SI_QUEUE };

	info.si_pid = pid;
	info.si_value.sival_ptr = thread;
	blocked_call_read(thread->tid, &thread->call);
	__atomic_store_n(&thread->state, THREAD_SIGNALLED, __ATOMIC_RELEASE);
	return raw_syscall(SYS_rt_tgsigqueueinfo, pid, thread->tid, PARK_SIGNAL, &info);
}

/* Called for every TID in the list of threads. */
static int signal_if_new(void *data, int tid, int directory)
{
	struct parking *p = data;
	struct clone_template *t = p->t;
	struct thread *thread = thread_find(t, tid);
	long r;

	(void)directory;
	if (tid == t->cloner.tid || (thread && thread->state != THREAD_GONE))
		return 0;
	if (thread_has_ended(t->pid, tid))
		return 0;
	if (!thread)
		thread = thread_add(t, tid);
	if (!thread)
		return -ENOMEM;
	r = signal_send(thread, t->pid);
	if (r == 0) {
		p->signalled++;
		p->found++;
		return 0;
	}
	thread->state = THREAD_GONE;
	if (r == -EAGAIN) { /* the user's queue of signals is full for now: look again */
		p->refused = tid;
		p->found++;
	}
	return r == -ESRCH || r == -EAGAIN ? 0 : (int)r;
}

/* Gives up a thread that has not parked; it may still do so at this moment, and then it counts. */
static bool thread_abandon(struct thread *thread)
{
	uint32_t expected = THREAD_SIGNALLED;

	return __atomic_compare_exchange_n(
		&thread->state, &expected, THREAD_GONE, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void forget_ended_threads(struct parking *p)
{
	for (struct thread *thread = p->t->threads; thread; thread = thread->next)
		if (__atomic_load_n(&thread->state, __ATOMIC_ACQUIRE) == THREAD_SIGNALLED &&
			thread_has_ended(p->t->pid, thread->tid) && thread_abandon(thread))
			p->signalled--;
}

/* Names a thread that did not park: what it is called, and what it was doing instead. */
static int report_unparked(const struct thread *thread, usec_t waited, struct err *e)
{
	char name[64], channel[64], status[4096];
	const char *blocked;
	bool is_stubborn;

	procfs_thread_text(thread->tid, "comm", name, sizeof(name));
	procfs_thread_text(thread->tid, "wchan", channel, sizeof(channel));
	procfs_thread_text(thread->tid, "status", status, sizeof(status));
	blocked = procfs_field(status, "SigBlk:");
	is_stubborn = blocked && strtoull(blocked, NULL, 16) >> (PARK_SIGNAL - 1) & 1;
	name[strcspn(name, "\n")] = '\0';
	return err_set(e, -ETIMEDOUT,
		"Thread %d (%s) did not park within %llu ms: state %c, wait channel %s%s",
		thread->tid, name, (unsigned long long)(waited / USEC_PER_MSEC),
		procfs_thread_state(thread->tid),
		channel[0] && strcmp(channel, "0") != 0 ? channel : "unknown",
		is_stubborn ? ", and it blocks signal 33, which must stay unblocked" : "");
}

static int deadline_passed(struct parking *p, struct err *e)
{
	usec_t waited = usec_monotonic() - p->t->parked_at;

	for (struct thread *thread = p->t->threads; thread; thread = thread->next)
		if (__atomic_load_n(&thread->state, __ATOMIC_ACQUIRE) == THREAD_SIGNALLED)
			return report_unparked(thread, waited, e);
	if (p->refused)
		return err_set(e, -EAGAIN,
			"Thread %d cannot be parked: the queue of pending signals of this user is "
			"full (RLIMIT_SIGPENDING)",
			p->refused);
	return err_set(e, -ETIMEDOUT,
		"The process made new threads for %llu ms without a pause, so it cannot be parked; "
		"stop what makes them first",
		(unsigned long long)(waited / USEC_PER_MSEC));
}

/* Waits until every thread that was signalled has parked or ended. */
static int await_parked(struct parking *p, struct err *e)
{
	const struct timespec patience = { .tv_nsec = PATIENCE_NS };

	for (;;) {
		uint32_t parked = __atomic_load_n(&p->t->parked, __ATOMIC_ACQUIRE);

		if (parked >= p->signalled)
			return 0;
		if (usec_monotonic() >= p->deadline)
			return deadline_passed(p, e);
		if (futex_wait(&p->t->parked, parked, &patience) == -ETIMEDOUT)
			forget_ended_threads(p);
	}
}

/*
 * When all known threads are parked and the list shows no other, nobody is left who could make one.
 * It is read twice, since a thread that ends can hide its neighbour from a reader.
 */
static int park_all(struct parking *p, struct err *e)
{
	for (int quiet = 0; quiet < 2;) {
		int r;

		p->found = 0;
		p->refused = 0;
		r = procfs_each_number("/proc/self/task", signal_if_new, p);
		if (r < 0)
			return err_described(e, r, "Cannot signal the threads of this process");
		r = await_parked(p, e);
		if (r < 0)
			return r;
		quiet = p->found ? 0 : quiet + 1;
		if (p->found && usec_monotonic() >= p->deadline)
			return deadline_passed(p, e);
	}
	return 0;
}

/* Lets every parked thread go on and waits until none uses the template any more. */
static void release_all(struct clone_template *t)
{
	uint32_t parked = 0, left;

	for (struct thread *thread = t->threads; thread; thread = thread->next)
		parked += thread->state == THREAD_PARKED;
	__atomic_store_n(&t->released, 1, __ATOMIC_RELEASE);
	futex_wake(&t->released, INT32_MAX);
	while ((left = __atomic_load_n(&t->left, __ATOMIC_ACQUIRE)) < parked)
		futex_wait(&t->left, left, NULL);
}

/*
 * Undoes parking after a failure. A signal that is still on its way finds the previous disposition,
 * which ignores it, unless that is the default: then our handler stays, and so does the memory that
 * it looks at.
 */
static void park_undo(struct parking *p)
{
	struct clone_template *t = p->t;
	bool outstanding = false;

	for (struct thread *thread = t->threads; thread; thread = thread->next)
		outstanding |= thread_abandon(thread);
	release_all(t);
	if (outstanding && !previous_handler)
		return;
	handler_restore(p);
	if (!outstanding)
		arena_free(&t->arena);
}

static int record_all(struct clone_template *t, struct err *e)
{
	for (struct thread *thread = t->threads; thread; thread = thread->next) {
		int r = 0;

		if (thread->state != THREAD_PARKED)
			continue;
		t->thread_count++;
		r = thread_record_other(t, thread, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int survey_all(struct clone_template *t, const struct clone_options *options, struct err *e)
{
	int r = record_all(t, e);

	if (r == 0)
		r = timers_survey(t, e);
	if (r == 0)
		r = descriptors_survey(t, options, e);
	if (r == 0)
		r = mappings_survey(t, e);
	return r;
}

static struct clone_template *template_new(const struct clone_options *options)
{
	struct arena arena = { 0 };
	struct clone_template *t = arena_alloc(&arena, sizeof(*t));

	if (!t)
		return NULL;
	t->arena = arena;
	t->pid = getpid();
	t->threads_end = &t->threads;
	t->note = options->note;
	t->note_data = options->note_data;
	t->tid_offset = thread_tid_offset();
	if (thread_record_cloner(t) < 0) {
		arena_free(&t->arena);
		return NULL;
	}
	return t;
}

/* TIDs in /proc are those of the PID namespace it was mounted in. */
static int proc_check(struct err *e)
{
	char text[32] = "";

	if (readlink("/proc/self", text, sizeof(text) - 1) < 0)
		return err_described(e, -errno, "Cannot park: /proc is not mounted");
	if (atoi(text) != getpid())
		return err_set(e, -EINVAL,
			"Cannot park: /proc shows this process as %s but it is %d; mount the /proc "
			"of "
			"its own PID namespace",
			text, getpid());
	return 0;
}

int clone_park(struct clone_template **ret, const struct clone_options *options, struct err *e)
{
	static const struct clone_options defaults;
	struct parking p = { 0 };
	int r = proc_check(e);

	if (r < 0)
		return r;
	options = options ? options : &defaults;
	p.t = template_new(options);
	if (!p.t)
		return err_described(e, -ENOMEM, "Cannot park");
	if (options->settle_limit && !process_settle(options->settle_limit))
		template_note(p.t,
			"The process still used CPU after %llu ms; its clones will go on "
			"with that work",
			(unsigned long long)(options->settle_limit / USEC_PER_MSEC));
	r = handler_install(&p);
	if (r < 0) {
		arena_free(&p.t->arena);
		return err_described(e, r, "Cannot install a handler for signal %d", PARK_SIGNAL);
	}
	p.t->parked_at = usec_monotonic();
	p.deadline = p.t->parked_at +
		     (options->park_deadline ? options->park_deadline : PARK_DEADLINE_DEFAULT);
	r = park_all(&p, e);
	if (r == 0)
		r = survey_all(p.t, options, e);
	if (r < 0) {
		park_undo(&p);
		return r;
	}
	p.t->parked_at = usec_monotonic();
	handler_restore(&p);
	*ret = p.t;
	return 0;
}

size_t clone_thread_count(const struct clone_template *t)
{
	return t->thread_count;
}

void clone_release(struct clone_template *t)
{
	usec_t parked_for = usec_monotonic() - t->parked_at;

	for (struct thread *thread = t->threads; thread; thread = thread->next)
		if (thread->state == THREAD_PARKED)
			blocked_call_adjust(thread, parked_for);
	release_all(t);
	arena_free(&t->arena);
}
