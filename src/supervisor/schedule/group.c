/*
 * group.c - see group.h.
 */
#include "supervisor/schedule/group.h"

#include "base/fd.h"
#include "base/log.h"
#include "supervisor/schedule/function_state.h"
#include "supervisor/store/worker.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GROUP_RETRY_LEAST (5 * USEC_PER_MSEC) /* until a group is empty; doubled each time */
#define GROUP_RETRY_MOST (10 * USEC_PER_SEC)
#define GROUP_SWEEPS 10                /* of groups that another supervisor's death leaves full */
#define GROUP_CLAIM (2 * USEC_PER_SEC) /* how late the death of a killed process may be noticed */
#define GROUP_HEAVY_PERCENT 50         /* of one processor */
#define GROUP_HEAVY_TIMES 10           /* how much longer it gives way than it has taken */
#define GROUP_HEAVY_MOST (10 * USEC_PER_SEC)
#define GROUP_LOOK_LEAST (50 * USEC_PER_MSEC) /* between two looks that tell something */
#define GROUP_SLOTS_STEP 8
#define GROUP_SLOTS_LOW 4 /* with fewer free ones more are made */
#define MB ((uint64_t)1024 * 1024)

enum group_state {
	GROUP_MAKING,
	GROUP_READY,
	GROUP_BROKEN,
	GROUP_REMOVING,
};

enum group_task {
	TASK_MAKE,
	TASK_LIMIT,
	TASK_GIVE_WAY,
	TASK_SLOTS,
	TASK_REMOVE,
};

struct function_group {
	struct supervisor *supervisor;
	struct deployment *owner; /* NULL once it has ended */
	enum group_state state;
	uint64_t serial; /* no two groups of a supervisor have the same; from 1 */
	char name[CGROUP_NAME_MAX];
	uint32_t room, wanted; /* isolates that the limits in force, and the wanted ones, allow */
	struct cgroup_figures seen;
	usec_t looked_at, heavy_until;
	bool heavy, gives_way; /* is to give way, and does */
	uint64_t oom_unclaimed;
	usec_t oom_noticed_at;
	usec_t retry_delay;
	struct loop_timer retry;
	struct list link; /* among those that are being removed */
	int *slots;       /* directories, by number */
	uint32_t *free_slots;
	uint32_t slot_count, free_count, slots_wanted;
	/* The keeper's while `working`; so are the slots once the deployment has ended. */
	bool working;
	struct job job;
	enum group_task task;
	struct cgroup_limits limits, isolate_limits;
	uid_t uid;
	int result;
	int made[GROUP_SLOTS_STEP];
	uint32_t made_count;
};

static void group_set_state(struct function_group *group, enum group_state state)
{
	group->state = state;
}

bool group_is_ready(const struct function_group *group)
{
	return group && group->state == GROUP_READY;
}

const char *group_name(const struct function_group *group)
{
	return group->name;
}

static void close_slots(struct function_group *group)
{
	while (group->slot_count > 0)
		fd_close(group->slots[--group->slot_count]);
	group->free_count = 0;
}

static void group_free(struct function_group *group)
{
	list_remove(&group->link);
	loop_timer_cancel(group->supervisor->loop, &group->retry);
	close_slots(group);
	free(group->slots);
	free(group->free_slots);
	free(group);
}

static uint64_t overhead_bytes(const struct deployment *d)
{
	return max_of(GROUP_OVERHEAD_MB * MB, d->anonymous_kb * 1024);
}

static struct cgroup_limits limits_for(const struct deployment *d, uint32_t room)
{
	const struct config *config = d->config;
	/* Of an isolate, and of the template. */
	uint64_t each = (config->memory_mb + config->tmp_mb) * MB + overhead_bytes(d);
	/* With a budget that is too small for one isolate, the first use fails, not all memory. */
	uint64_t most = max_of(d->registry->memory_budget, 2 * each);
	/* The init of its berth is none of an isolate's own. */
	uint64_t processes = config->settings.processes ? config->settings.processes + 1ull : 0;

	return (struct cgroup_limits){
		.memory_bytes = min_of((room + 1) * each, most),
		.processes = (uint32_t)min_of(processes * (room + 1), (uint64_t)INT32_MAX),
		.cpu_percent = config->settings.cpu_percent,
	};
}

