/*
 * cgroup.h - control groups: the kernel's limits on all processes of a function together.
 *
 * The supervisor finds what the machine offers once, when it starts, and makes a group of its own;
 * below it every deployment that has something running has a group, named by the caller:
 *
 *     v2   PLACE/polyvisor-ID/NAME/{template, 0, 1, ...}     one hierarchy; a group for each isolate too
 *     v1   PLACE/polyvisor-ID/NAME                           the same in each of memory, pids, cpu, cpuacct
 *
 * PLACE is the supervisor's own group on v1; on v2, where a group with processes cannot have groups
 * with limits below it, that one if the supervisor can move out of it, else the one above. The
 * supervisor holds a lock on polyvisor-ID while it lives, so that another one can tell which of
 * these groups nobody owns any more. With v1's cpu it is in polyvisor-ID itself: beside functions it
 * then has the weight of its priority, whatever session it was started in.
 *
 * A clone enters a group without a wait: on v2 it is born there (CLONE_INTO_CGROUP); on v1 it writes
 * itself into `tasks`, which unlike a write by somebody else does not take the lock that waits for a
 * grace period of RCU (measured: 8 to 30 us against 16 ms). Isolates of v1 are born in the group of
 * their template.
 *
 * Everything here may wait for locks of the kernel that are held for milliseconds: it is for the
 * start, and for a worker, except where it says otherwise. A `struct cgroups` does not change after
 * cgroups_new(), so any thread may use it.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>

enum cgroup_version {
	CGROUP_NONE,
	CGROUP_V1,
	CGROUP_V2,
};

enum cgroup_controller {
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_CPU,
	CGROUP_CPUACCT, /* v1: counts what v2's cpu counts itself */
	CGROUP_CONTROLLERS,
};

#define CGROUP_NAME_MAX 96

struct cgroups;

struct cgroup_limits {
	uint64_t memory_bytes;
	uint32_t processes;   /* tasks, threads included; 0: no limit */
	uint32_t cpu_percent; /* of one processor; 0: no limit */
};

/* What a process needs to be in a group. The descriptors are the holder's. */
struct cgroup_entry {
	int fds[CGROUP_CONTROLLERS];
	uint32_t count;
	bool directory; /* one descriptor, for CLONE_INTO_CGROUP; else files to write "0" to */
};

/* v2: the group of one isolate, as its owner counts them. `group` tells whose number it is. */
struct cgroup_slot {
	uint64_t group; /* 0: there is none, and the isolate is in its template's */
	uint32_t number;
};

struct cgroup_figures {
	uint64_t charged;          /* bytes, the page cache included; 0 if memory is not counted */
	uint64_t oom_kills;        /* processes that the kernel killed for memory */
	uint64_t process_refusals; /* forks that failed at the limit */
	uint64_t cpu_usec;
	uint64_t cpu_throttled_usec; /* time spent waiting at the limit */
};

/*
 * Finds out what there is and makes the supervisor's group. `wanted`: "auto" (never fails: the reason
 * is in the description), "v2", "v1" or "none". On v2 this may move the process, so it must be called
 * before any other is made. 0 or -errno with the sentence.
 */
int cgroups_new(const char *wanted, struct cgroups **ret, struct err *e) MUST_CHECK;

/* Removes the supervisor's group and what is in it, as far as it is empty within a short while. */
struct cgroups *cgroups_free(struct cgroups *cgroups);

enum cgroup_version cgroups_version(const struct cgroups *cgroups);
bool cgroups_have(const struct cgroups *cgroups, enum cgroup_controller controller);

/* One sentence: what is in force, and what is weaker than it could be. */
#define CGROUPS_TEXT_MAX 768
void cgroups_describe(const struct cgroups *cgroups, char ret[static CGROUPS_TEXT_MAX]);

/* Removes groups whose supervisor is gone. 0, or -EBUSY when some are not empty yet. */
int cgroups_sweep(const struct cgroups *cgroups);

/*
 * Makes a group. `uid`: who may put its own children into the groups of isolates (v2); -1: nobody
 * else. Without control groups it makes nothing. 0 or -errno.
 */
int cgroup_make(const struct cgroups *cgroups, const char *name, uid_t uid) MUST_CHECK;
int cgroup_limit(const struct cgroups *cgroups, const char *name,
	const struct cgroup_limits *limits) MUST_CHECK;

/* A group that gives way has a sixteenth of the weight that others have. 0 or -errno. */
int cgroup_give_way(const struct cgroups *cgroups, const char *name, bool give_way) MUST_CHECK;

/* What a function template, or an isolate without a group of its own, enters. Cheap enough for the
 * loop. 0 or -errno; without control groups the entry is empty. */
int cgroup_open(
	const struct cgroups *cgroups, const char *name, struct cgroup_entry *ret) MUST_CHECK;
void cgroup_entry_close(struct cgroup_entry *entry);

/* v2: makes a group for an isolate, with limits. Returns its directory, or -errno. */
int cgroup_make_isolate(const struct cgroups *cgroups, const char *name, uint32_t number, uid_t uid,
	const struct cgroup_limits *limits) MUST_CHECK;

/* 0, or -EBUSY while a process is in it. One that is not there is removed already. */
int cgroup_remove(const struct cgroups *cgroups, const char *name) MUST_CHECK;

/* What cannot be read is 0. */
void cgroup_measure(const struct cgroups *cgroups, const char *name, struct cgroup_figures *ret);

/* The count of cgroup_figures alone; cheap enough for the loop where it is rare. */
uint64_t cgroup_oom_kills(const struct cgroups *cgroups, const char *name);
