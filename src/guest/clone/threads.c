/*
 * threads.c - what makes a thread itself besides its signal frame: recorded while it is parked, and
 * given to the thread that takes its place in a clone.
 *
 * thread_record_self() runs in the handler of the thread, on whatever little stack it has left;
 * thread_become() in the new thread, on a page of the template's arena, with all signals blocked.
 */
#include "guest/clone/template.h"

#include "guest/clone/procfs.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/auxv.h>
#include <unistd.h>

#define TID_OFFSET_LIMIT 4096
#define RSEQ_SIZE_CLASSIC 32
#define AT_RSEQ_FEATURE_SIZE_ 27 /* newer than the C library's headers */

static struct rseq *rseq_of(void *tls)
{
	return (struct rseq *)((char *)tls + __rseq_offset);
}

/*
 * glibc tells debuggers where the TID is within a thread's block, in a symbol that survives strip:
 * its size in bits, the number of elements and the offset.
 */
size_t thread_tid_offset(void)
{
	const uint32_t *description = dlsym(RTLD_DEFAULT, "_thread_db_pthread_tid");
	const char *block = __builtin_thread_pointer();
	pid_t tid = gettid();

	if (description && description[2] < TID_OFFSET_LIMIT &&
		*(const pid_t *)(block + description[2]) == tid)
		return description[2];
	for (size_t offset = 0; offset < TID_OFFSET_LIMIT / 2; offset += sizeof(pid_t))
		if (*(const pid_t *)(block + offset) == tid)
			return offset;
	return 0;
}

void thread_record_self(struct thread *thread, size_t tid_offset)
{
	thread->tls = arch_thread_pointer();
	if (thread->tls && tid_offset) {
		pid_t *tid = (pid_t *)((char *)thread->tls + tid_offset);

		/* A thread made by raw clone() may borrow the block of the one that made it. */
		thread->libc_tid = *tid == thread->tid ? tid : NULL;
	}
	if (raw_syscall(SYS_prctl, PR_GET_TID_ADDRESS, &thread->tid_address) < 0)
		thread->tid_address = thread->libc_tid;
	thread->second_pointer = arch_second_pointer();
	raw_syscall(SYS_prctl, PR_GET_NAME, thread->name);
	raw_syscall(SYS_rt_sigpending, &thread->pending, sizeof(thread->pending));
}

static bool rseq_is_registered(const struct clone_template *t, const struct thread *thread)
{
	return t->rseq_size && thread->libc_tid && (int32_t)rseq_of(thread->tls)->cpu_id >= 0;
}