static struct cgroup_limits limits_of_isolate(const struct deployment *d)
{
	const struct config *config = d->config;

	return (struct cgroup_limits){
		.memory_bytes = (config->memory_mb + config->tmp_mb) * MB + overhead_bytes(d),
		.processes = config->settings.processes,
	};
}

static uint32_t room_for(const struct deployment *d)
{
	uint32_t live = deployment_live(d), most = max_of(d->config->settings.concurrency, 1u);
	uint32_t room = 2;

	while (room < 2 * live && room < most)
		room *= 2;
	return min_of(room, most);
}

static void make_slots(struct function_group *group, const struct cgroups *cgroups)
{
	for (group->made_count = 0; group->made_count < GROUP_SLOTS_STEP; group->made_count++) {
		int fd = cgroup_make_isolate(cgroups, group->name,
			group->slot_count + group->made_count, group->uid, &group->isolate_limits);

		if (fd < 0)
			return; /* isolates are then limited with their function */
		group->made[group->made_count] = fd;
	}
}

static void group_work(struct job *job)
{
	struct function_group *group = container_of(job, struct function_group, job);
	const struct cgroups *cgroups = group->supervisor->cgroups;

	group->result = 0;
	switch (group->task) {
	case TASK_MAKE:
		group->result = cgroup_make(cgroups, group->name, group->uid);
		if (group->result == 0)
			group->result = cgroup_limit(cgroups, group->name, &group->limits);
		if (group->result == 0 && cgroups_version(cgroups) == CGROUP_V2)
			make_slots(group, cgroups);
		break;
	case TASK_LIMIT:
		group->result = cgroup_limit(cgroups, group->name, &group->limits);
		break;
	case TASK_GIVE_WAY:
		/* Where that fails they stay equal, until it is tried again. */
		group->result = cgroup_give_way(cgroups, group->name, group->gives_way);
		break;
	case TASK_SLOTS:
		make_slots(group, cgroups);
		break;
	case TASK_REMOVE:
		/* Each is a mount: ending one takes 0.1 ms, and now and then 15. */
		close_slots(group);
		group->result = cgroup_remove(cgroups, group->name);
		break;
	}
}

static void group_done(struct job *job);

static void group_submit(struct function_group *group, enum group_task task)
{
	group->task = task;
	group->working = true;
	group->job.work = group_work;
	group->job.done = group_done;
	worker_submit(group->supervisor->keeper, &group->job);
}

static void group_submit_limits(struct function_group *group)
{
	group->limits = limits_for(group->owner, group->wanted);
	group->room = group->wanted;
	group_submit(group, TASK_LIMIT);
}

/* What the kernel needs done and the keeper is not doing yet. */
static void group_catch_up(struct function_group *group)
{
	if (group->working || !group->owner || group->state != GROUP_READY)
		return;
	if (group->wanted != group->room) {
		group_submit_limits(group);
	} else if (group->heavy != group->gives_way) {
		group->gives_way = group->heavy;
		group_submit(group, TASK_GIVE_WAY);
	} else if (group->slots_wanted > 0) {
		group->slots_wanted = 0;
		group->isolate_limits = limits_of_isolate(group->owner);
		group_submit(group, TASK_SLOTS);
	}
}

static void group_try_removal(struct loop_timer *timer)
{
	group_submit(container_of(timer, struct function_group, retry), TASK_REMOVE);
}

static void group_removed(struct function_group *group)
{
	struct loop *loop = group->supervisor->loop;

	/* When the supervisor ends, it removes all that is left at once. */
	if (group->result == 0 || group->supervisor->stopping) {
		group_free(group);
		return;
	}
	group->retry_delay = min_of(group->retry_delay * 2, GROUP_RETRY_MOST);
	if (loop_timer_set(loop, &group->retry, usec_monotonic() + group->retry_delay,
		    group_try_removal) == 0)
		return;
	log_warning(
		"the control group %s is not removed: %s", group->name, strerror(-group->result));
	group_free(group);
}

static void group_remove(struct function_group *group)
{
	list_append(&group->supervisor->registry->groups_leaving, &group->link);
	group_set_state(group, GROUP_REMOVING);
	if (!group->working)
		group_submit(group, TASK_REMOVE);
}

