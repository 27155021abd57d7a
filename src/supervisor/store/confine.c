/*
 * confine.c - see confine.h.
 */
#include "supervisor/store/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CONFINE_CPU_SECONDS 60
#define CONFINE_MEMORY_BYTES (1024UL * 1024 * 1024)
#define CONFINE_DESCRIPTORS 32

static int set_limits(uint64_t file_size_max)
{
	const struct {
		int resource;
		rlim_t limit;
	} limits[] = {
		{ RLIMIT_CPU, CONFINE_CPU_SECONDS },
		{ RLIMIT_FSIZE, file_size_max },
		{ RLIMIT_NOFILE, CONFINE_DESCRIPTORS },
		{ RLIMIT_CORE, 0 },
#if !defined(__SANITIZE_ADDRESS__)
		/* AddressSanitizer reserves terabytes that it does not use. */
		{ RLIMIT_AS, CONFINE_MEMORY_BYTES },
#endif
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit = { limits[i].limit, limits[i].limit };

		if (setrlimit((__rlimit_resource_t)limits[i].resource, &limit) < 0)
			return -errno;
	}
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* Rights of the first version of Landlock, which is all that its kernel may know. */
#define RIGHTS_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define RIGHTS_BELOW                                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR |                             \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |                        \
		LANDLOCK_ACCESS_FS_MAKE_SYM)

static int enforce_landlock(int directory)
{
	struct landlock_ruleset_attr attributes = { .handled_access_fs = RIGHTS_ALL };
	struct landlock_path_beneath_attr below = {
		.allowed_access = RIGHTS_BELOW,
		.parent_fd = directory,
	};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
	int r = 0;

	if (ruleset < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0) < 0 ||
		syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	close(ruleset);
	return r;
}

/* What reading an archive and writing files takes; the rest is refused with EPERM. */
static int install_filter(void)
{
	static const int allowed[] = {
		SCMP_SYS(read),
		SCMP_SYS(pread64),
		SCMP_SYS(lseek),
		SCMP_SYS(write),
		SCMP_SYS(close),
		SCMP_SYS(fstat),
		SCMP_SYS(newfstatat),
		SCMP_SYS(fcntl),
		SCMP_SYS(openat),
		SCMP_SYS(openat2),
		SCMP_SYS(mkdirat),
		SCMP_SYS(symlinkat),
		SCMP_SYS(fchmod),
		SCMP_SYS(utimensat),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(mprotect),
		SCMP_SYS(madvise),
		SCMP_SYS(brk),
		SCMP_SYS(futex),
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(getpid),
		SCMP_SYS(gettid),
		SCMP_SYS(tgkill),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(getrandom),
		SCMP_SYS(sigaltstack),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

static int close_others(int last)
{
	if (syscall(SYS_close_range, last + 1, ~0U, 0) < 0 && errno != ENOSYS)
		return -errno;
	return 0;
}

int confine_unpacker(int directory, uint64_t file_size_max, struct err *e)
{
	int r = close_others(directory);

	/* A file that grows too large is EFBIG, not the end of the process. */
	signal(SIGXFSZ, SIG_IGN);
	if (r == 0)
		r = set_limits(file_size_max);
	if (r == 0)
		r = drop_capabilities();
	if (r == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
			      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			      prctl(PR_SET_DUMPABLE, 0) < 0))
		r = -errno;
	if (r == 0)
		r = enforce_landlock(directory);
	if (r == 0)
		r = install_filter();
	return r < 0 ? err_errno(e, r, "the unpacking process could not confine itself") : 0;
}
