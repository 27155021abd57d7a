/*
 * fork.c - the fork itself: the kernel's, without the C library's.
 *
 * libc's fork() would run handlers of pthread_atfork() and free the stacks of all other threads,
 * but here they all go on living in the child.
 */
#include "guest/clone/template.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>

#define CLONE_ARGS_SIZE_VER2 88 /* with the cgroup; Linux 5.7 */
#define SIGSET_SIZE 8

/* Everything that a flag of ours may not contradict. */
#define FLAGS_OF_OURS (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID)

static long fork_process(const struct clone_template *t, const struct clone_request *request)
{
	struct clone_args arguments = {
		.flags = request->flags | FLAGS_OF_OURS,
		.child_tid = (uint64_t)(uintptr_t)t->cloner.tid_address,
		.exit_signal = (uint64_t)request->exit_signal,
	};
	long r;

	if (!t->cloner.tid_address)
		arguments.flags = request->flags;
	if (request->cgroup_fd >= 0) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)request->cgroup_fd;
	}
	r = raw_syscall(SYS_clone3, &arguments, CLONE_ARGS_SIZE_VER2);
	if (r != -ENOSYS || request->cgroup_fd >= 0)
		return r;
	/* Filters that must see the flags refuse clone3(), and then expect the older call. */
	return arch_clone_process(arguments.flags | arguments.exit_signal, t->cloner.tid_address);
}

/* What a forked thread loses, or has wrong because its TID is another one. */
static int become_child(struct clone_template *t)
{
	const struct thread *cloner = &t->cloner;

	if (cloner->libc_tid && cloner->libc_tid != cloner->tid_address)
		*cloner->libc_tid = (pid_t)raw_syscall(SYS_gettid);
	if (cloner->robust_list)
		raw_syscall(SYS_set_robust_list, cloner->robust_list, cloner->robust_size);
	mutexes_disown(t);
	return mappings_copy(t);
}

struct stand_in {
	struct clone_template *template;
	int (*run)(void *data);
	void *data;
};

static int stand_in_run(void *data)
{
	const struct stand_in *stand_in = data;

	/* A clone has the registration of the thread that made it. */
	thread_stand_in(stand_in->template);
	return stand_in->run(stand_in->data);
}

int clone_stand_in(struct clone_template *t, int (*run)(void *data), void *data)
{
	struct stand_in stand_in = { .template = t, .run = run, .data = data };

	return (int)arch_stand_in(CLONE_VM | CLONE_VFORK | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS |
					  CLONE_FILES | CLONE_SYSVSEM,
		stand_in_run, &stand_in);
}

int clone_fork(struct clone_template *t, const struct clone_request *request, pid_t *ret_pid)
{
	const uint64_t all = UINT64_MAX;
	uint64_t mask;
	long pid;

	if (request->flags & (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD))
		return -EINVAL;
	/* A handler of the runtime must not run in the child before its thread is whole. */
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, SIGSET_SIZE);
	pid = fork_process(t, request);
	if (pid >= 0)
		mutexes_mark_fork(pid == 0);
	if (pid == 0) {
		int r = become_child(t);

		if (r < 0)
			raw_syscall(SYS_exit_group, CLONE_EXIT_BROKEN);
	}
	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGSET_SIZE);
	if (pid < 0)
		return (int)pid;
	if (pid == 0)
		return CLONE_CHILD;
	*ret_pid = (pid_t)pid;
	return 0;
}