static int group_grow_slots(struct function_group *group, uint32_t count)
{
	int *slots = reallocarray(group->slots, count, sizeof(*slots));
	uint32_t *free_slots;

	if (!slots)
		return -ENOMEM;
	group->slots = slots;
	free_slots = reallocarray(group->free_slots, count, sizeof(*free_slots));
	if (!free_slots)
		return -ENOMEM;
	group->free_slots = free_slots;
	return 0;
}

/* Takes over what the keeper has made. */
static void group_add_slots(struct function_group *group)
{
	uint32_t made = group->made_count;
	int r = made ? group_grow_slots(group, group->slot_count + made) : 0;

	for (uint32_t i = 0; i < made; i++) {
		if (r < 0) {
			fd_close(group->made[i]);
			continue;
		}
		group->slots[group->slot_count] = group->made[i];
		group->free_slots[group->free_count++] = group->slot_count++;
	}
	group->made_count = 0;
}

static void group_done(struct job *job)
{
	struct function_group *group = container_of(job, struct function_group, job);

	group->working = false;
	group_add_slots(group);
	if (group->task == TASK_REMOVE) {
		group_removed(group);
	} else if (!group->owner) {
		group_submit(group, TASK_REMOVE);
	} else if (group->task == TASK_MAKE) {
		group_set_state(group, group->result < 0 ? GROUP_BROKEN : GROUP_READY);
		deployment_group_ready(group->owner, group->result);
	} else {
		group_catch_up(group);
	}
}

int group_begin(struct deployment *d)
{
	struct supervisor *s = d->registry->supervisor;
	struct function_group *group = calloc(1, sizeof(*group));

	if (!group)
		return -ENOMEM;
	list_init(&group->link);
	group->supervisor = s;
	group->owner = d;
	group->uid = !s->rootless && !s->options.envelope_off ? d->uid : (uid_t)-1;
	group->retry_delay = GROUP_RETRY_LEAST;
	group->room = group->wanted = room_for(d);
	group->limits = limits_for(d, group->room);
	group->isolate_limits = limits_of_isolate(d);
	group->serial = ++d->registry->groups;
	snprintf(group->name, sizeof(group->name), "%s.%llu", d->config->name,
		(unsigned long long)group->serial);
	d->group = group;
	if (cgroups_version(s->cgroups) == CGROUP_NONE) {
		group_set_state(group, GROUP_READY);
		deployment_group_ready(d, 0);
	} else {
		group_set_state(group, GROUP_MAKING);
		group_submit(group, TASK_MAKE);
	}
	return 0;
}

struct function_group *group_end(struct function_group *group)
{
	if (!group)
		return NULL;
	group->owner = NULL;
	if (cgroups_version(group->supervisor->cgroups) == CGROUP_NONE)
		group_free(group);
	else
		group_remove(group);
	return NULL;
}

void group_follow(struct deployment *d)
{
	struct function_group *group = d->group;
	uint32_t room;

	if (!group_is_ready(group) || cgroups_version(group->supervisor->cgroups) == CGROUP_NONE)
		return;
	room = room_for(d);
	/* Less at a quarter only, so that a number that goes up and down costs nothing. */
	if (room > group->wanted || room <= group->wanted / 4)
		group->wanted = room;
	group_catch_up(group);
}

int group_take_slot(struct function_group *group, struct cgroup_slot *ret)
{
	int directory = -1;

	*ret = (struct cgroup_slot){ 0 };
	if (!group_is_ready(group) || cgroups_version(group->supervisor->cgroups) != CGROUP_V2)
		return -1;
	if (group->free_count > 0) {
		ret->group = group->serial;
		ret->number = group->free_slots[--group->free_count];
		directory = group->slots[ret->number];
	}
	if (group->free_count < GROUP_SLOTS_LOW)
		group->slots_wanted = GROUP_SLOTS_STEP;
	group_catch_up(group);
	return directory;
}

void group_give_slot(struct function_group *group, const struct cgroup_slot *slot)
{
	if (group && slot->group == group->serial)
		group->free_slots[group->free_count++] = slot->number;
}

