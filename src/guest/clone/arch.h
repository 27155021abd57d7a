/*
 * arch.h - what the clone library needs of a processor: one arch_NAME.c per architecture.
 *
 * Everything declared here works without the C library's per-thread state: no errno, no locks, no
 * cancellation, because it runs in signal handlers, in threads that borrow another thread's TLS,
 * and in a child whose locks nobody will release.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <ucontext.h>

/* A system call with six arguments; returns the kernel's value, -errno on failure. */
long arch_syscall(long number, long a, long b, long c, long d, long e, long f);

#define raw_syscall_(number, a, b, c, d, e, f, ...)                                                \
	arch_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define raw_syscall(...) raw_syscall_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* The restorer for raw rt_sigaction(): ends a handler by rt_sigreturn(). */
void arch_restorer(void);

/* The older clone() without a stack, that is, a fork; *child_tid as in struct clone_args. */
long arch_clone_process(unsigned long flags, pid_t *child_tid);

/* A thread to be made; the caller fills it in, the new thread starts with entry(data). */
struct arch_thread {
	unsigned long flags; /* of clone() */
	void *stack_top;     /* aligned to 16 bytes */
	pid_t *parent_tid;
	pid_t *child_tid;
	void *tls;
	void (*entry)(void *data); /* never returns */
	void *data;
};

/* Returns the new TID or -errno in the caller. */
long arch_make_thread(const struct arch_thread *thread);

/*
 * Runs run(data) in a new thread made with `flags` (CLONE_VFORK among them), on the caller's stack: 0 when
 * it has returned 0 there and that thread has ended, or -errno. Another outcome of run() is
 * returned by a clone that run() has made, to where the caller was called from.
 */
long arch_stand_in(unsigned long flags, int (*run)(void *data), void *data);

/*
 * Leaves the current stack for good, counts *remaining down, wakes one waiter on it when it reaches
 * zero, and goes on where the signal of `context` interrupted the thread. Neither the stack nor
 * *remaining is touched afterwards, so both may be unmapped as soon as the count is zero.
 */
_Noreturn void arch_resume_context(ucontext_t *context, uint32_t *remaining);

/* Ends the calling thread after unmapping the memory that holds its own stack. */
_Noreturn void arch_unmap_and_exit(void *base, size_t size);

/* The thread pointer, asked of the kernel, because a thread without one must not be dereferenced.
 */
void *arch_thread_pointer(void);

/* The second thread pointer that some runtimes set (GS on x86-64); 0 where there is none. */
unsigned long arch_second_pointer(void);
void arch_set_second_pointer(unsigned long value);

/* The saved registers, as an array, and the stack pointer among them. */
const uintptr_t *arch_registers(const ucontext_t *context, size_t *ret_count);
const char *arch_stack_pointer(const ucontext_t *context);

/* A system call that a thread was waiting in, as /proc/self/task/TID/syscall tells it. */
struct blocked_call {
	long number; /* -1: none, or not known */
	unsigned long arguments[6];
	unsigned long stack_pointer, program_counter;
};

/*
 * Which call the signal of `context` made end with EINTR; false if none, or it cannot be told. On
 * entry *call is what was seen before the signal, which counts only if program counter, stack
 * pointer and arguments agree, since the thread may have gone on in between.
 */
bool arch_find_interrupted(const ucontext_t *context, struct blocked_call *call);

/* Makes the thread issue the call again when it resumes, or changes one argument of it. */
void arch_reissue(ucontext_t *context, const struct blocked_call *call);
void arch_set_argument(ucontext_t *context, size_t index, unsigned long value);
