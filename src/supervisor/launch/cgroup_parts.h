/*
 * cgroup_parts.h - what the files of control groups share: cgroups.c, cgroup.c, cgroup_find.c, cgroup_v1.c,
 * cgroup_v2.c.
 */
#pragma once

#include "supervisor/launch/cgroup.h"

#include <limits.h>

#define CGROUP_PREFIX "polyvisor-"

/* One mounted tree of groups. */
struct cgroup_hierarchy {
	char path[PATH_MAX]; /* of `base`, for sentences */
	int base;            /* the directory that the supervisor's group is in */
	int parent;          /* the supervisor's group; locked */
};

/* How a version calls things. Keys are followed by a space in their file. */
struct cgroup_files {
	const char *enter;
	const char *memory_limit, *memory_usage;
	const char *swap_limit;
	bool swap_is_sum; /* the swap limit is of memory and swap together, else of swap */
	const char *oom_file;
	const char *cpu_limit;
	bool cpu_has_period;                              /* the period stands behind the quota */
	const char *weight, *weight_usual, *weight_small; /* the file, and a sixteenth */
	enum cgroup_controller usage_of;
	const char *usage_file, *usage_key;
	uint64_t usage_per_usec;
	const char *throttled_key;
	uint64_t throttled_per_usec;
};

struct cgroups {
	enum cgroup_version version;
	char name[32];
	struct cgroup_hierarchy hierarchies[CGROUP_CONTROLLERS];
	size_t hierarchy_count;
	int places[CGROUP_CONTROLLERS]; /* index of a controller's hierarchy, or -1 */
	const struct cgroup_files *files;
	char why[256]; /* why there is not more */
};

extern const struct cgroup_files cgroup_v1_files, cgroup_v2_files;

/* Fill in everything but name. 0 or -errno with the sentence; then what they opened is closed. */
int cgroup_v1_start(struct cgroups *cgroups, struct err *e) MUST_CHECK;
int cgroup_v2_start(struct cgroups *cgroups, struct err *e) MUST_CHECK;

/* cgroup_find.c: the directory of this process's own group. `controller`: NULL for v2. 0 or -errno
 * with the sentence. */
int cgroup_find_own(const char *controller, char path[static PATH_MAX], struct err *e) MUST_CHECK;

/* Makes the supervisor's group in the directory `path`, unless that was done. The index of the
 * hierarchy, or -errno with the sentence. */
int cgroup_add_hierarchy(struct cgroups *cgroups, const char *path, struct err *e) MUST_CHECK;

/* Whether a list with blanks between its words, as the kernel writes it, has a word. */
bool cgroup_list_has(const char *list, const char *word);

extern const char *const cgroup_controller_names[CGROUP_CONTROLLERS];

/* Removes a group with the groups in it, so many levels deep. 0, or -EBUSY while a process is in one
 * of them. */
int cgroup_remove_tree(int directory, const char *name, int depth);

/* One write to, or one read from, GROUP/FILE below a directory. */
int cgroup_write(int directory, const char *group, const char *file, const char *text);
int cgroup_read(int directory, const char *group, const char *file, char *ret, size_t size);