static void note_oom_kills(struct function_group *group, uint64_t kills)
{
	if (kills <= group->seen.oom_kills)
		return;
	group->oom_unclaimed += kills - group->seen.oom_kills;
	group->seen.oom_kills = kills;
	group->oom_noticed_at = usec_monotonic();
}

/* Both counts only grow; one that could not be read is 0. */
static uint64_t grown(uint64_t *seen, uint64_t now)
{
	uint64_t by = now > *seen ? now - *seen : 0;

	*seen += by;
	return by;
}

static void note_cpu(struct function_group *group, uint64_t usec)
{
	usec_t now = usec_monotonic(), passed = now - group->looked_at;
	bool first = group->looked_at == 0;
	uint64_t used;

	if (usec == 0 || passed < GROUP_LOOK_LEAST)
		return;
	group->looked_at = now;
	used = grown(&group->seen.cpu_usec, usec);
	if (first)
		return;
	if (used * 100 > passed * GROUP_HEAVY_PERCENT)
		group->heavy_until =
			min_of(max_of(now, group->heavy_until) + GROUP_HEAVY_TIMES * used,
				now + GROUP_HEAVY_MOST);
	group->heavy = now < group->heavy_until;
	group_catch_up(group);
}

bool group_gives_way(const struct function_group *group)
{
	return group && group->heavy;
}

void group_note_figures(struct function_group *group, const struct cgroup_figures *figures)
{
	struct function_stats *stats = &group->owner->function->stats;

	note_oom_kills(group, figures->oom_kills);
	stats->process_refusals += grown(&group->seen.process_refusals, figures->process_refusals);
	stats->cpu_throttled_usec +=
		grown(&group->seen.cpu_throttled_usec, figures->cpu_throttled_usec);
	note_cpu(group, figures->cpu_usec);
}

bool group_claim_oom_kill(struct function_group *group)
{
	if (!group_is_ready(group))
		return false;
	note_oom_kills(group, cgroup_oom_kills(group->supervisor->cgroups, group->name));
	/* The kill of a child of an isolate has no taker. */
	if (usec_monotonic() - group->oom_noticed_at > GROUP_CLAIM)
		group->oom_unclaimed = 0;
	if (group->oom_unclaimed == 0)
		return false;
	group->oom_unclaimed--;
	return true;
}

struct group_sweep {
	struct job job;
	struct loop_timer timer;
	struct supervisor *supervisor;
	unsigned tries;
	int result;
};

static void sweep_work(struct job *job)
{
	struct group_sweep *sweep = container_of(job, struct group_sweep, job);

	sweep->result = cgroups_sweep(sweep->supervisor->cgroups);
}

static void sweep_again(struct loop_timer *timer)
{
	struct group_sweep *sweep = container_of(timer, struct group_sweep, timer);

	worker_submit(sweep->supervisor->keeper, &sweep->job);
}

/* What is not empty yet will be: its processes die with their supervisor. */
static void sweep_done(struct job *job)
{
	struct group_sweep *sweep = container_of(job, struct group_sweep, job);
	struct loop *loop = sweep->supervisor->loop;

	if (sweep->result == 0 || sweep->supervisor->stopping || ++sweep->tries == GROUP_SWEEPS)
		return;
	if (loop_timer_set(loop, &sweep->timer, usec_monotonic() + USEC_PER_SEC, sweep_again) < 0)
		log_warning("control groups of an earlier supervisor are not removed");
}

void groups_start(struct registry *registry)
{
	struct group_sweep *sweep = calloc(1, sizeof(*sweep));

	if (!sweep)
		return;
	registry->group_sweep = sweep;
	sweep->supervisor = registry->supervisor;
	sweep->job.work = sweep_work;
	sweep->job.done = sweep_done;
	worker_submit(registry->supervisor->keeper, &sweep->job);
}

void groups_end(struct registry *registry)
{
	if (registry->supervisor->keeper)
		worker_flush(registry->supervisor->keeper);
	while (!list_empty(&registry->groups_leaving))
		group_free(list_first(&registry->groups_leaving, struct function_group, link));
	if (registry->group_sweep)
		loop_timer_cancel(registry->supervisor->loop, &registry->group_sweep->timer);
	free(registry->group_sweep);
}
