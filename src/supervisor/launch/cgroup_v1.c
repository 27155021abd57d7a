/*
 * cgroup_v1.c - control groups of version 1: one hierarchy for each controller.
 */
#include "supervisor/launch/cgroup_parts.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

const struct cgroup_files cgroup_v1_files = {
	.enter = "tasks",
	.memory_limit = "memory.limit_in_bytes",
	.memory_usage = "memory.usage_in_bytes",
	.swap_limit = "memory.memsw.limit_in_bytes",
	.swap_is_sum = true,
	.oom_file = "memory.oom_control",
	.cpu_limit = "cpu.cfs_quota_us",
	.weight = "cpu.shares",
	.weight_usual = "1024",
	.weight_small = "64",
	.usage_of = CGROUP_CPUACCT,
	.usage_file = "cpuacct.usage",
	.usage_key = "",
	.usage_per_usec = 1000,
	.throttled_key = "throttled_time",
	.throttled_per_usec = 1000,
};

/*
 * Outside, every task or session weighs as much as a group of weight 1024: the supervisor and its
 * functions together are two of them for each processor. Inside it has the weight of its priority
 * beside functions of 1024 each; left in the group of its session, it would have a third of a processor
 * together with everything that runs there.
 */
static void weigh(struct cgroups *cgroups)
{
	int place = cgroups->places[CGROUP_CPU];
	char text[16];

	if (place < 0)
		return;
	snprintf(text, sizeof(text), "%ld", 2048 * sysconf(_SC_NPROCESSORS_ONLN));
	/* Without either it works too, but waits longer for a processor that functions take. */
	cgroup_write(cgroups->hierarchies[place].parent, ".", "cpu.shares", text);
	cgroup_write(cgroups->hierarchies[place].parent, ".", cgroups->files->enter, "0");
}

int cgroup_v1_start(struct cgroups *cgroups, struct err *e)
{
	char path[PATH_MAX];

	cgroups->version = CGROUP_V1;
	cgroups->files = &cgroup_v1_files;
	for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
		struct err failed = { 0 };
		int r = cgroup_find_own(cgroup_controller_names[i], path, &failed);

		if (r == 0)
			r = cgroup_add_hierarchy(cgroups, path, &failed);
		cgroups->places[i] = r < 0 ? -1 : r;
		if (r < 0 && !cgroups->why[0])
			snprintf(cgroups->why, sizeof(cgroups->why), "%.250s", failed.text);
	}
	if (cgroups->hierarchy_count == 0)
		return err_set(e, -ENOENT, "%s", cgroups->why);
	weigh(cgroups);
	return 0;
}
