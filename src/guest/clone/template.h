/*
 * template.h - what the files of the clone library share: the template and its parked threads.
 *
 *     clone_park()     park.c       parks, then fills in threads.c, mappings.c, descriptors.c ...
 *     clone_fork()     fork.c
 *     clone_resume()   resume.c
 *
 * The template and all it points to lie in one arena, which the last user frees: clone_release() in
 * the process that parked, the helper thread of clone_resume() in a clone. A `struct thread` is
 * written by its own thread (until it is THREAD_PARKED) and by the cloner afterwards.
 */
#pragma once

#include "guest/clone/arch.h"
#include "guest/clone/arena.h"
#include "guest/clone/clone.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* glibc keeps 33 for itself: pthread_sigmask() cannot block it, and programs do not use it. */
#define PARK_SIGNAL 33

/* For code that runs where a sanitizer does not know the stack, or with another thread's TLS. */
#define ON_FOREIGN_STACK __attribute__((no_sanitize("address")))

#define THREAD_BUCKETS 256
#define THREAD_NAME_SIZE 16
#define AFFINITY_SIZE_MAX 1024 /* bytes of a mask, a bit for each processor */

/* thread->state:  SIGNALLED -> PARKED -> (released by template->released)
 *                 SIGNALLED -> GONE      it ended before the signal reached it, or parking failed
 */
enum thread_state {
	THREAD_SIGNALLED,
	THREAD_PARKED,
	THREAD_GONE,
};

/* How a thread is scheduled, as sched_getattr() fills it in; the kernel's layout, version 0. */
struct schedule {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

struct thread {
	struct thread *next;        /* all, in the order in which they were found */
	struct thread *bucket_next; /* those of one bucket of TIDs */
	struct clone_template *template;
	pid_t tid;
	uint32_t state; /* enum thread_state, atomic */
	struct blocked_call call;

	/* What its handler found out. */
	ucontext_t *context; /* in its signal frame; everything that sigreturn restores */
	void *tls;
	pid_t *tid_address; /* what the kernel clears at its end and pthread_join() waits on, or
			       NULL */
	pid_t *libc_tid;    /* where libc keeps its TID; NULL if it is no thread of libc */
	unsigned long second_pointer;
	uint64_t pending; /* signals waiting for it, or for the process */
	char name[THREAD_NAME_SIZE];

	/* What the cloner found out. */
	void *robust_list;
	size_t robust_size;
	bool has_rseq;
	struct schedule *schedule; /* NULL: as the cloner's */
	unsigned long *affinity;   /* NULL: as the cloner's */
	size_t affinity_size;      /* of the cloner: 0 if it cannot be told */
	struct owner *owners;      /* mutexes.c */
	int timeout_argument;      /* index of the call's timeout in milliseconds, or -1 */
};

/* err_errno() for when threads are parked: that one takes a lock of the message catalogues. */
#define err_described(e, code, ...) err_described_(e, code, __VA_ARGS__, strerrordesc_np(-(code)))
#define err_described_(e, code, format, ...) err_set(e, code, format ": %s", __VA_ARGS__)

struct survey;
struct private_copy;
struct owner;

struct clone_template {
	struct arena arena;
	pid_t pid;
	struct thread *threads, **threads_end;
	struct thread *buckets[THREAD_BUCKETS];
	size_t thread_count; /* parked */

	/* The cloner itself. */
	struct thread cloner;
	size_t tid_offset; /* of the TID in a thread's TLS block; 0: not known */
	size_t rseq_size;  /* as the kernel knows it; 0: rseq is not in use */

	uint32_t parked;    /* how many threads have parked so far; a futex */
	uint32_t released;  /* 1: go on; a futex */
	uint32_t left;      /* how many have left the handler again; a futex */
	uint32_t ready;     /* clone_resume(): how many threads exist again; a futex */
	uint32_t met;       /* 1: all of them do; a futex */
	uint32_t remaining; /* clone_resume(): how many threads are not yet on their way; a futex */

	usec_t parked_at; /* monotonic */
	struct itimerval interval_timer;
	uint64_t pending; /* signals of the process as a whole */

	struct survey *survey;       /* descriptors.c */
	struct private_copy *copies; /* mappings.c */
	size_t copies_size;
	size_t owner_count; /* mutexes.c: words that name a thread as owner */
	bool must_meet;     /* no thread may go on before all exist: the kernel looks for owners */

	void (*note)(void *data, const char *sentence);
	void *note_data;
};

/* park.c; NULL if it is none of the template's threads. */
struct thread *thread_find(struct clone_template *t, pid_t tid);

/* Tells the owner of the template one sentence about what its clones will not have. */
void template_note(struct clone_template *t, const char *format, ...) PRINTF_LIKE(2, 3);

/* settle.c: waits until the other threads use no CPU; false when `limit` came first. */
bool process_settle(usec_t limit);

/* threads.c: what is recorded about a thread while it is parked, and put into its successor. */
size_t thread_tid_offset(void); /* before parking: it looks up a symbol */
void thread_record_self(struct thread *thread, size_t tid_offset);
int thread_record_other(struct clone_template *t, struct thread *thread, struct err *e) MUST_CHECK;
int thread_record_cloner(struct clone_template *t) MUST_CHECK;
void thread_become(const struct clone_template *t, const struct thread *thread);
/* In a stand-in for the cloner. */
void thread_stand_in(const struct clone_template *t);

/* interrupted.c: system calls that the parking signal made end with EINTR. */
void blocked_call_read(pid_t tid, struct blocked_call *ret);
void blocked_call_prepare(struct thread *thread);
void blocked_call_adjust(const struct thread *thread, usec_t parked_for);

/* timers.c */
int timers_survey(struct clone_template *t, struct err *e) MUST_CHECK;
void timers_restore(const struct clone_template *t);

/* mappings.c */
int mappings_survey(struct clone_template *t, struct err *e) MUST_CHECK;
int mappings_copy(const struct clone_template *t) MUST_CHECK;

/* mutexes.c: in a clone, makes the owner of what a thread holds its new TID, or nobody at first. */
void mutexes_own(const struct thread *thread, pid_t tid);
void mutexes_disown(const struct clone_template *t);
void mutexes_mark_fork(bool is_child);

/* descriptors.c */
int descriptors_survey(
	struct clone_template *t, const struct clone_options *options, struct err *e) MUST_CHECK;

static inline long futex_wait(uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	return raw_syscall(SYS_futex, word, 0 | 128 /* FUTEX_WAIT_PRIVATE */, value, timeout);
}

static inline void futex_wake(uint32_t *word, int count)
{
	raw_syscall(SYS_futex, word, 1 | 128 /* FUTEX_WAKE_PRIVATE */, count);
}