/* Registering again what is registered fails with EBUSY if size and signature are the same. */
static bool rseq_has_size(struct rseq *rseq, size_t size)
{
	long r = raw_syscall(SYS_rseq, rseq, size, 0, RSEQ_SIG);

	if (r == 0)
		raw_syscall(SYS_rseq, rseq, size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
	return r == -EBUSY;
}

static size_t rseq_find_size(void *tls)
{
	size_t feature = (getauxval(AT_RSEQ_FEATURE_SIZE_) + 31) & ~(size_t)31;
	const size_t sizes[] = { RSEQ_SIZE_CLASSIC, __rseq_size, feature };

	for (size_t i = 0; __rseq_size && i < array_size(sizes); i++)
		if (sizes[i] && rseq_has_size(rseq_of(tls), sizes[i]))
			return sizes[i];
	return 0;
}

static uint64_t pending_signals(pid_t tid, const char *key)
{
	char text[4096];
	const char *value;

	procfs_thread_text(tid, "status", text, sizeof(text));
	value = procfs_field(text, key);
	return value ? strtoull(value, NULL, 16) : 0;
}

/*
 * What clone_resume() gives the cloner back: all processors, unless somebody has restricted it to
 * fewer than its control group allows, so that it profits from any that come later.
 */
static int record_own_affinity(struct clone_template *t)
{
	unsigned char own[AFFINITY_SIZE_MAX], most[AFFINITY_SIZE_MAX];
	long size = raw_syscall(SYS_sched_getaffinity, 0, sizeof(own), own);
	unsigned char *all = arena_alloc(&t->arena, AFFINITY_SIZE_MAX);

	if (!all)
		return -ENOMEM;
	t->cloner.affinity = (unsigned long *)all;
	memset(all, UINT8_MAX, AFFINITY_SIZE_MAX);
	if (size <= 0 || raw_syscall(SYS_sched_setaffinity, 0, size, all) < 0)
		return 0;
	if (raw_syscall(SYS_sched_getaffinity, 0, sizeof(most), most) != size ||
		memcmp(own, most, (size_t)size) != 0)
		memcpy(all, own, (size_t)size);
	raw_syscall(SYS_sched_setaffinity, 0, size, all);
	t->cloner.affinity_size = (size_t)size;
	return 0;
}

int thread_record_cloner(struct clone_template *t)
{
	struct thread *cloner = &t->cloner;

	cloner->tid = gettid();
	cloner->template = t;
	thread_record_self(cloner, t->tid_offset);
	cloner->pending = 0;
	t->rseq_size = rseq_find_size(cloner->tls);
	raw_syscall(SYS_get_robust_list, 0, &cloner->robust_list, &cloner->robust_size);
	t->pending = pending_signals(cloner->tid, "ShdPnd:");
	return record_own_affinity(t);
}

static int record_schedule(struct clone_template *t, struct thread *thread)
{
	struct schedule own = { 0 }, cloners = { 0 };

	if (raw_syscall(SYS_sched_getattr, thread->tid, &own, sizeof(own), 0) < 0 ||
		raw_syscall(SYS_sched_getattr, 0, &cloners, sizeof(cloners), 0) < 0)
		return 0;
	if (memcmp(&own, &cloners, sizeof(own)) == 0)
		return 0;
	thread->schedule = arena_alloc(&t->arena, sizeof(own));
	if (!thread->schedule)
		return -ENOMEM;
	*thread->schedule = own;
	return 0;
}

static int record_affinity(struct clone_template *t, struct thread *thread)
{
	unsigned char own[AFFINITY_SIZE_MAX], cloners[AFFINITY_SIZE_MAX];
	long size = raw_syscall(SYS_sched_getaffinity, thread->tid, sizeof(own), own);

	if (size <= 0 || raw_syscall(SYS_sched_getaffinity, 0, sizeof(cloners), cloners) != size)
		return 0;
	if (memcmp(own, cloners, (size_t)size) == 0)
		return 0;
	thread->affinity = arena_alloc(&t->arena, (size_t)size);
	if (!thread->affinity)
		return -ENOMEM;
	memcpy(thread->affinity, own, (size_t)size);
	thread->affinity_size = (size_t)size;
	return 0;
}

int thread_record_other(struct clone_template *t, struct thread *thread, struct err *e)
{
	int r;

	raw_syscall(SYS_get_robust_list, thread->tid, &thread->robust_list, &thread->robust_size);
	thread->has_rseq = rseq_is_registered(t, thread);
	if (thread->pending) /* its own, or the process's? */
		thread->pending = pending_signals(thread->tid, "SigPnd:");
	r = record_schedule(t, thread);
	if (r == 0)
		r = record_affinity(t, thread);
	if (r < 0)
		return err_described(e, r, "Cannot record thread %d", thread->tid);
	blocked_call_prepare(thread);
	return 0;
}

static void rseq_register(const struct clone_template *t, const struct thread *thread)
{
	struct rseq *rseq = rseq_of(thread->tls);

	rseq->cpu_id_start = 0;
	rseq->cpu_id = (uint32_t)RSEQ_CPU_ID_UNINITIALIZED;
	memset(&rseq->rseq_cs, 0, sizeof(rseq->rseq_cs));
	raw_syscall(SYS_rseq, rseq, t->rseq_size, 0, RSEQ_SIG);
}

void thread_stand_in(const struct clone_template *t)
{
	if (t->rseq_size)
		rseq_register(t, &t->cloner);
}

/* Sends the thread again what waited for it; all signals are blocked, so it waits again. */
static void signals_requeue(uint64_t pending)
{
	long pid = raw_syscall(SYS_getpid), tid = raw_syscall(SYS_gettid);

	for (int signal = 1; pending; signal++, pending >>= 1)
		if (pending & 1)
			raw_syscall(SYS_tgkill, pid, tid, signal);
}

void thread_become(const struct clone_template *t, const struct thread *thread)
{
	bool libc_is_wrong = thread->libc_tid && thread->libc_tid != thread->tid_address;

	if (libc_is_wrong)
		*thread->libc_tid = (pid_t)raw_syscall(SYS_gettid);
	if (thread->owners)
		mutexes_own(thread, (pid_t)raw_syscall(SYS_gettid));
	if (thread->robust_list)
		raw_syscall(SYS_set_robust_list, thread->robust_list, thread->robust_size);
	if (thread->has_rseq)
		rseq_register(t, thread);
	if (thread->second_pointer != t->cloner.second_pointer)
		arch_set_second_pointer(thread->second_pointer);
	if (memcmp(thread->name, t->cloner.name, sizeof(thread->name)) != 0)
		raw_syscall(SYS_prctl, PR_SET_NAME, thread->name);
	if (thread->schedule)
		raw_syscall(SYS_sched_setattr, 0, thread->schedule, 0);
	if (thread->affinity)
		raw_syscall(SYS_sched_setaffinity, 0, thread->affinity_size, thread->affinity);
	if (thread->pending)
		signals_requeue(thread->pending);
}
