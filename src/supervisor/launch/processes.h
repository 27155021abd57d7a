/*
 * processes.h - the children of the supervisor: making, verifying, ending and reaping them.
 *
 * A `struct process` is embedded in whatever the process is for. The supervisor learns the pid of a
 * child from the spawner or from the kernel (credentials on a message), opens a pidfd at once,
 * checks that it is a child of its own, and signals through that pidfd only: never by number.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/macros.h"
#include "supervisor/launch/spawner.h"

#include <stdbool.h>
#include <sys/types.h>

struct loop;
struct process;
struct processes;

/* status: as of waitpid(). The process is forgotten already when this is called. */
typedef void (*process_exited_fn)(struct process *process, int status);

struct process {
	pid_t pid; /* 0: there is none */
	int pidfd; /* -1: there is none */
	process_exited_fn exited;
	struct list link;
};

#define PROCESS_INIT                                                                               \
	{                                                                                          \
		.pidfd = -1                                                                        \
	}

/*
 * Forks the spawner and blocks SIGCHLD; to be called while the supervisor has one thread. `root`
 * and what it points at stays the caller's and must live as long. 0 or -errno with the sentence.
 */
int processes_new(struct loop *loop, const struct root_spec *root, struct processes **ret,
	struct err *e) MUST_CHECK;

/* Ends the spawner; what still runs dies with the supervisor. NULL is accepted. */
struct processes *processes_free(struct processes *processes);

/* Called on the loop thread with the outcome of a request: pid > 0, or a negative errno. */
struct spawn;
typedef void (*spawn_done_fn)(struct spawn *spawn, pid_t pid);

struct spawn {
	spawn_done_fn done; /* NULL once the outcome was delivered or is not wanted any more */
	uint32_t sequence;
	struct list link;
};

/* A request to fill in: zeroed but for the kind. Valid until the next call. */
struct spawn_request *processes_request(struct processes *processes, enum spawn_kind kind);

/* Sends the request with its descriptors, which stay the caller's. 0, or -errno and done() is not
 * called. */
int processes_spawn(struct processes *processes, struct spawn *spawn, const int *fds,
	size_t fd_count, spawn_done_fn done) MUST_CHECK;
void processes_spawn_cancel(struct spawn *spawn);

/* Takes charge of a child: 0, -ESRCH when it is gone, -ECHILD when it is not a child of ours, -EEXIST
 * when it is in somebody's charge already. */
int process_adopt(struct processes *processes, struct process *process, pid_t pid,
	process_exited_fn exited) MUST_CHECK;

/* 0 if the number belongs to a child of ours that was not reaped, or -errno. */
int process_is_child(struct processes *processes, pid_t pid) MUST_CHECK;

/* SIGKILL; harmless when it is gone. */
void process_kill(struct process *process);

/* Kills it and forgets it: exited() is not called, the zombie is reaped all the same. */
void process_abandon(struct process *process);
