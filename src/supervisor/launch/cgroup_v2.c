/*
 * cgroup_v2.c - control groups of version 2: one hierarchy, whose controllers each group hands on to
 * the groups in it, unless it has processes itself.
 */
#include "supervisor/launch/cgroup_parts.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_GROUP "supervisor" /* what the supervisor moves to, below the group it was started in */

const struct cgroup_files cgroup_v2_files = {
	.enter = NULL,
	.memory_limit = "memory.max",
	.memory_usage = "memory.current",
	.swap_limit = "memory.swap.max",
	.swap_is_sum = false,
	.oom_file = "memory.events",
	.cpu_limit = "cpu.max",
	.cpu_has_period = true,
	.weight = "cpu.weight",
	.weight_usual = "100",
	.weight_small = "6",
	.usage_of = CGROUP_CPU,
	.usage_file = "cpu.stat",
	.usage_key = "usage_usec",
	.usage_per_usec = 1,
	.throttled_key = "throttled_usec",
	.throttled_per_usec = 1,
};

/* Whether the processes of a group are this one only. */
static bool is_alone(int directory)
{
	char text[256], own[16];

	snprintf(own, sizeof(own), "%d\n", getpid());
	return cgroup_read(directory, ".", "cgroup.procs", text, sizeof(text)) == 0 &&
	       !strcmp(text, own);
}

/* A service manager that delegates a group starts us in it; then what is below it is ours. */
static bool move_out(int directory)
{
	if (!is_alone(directory))
		return false;
	if (mkdirat(directory, OWN_GROUP, 0755) < 0 && errno != EEXIST)
		return false;
	return cgroup_write(directory, OWN_GROUP, "cgroup.procs", "0") == 0;
}

/* Turns the path of the own group into that of the group to make ours in. */
static int choose_place(char path[static PATH_MAX], struct err *e)
{
	_cleanup_close_ int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *last = strrchr(path, '/');

	if (directory < 0)
		return err_errno(e, -errno, "cannot open the control group %s", path);
	/* Only the root has no type, and only the root may have both processes and groups. */
	if (faccessat(directory, "cgroup.type", F_OK, 0) < 0)
		return 0;
	if (last && strcmp(last + 1, OWN_GROUP) && move_out(directory))
		return 0;
	if (last && last > path)
		*last = '\0';
	return 0;
}

static void hand_on(int directory)
{
	char text[16];

	for (int i = 0; i <= CGROUP_CPU; i++) {
		snprintf(text, sizeof(text), "+%s", cgroup_controller_names[i]);
		/* What is not there, or not ours to give, is missing in the description. */
		cgroup_write(directory, ".", "cgroup.subtree_control", text);
	}
}

int cgroup_v2_start(struct cgroups *cgroups, struct err *e)
{
	struct cgroup_hierarchy *h = &cgroups->hierarchies[0];
	char path[PATH_MAX], text[256];
	int r = cgroup_find_own(NULL, path, e);

	cgroups->version = CGROUP_V2;
	cgroups->files = &cgroup_v2_files;
	if (r == 0)
		r = choose_place(path, e);
	if (r == 0)
		r = cgroup_add_hierarchy(cgroups, path, e);
	if (r < 0)
		return r;
	hand_on(h->base);
	hand_on(h->parent);
	r = cgroup_read(h->parent, ".", "cgroup.subtree_control", text, sizeof(text));
	if (r < 0)
		return err_errno(e, r, "cannot read the controllers of %s", path);
	for (int i = 0; i <= CGROUP_CPU; i++) {
		cgroups->places[i] = cgroup_list_has(text, cgroup_controller_names[i]) ? 0 : -1;
		if (cgroups->places[i] < 0 && !cgroups->why[0])
			snprintf(cgroups->why, sizeof(cgroups->why),
				"%.200s does not hand on the controller %s", path,
				cgroup_controller_names[i]);
	}
	return 0;
}
