/*
 * group.h - the control group of a deployment: made before its first process, sized to the isolates
 * that it has, removed when its last process is gone.
 *
 *     MAKING --made--> READY --its deployment has ended--> REMOVING --empty--> (freed)
 *        \ failed         ^ sized again as isolates come and go
 *         +--> BROKEN -----------------------------------> REMOVING
 *
 * It belongs to its deployment until group_end(), and to itself from then on. What waits for the
 * kernel is done by the keeper (supervisor.h). Where the machine has no control groups it is READY at
 * once and nothing else.
 *
 * The limit of memory is what the isolates that may exist now can have together: MemorySize, /tmp and
 * GROUP_OVERHEAD_MB for each and for the template, never more than the memory budget. It is rounded
 * up to the next power of two of isolates, at least twice of what there is, so that no launch waits
 * for it to be raised. That is the kernel's wall; an isolate's own limit is the watch's (watch.h) and,
 * with v2, that of its own group.
 */
#pragma once

#include "base/macros.h"
#include "supervisor/launch/cgroup.h"

#include <stdbool.h>

struct deployment;
struct function_group;
struct registry;

#define GROUP_OVERHEAD_MB 64 /* page tables and the kernel's own; copies of the template's pages */

/* Removes what earlier supervisors left behind, in the background. */
void groups_start(struct registry *registry);

/* When the supervisor ends, with all deployments freed: forgets what waits to be removed, since all
 * groups are about to be (cgroups_free). */
void groups_end(struct registry *registry);

/* Begins to make d->group; deployment_group_ready() follows, perhaps before this returns. 0 or
 * -ENOMEM. */
int group_begin(struct deployment *d) MUST_CHECK;

/* The deployment has ended all its processes, or never had one; NULL is accepted. Returns NULL. */
struct function_group *group_end(struct function_group *group);

bool group_is_ready(const struct function_group *group);
const char *group_name(const struct function_group *group);

/* The number of isolates has changed. Cheap: this is on the launch path. */
void group_follow(struct deployment *d);

/* v2: the directory of a group for one isolate, which stays the group's; -1 when there is none. */
int group_take_slot(struct function_group *group, struct cgroup_slot *ret);
/* One of another group, or none, is ignored. */
void group_give_slot(struct function_group *group, const struct cgroup_slot *slot);

/* Whether the kernel has killed a process of the function for memory that nobody has claimed yet;
 * then it is claimed. For whoever finds a process dead by SIGKILL. */
bool group_claim_oom_kill(struct function_group *group);

/* What the watch has read of the kernel's counts: what is new goes to the statistics, and decides whether
 * the function gives way. */
void group_note_figures(struct function_group *group, const struct cgroup_figures *figures);

/*
 * A function that takes more than half a processor gives way to those that take less: beside one of them it
 * has one part in seventeen, and beside others that give way as much as they have. It does so for ten times
 * as long as it computed, ten seconds at most: what bombs do comes in bursts, and the kernel (6.18) lets a
 * storm of forks keep a group of equal weight from running for 100 to 200 ms.
 */
bool group_gives_way(const struct function_group *group);
