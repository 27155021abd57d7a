/*
 * privileges.c - see privileges.h.
 */
#include "envelope/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int errno_of(long result)
{
	return result < 0 ? -errno : 0;
}

int capabilities_set(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
		{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) },
	};

	return errno_of(syscall(SYS_capset, &header, data));
}

int capabilities_drop_bounding(void)
{
	for (unsigned long capability = 0; capability < 64; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
			continue;
		/* Past the last that this kernel knows. */
		return errno == EINVAL && capability > 0 ? 0 : -errno;
	}
	return 0;
}

/* Raw, since libc's calls signal every thread it believes there is, and those do not exist yet. */
static int identity_set(void)
{
	/* Refused where the user namespace denies it, and then there are no groups to drop. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 && errno != EPERM)
		return -errno;
	if (syscall(SYS_setresgid, ENVELOPE_UID, ENVELOPE_UID, ENVELOPE_UID) < 0)
		return -errno;
	return errno_of(syscall(SYS_setresuid, ENVELOPE_UID, ENVELOPE_UID, ENVELOPE_UID));
}

int privileges_keep(uint64_t keep)
{
	int r = capabilities_drop_bounding();

	if (r == 0)
		r = errno_of(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	if (r == 0)
		r = identity_set();
	if (r == 0)
		r = capabilities_set(keep);
	if (r == 0)
		r = errno_of(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0));
	return r == 0 ? errno_of(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) : r;
}

/* The second only for setns() into the mount namespaces of berths. */
#define CAPABILITIES_KEPT ((uint64_t)1 << CAP_SYS_ADMIN | (uint64_t)1 << CAP_SYS_CHROOT)

int privileges_drop(void)
{
	int r = privileges_keep(CAPABILITIES_KEPT);

	return r == 0 ? errno_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) : r;
}

static int limit_set(int resource, uint64_t value)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	/* Only ever lowered: raising takes a capability that even root may not have. */
	limit.rlim_max = min_of(value, limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	return errno_of(setrlimit(resource, &limit));
}

int limits_set(uint64_t processes, uint64_t descriptors)
{
	int r = limit_set(RLIMIT_CORE, 0);

	if (r == 0 && processes)
		r = limit_set(RLIMIT_NPROC, processes);
	if (r == 0 && descriptors)
		r = limit_set(RLIMIT_NOFILE, descriptors);
	return r;
}

/* linux/landlock.h of Debian 12 is older than kernels we run on; the layout is the kernel's. */
struct ruleset_attributes {
	uint64_t files, network, scoped;
};

#define LANDLOCK_FILES_ABI_3 ((1ULL << 15) - 1) /* every right up to TRUNCATE */
#define LANDLOCK_FILES_ABI_1 ((1ULL << 13) - 1)
#define LANDLOCK_SCOPES_ALL 3 /* abstract unix sockets, signals */

static int landlock_make_ruleset(struct ruleset_attributes *attributes)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	size_t size = abi >= 6 ? sizeof(*attributes) : sizeof(attributes->files);

	if (abi < 0)
		return -errno;
	attributes->files = abi >= 3 ? LANDLOCK_FILES_ABI_3 : LANDLOCK_FILES_ABI_1;
	attributes->scoped = abi >= 6 ? LANDLOCK_SCOPES_ALL : 0;
	return (int)syscall(SYS_landlock_create_ruleset, attributes, size, 0);
}

int landlock_make(int *ret_fd)
{
	struct ruleset_attributes attributes = { 0 };
	struct landlock_path_beneath_attr rule = { 0 };
	int ruleset = landlock_make_ruleset(&attributes), r;

	*ret_fd = -1;
	if (ruleset < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	rule.allowed_access = attributes.files & ~(uint64_t)(LANDLOCK_ACCESS_FS_MAKE_CHAR |
							     LANDLOCK_ACCESS_FS_MAKE_BLOCK);
	rule.parent_fd = open("/", O_PATH | O_CLOEXEC);
	r = rule.parent_fd < 0 ? -errno
			       : errno_of(syscall(SYS_landlock_add_rule, ruleset,
					 LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
	if (rule.parent_fd >= 0)
		close(rule.parent_fd);
	if (r < 0)
		close(ruleset);
	else
		*ret_fd = ruleset;
	return r;
}

int landlock_enter(int ruleset)
{
	return ruleset < 0 ? 0 : errno_of(syscall(SYS_landlock_restrict_self, ruleset, 0));
}

int seccomp_install(int fd)
{
	struct sock_filter program[BPF_MAXINSNS];
	ssize_t size = pread(fd, program, sizeof(program), 0);
	const struct sock_fprog filter = {
		.len = (unsigned short)(size / (ssize_t)sizeof(program[0])), .filter = program
	};

	if (size <= 0 || size % (ssize_t)sizeof(program[0]))
		return size < 0 ? -errno : -EBADMSG;
	return errno_of(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
}
