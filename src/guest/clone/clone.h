/*
 * clone.h - copy-on-write clones of a live, multi-threaded process.
 *
 * The process that calls clone_park() becomes a template: its other threads wait at a known point
 * and it uses no CPU. Each clone_fork() then makes a child in which, after clone_resume(), every
 * thread exists again with its stack, TLS, registers and signal state and goes on as if nothing had
 * happened. A clone may park and be cloned itself.
 *
 * Everything is called by one thread, the cloner. Between clone_fork() and clone_resume() the child
 * has that thread only and none of the locks of the process can be relied on: no allocation, no
 * stdio, no library call that takes a lock.
 *
 *     clone_park()                          settle, park all other threads, survey memory, descriptors
 *     loop:
 *         clone_fork()                      parent: goes on with the next request
 *             child: enter namespaces, mounts, drop privileges (the caller's business)
 *             child: clone_remake_descriptors()
 *             child: say hello
 *             child: clone_resume()         one helper thread makes all others, when the caller sleeps
 *     clone_release()                       instead of serving: every thread goes on in this process
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"
#include "base/usec.h"

#include <stdbool.h>
#include <sys/types.h>

struct clone_template;

struct clone_options {
	usec_t settle_limit;  /* longest wait for the process to use no CPU; 0: do not settle */
	usec_t park_deadline; /* longest wait for all threads to park; 0: one second */
	/*
	 * Called for each thing about the process that its clones will not have as it was, with one
	 * sentence each (a connected socket that will read end of file, and so on). May be NULL.
	 * Threads are parked while it runs: it must not allocate or take a lock.
	 */
	void (*note)(void *data, const char *sentence);
	void *note_data;
	/* Descriptors that the caller handles itself: neither re-made nor reported. */
	const int *ignored_fds;
	size_t ignored_count;
};

/*
 * Parks every thread but the caller. On failure (a thread that does not park within the deadline, a
 * writable shared mapping) every thread is released again and `e` names the thread with its wait
 * channel, or the mapping. On success the template belongs to the caller, who must not allocate,
 * nor call what takes a lock, before clone_release(): a parked thread may hold it.
 *
 * /proc must be that of the process's own PID namespace. Descriptors, memory and mutexes are
 * recorded as they are now; children that the process has forked keep what they share with it.
 */
int clone_park(
	struct clone_template **ret, const struct clone_options *options, struct err *e) MUST_CHECK;

/* How many threads are parked, the caller not counted. */
size_t clone_thread_count(const struct clone_template *t);

/*
 * Gathers the template's memory in large pages where the kernel can (Linux 6.1), so that forks copy
 * fewer page-table entries. Takes some milliseconds, and up to 2 MB for each 256 KB in use.
 */
void clone_gather(struct clone_template *t);

/*
 * What runs between begin and end in a process that is to be parked is what its clones will run: the
 * pages of its program and libraries that were used meanwhile are mapped in them from the start.
 * apply is for the parked process, and for each clone of it that is parked in turn; the rehearsal
 * belongs to the caller. Nothing but speed depends on it.
 */
struct clone_rehearsal;
int clone_rehearsal_begin(struct clone_rehearsal **ret) MUST_CHECK;
void clone_rehearsal_end(struct clone_rehearsal *rehearsal);
void clone_rehearsal_apply(struct clone_rehearsal *rehearsal, struct clone_template *t);
void clone_rehearsal_free(struct clone_rehearsal *rehearsal);

struct clone_request {
	uint64_t flags;  /* CLONE_PARENT, CLONE_NEWPID ...; nothing that shares memory */
	int exit_signal; /* 0 with CLONE_PARENT: the caller's own */
	int cgroup_fd;   /* -1, or a cgroup v2 directory for CLONE_INTO_CGROUP */
};

#define CLONE_CHILD 1        /* the outcome of clone_fork() in the child */
#define CLONE_EXIT_BROKEN 86 /* exit status of a clone that could not be made whole */

/*
 * Runs run(data) in a stand-in for the caller, who waits in the kernel: another thread with its stack, TLS
 * and signal mask. In which pid namespace its children are made, a thread cannot take back once it
 * has no right to its own: that stays with the stand-in. run() may call clone_fork(), and returns
 * CLONE_CHILD in a clone, else 0. Returns what run() has returned, or -errno when it was not run.
 */
int clone_stand_in(struct clone_template *t, int (*run)(void *data), void *data) MUST_CHECK;

/*
 * Forks. In the parent: 0 and *ret_pid, or -errno with nothing made. In the child: CLONE_CHILD; the
 * signal mask and the thread's own identity (TID in TLS, robust list, rseq) are already right.
 */
int clone_fork(
	struct clone_template *t, const struct clone_request *request, pid_t *ret_pid) MUST_CHECK;

/* Puts a descriptor of the child at another number before the survey is replayed; the source is
 * closed. */
struct clone_descriptor {
	int number;      /* where the process expects it */
	int fd;          /* what to put there */
	bool keep_flags; /* carry over O_NONBLOCK of what the template had there */
};

/*
 * In the child, or in a process that will not be cloned again: gives this process open file
 * descriptions of its own at the numbers that the survey found, after the replacements are in
 * place; dups of a replaced one follow it. Regular files are opened again, by their path if it leads
 * to them here, else through /proc/self/fd, so /proc must be mounted and the files still be readable
 * to this process (Landlock included).
 * Returns 0 or -errno; *ret_failed_fd is then the number it failed on, and the process is of no use.
 */
int clone_remake_descriptors(struct clone_template *t, const struct clone_descriptor *replacements,
	size_t count, int *ret_failed_fd) MUST_CHECK;

/*
 * In the child: makes all other threads again through one helper thread, and gives the template's
 * memory back. The caller goes on; they are made when it first sleeps, or has used up its time on its
 * processor. Until then they are like threads that have not been scheduled yet, except that they
 * cannot be signalled: pthread_kill() fails, or reaches the thread that has the TID now. They inherit
 * credentials, filters and limits from the caller as it is at this call. If the system has no room
 * for them within 200 ms, the process says so on descriptor 2 and ends with status 86.
 * `t` is gone afterwards.
 */
int clone_resume(struct clone_template *t) MUST_CHECK;

/* In the template: lets every thread go on here. `t` is gone afterwards. */
void clone_release(struct clone_template *t);
