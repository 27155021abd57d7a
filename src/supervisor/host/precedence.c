/*
 * precedence.c - see precedence.h.
 */
#include "supervisor/host/precedence.h"

#include "base/macros.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICENESS (-5) /* three times the weight of an ordinary task or group */
#define TURN_NSEC                                                                                  \
	100000 /* the least that there is (Linux 6.12): whoever asks for less at once goes first */

void precedence_take(void)
{
	struct sched_attr attributes = {
		.size = sizeof(attributes),
		.sched_policy = SCHED_NORMAL,
		.sched_flags = SCHED_FLAG_RESET_ON_FORK,
		.sched_runtime = TURN_NSEC,
	};
	int now = getpriority(PRIO_PROCESS, 0);

	if (syscall(SYS_sched_getscheduler, 0) != SCHED_NORMAL)
		return;
	attributes.sched_nice = min_of(now, NICENESS);
	if (syscall(SYS_sched_setattr, 0, &attributes, 0) == 0)
		return;
	attributes.sched_nice = now;
	syscall(SYS_sched_setattr, 0, &attributes, 0);
}
