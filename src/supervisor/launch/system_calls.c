/*
 * system_calls.c - see system_calls.h.
 */
#include "supervisor/launch/system_calls.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>

/* What the language runtimes, their libraries and ordinary programs use; io_uring is not among
 * them, since its rings cannot be cloned (it answers ENOSYS, and libuv falls back to epoll). */
static const char *const calls_allowed[] = {
	"read",
	"write",
	"open",
	"close",
	"stat",
	"fstat",
	"lstat",
	"poll",
	"lseek",
	"mmap",
	"mprotect",
	"munmap",
	"brk",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"ioctl",
	"pread64",
	"pwrite64",
	"readv",
	"writev",
	"access",
	"pipe",
	"select",
	"sched_yield",
	"mremap",
	"msync",
	"mincore",
	"madvise",
	"dup",
	"dup2",
	"pause",
	"nanosleep",
	"getitimer",
	"alarm",
	"setitimer",
	"getpid",
	"sendfile",
	"connect",
	"accept",
	"shutdown",
	"bind",
	"listen",
	"getsockname",
	"getpeername",
	"setsockopt",
	"getsockopt",
	"clone",
	"fork",
	"vfork",
	"execve",
	"exit",
	"wait4",
	"kill",
	"uname",
	"fcntl",
	"flock",
	"fsync",
	"fdatasync",
	"truncate",
	"ftruncate",
	"getdents",
	"getcwd",
	"chdir",
	"fchdir",
	"rename",
	"mkdir",
	"rmdir",
	"creat",
	"link",
	"unlink",
	"symlink",
	"readlink",
	"chmod",
	"fchmod",
	"chown",
	"fchown",
	"lchown",
	"umask",
	"gettimeofday",
	"getrlimit",
	"getrusage",
	"sysinfo",
	"times",
	"getuid",
	"getgid",
	"setuid",
	"setgid",
	"geteuid",
	"getegid",
	"setpgid",
	"getppid",
	"getpgrp",
	"setsid",
	"setreuid",
	"setregid",
	"getgroups",
	"setgroups",
	"setresuid",
	"getresuid",
	"setresgid",
	"getresgid",
	"getpgid",
	"setfsuid",
	"setfsgid",
	"getsid",
	"capget",
	"rt_sigpending",
	"rt_sigtimedwait",
	"rt_sigqueueinfo",
	"rt_sigsuspend",
	"sigaltstack",
	"utime",
	"statfs",
	"fstatfs",
	"getpriority",
	"setpriority",
	"sched_setparam",
	"sched_getparam",
	"sched_setscheduler",
	"sched_getscheduler",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"sched_rr_get_interval",
	"mlock",
	"munlock",
	"mlockall",
	"munlockall",
	"prctl",
	"arch_prctl",
	"setrlimit",
	"gettid",
	"readahead",
	"setxattr",
	"lsetxattr",
	"fsetxattr",
	"getxattr",
	"lgetxattr",
	"fgetxattr",
	"listxattr",
	"llistxattr",
	"flistxattr",
	"removexattr",
	"lremovexattr",
	"fremovexattr",
	"tkill",
	"time",
	"futex",
	"sched_setaffinity",
	"sched_getaffinity",
	"epoll_create",
	"getdents64",
	"set_tid_address",
	"restart_syscall",
	"fadvise64",
	"timer_create",
	"timer_settime",
	"timer_gettime",
	"timer_getoverrun",
	"timer_delete",
	"clock_gettime",
	"clock_getres",
	"clock_nanosleep",
	"exit_group",
	"epoll_wait",
	"epoll_ctl",
	"tgkill",
	"utimes",
	"waitid",
	"ioprio_set",
	"ioprio_get",
	"inotify_init",
	"inotify_add_watch",
	"inotify_rm_watch",
	"openat",
	"mkdirat",
	"fchownat",
	"futimesat",
	"newfstatat",
	"unlinkat",
	"renameat",
	"linkat",
	"symlinkat",
	"readlinkat",
	"fchmodat",
	"faccessat",
	"pselect6",
	"ppoll",
	"set_robust_list",
	"get_robust_list",
	"splice",
	"tee",
	"sync_file_range",
	"vmsplice",
	"utimensat",
	"epoll_pwait",
	"signalfd",
	"timerfd_create",
	"eventfd",
	"fallocate",
	"timerfd_settime",
	"timerfd_gettime",
	"accept4",
	"signalfd4",
	"eventfd2",
	"epoll_create1",
	"dup3",
	"pipe2",
	"inotify_init1",
	"preadv",
	"pwritev",
	"rt_tgsigqueueinfo",
	"prlimit64",
	"getcpu",
	"sched_setattr",
	"sched_getattr",
	"renameat2",
	"getrandom",
	"memfd_create",
	"execveat",
	"membarrier",
	"mlock2",
	"copy_file_range",
	"preadv2",
	"pwritev2",
	"pkey_mprotect",
	"pkey_alloc",
	"pkey_free",
	"statx",
	"rseq",
	"pidfd_send_signal",
	"pidfd_open",
	"close_range",
	"openat2",
	"faccessat2",
	"epoll_pwait2",
	"futex_waitv",
	"get_mempolicy",
	"set_mempolicy",
	"mbind",
};

struct call_row {
	const char *name, *reason;
};

/* Allowed, though one might wonder. */
static const struct call_row calls_allowed_unusual[] = {
	{ "clone3", "its flags cannot be seen here: capabilities and the limits on namespaces "
		    "answer them" },
	{ "move_mount", "an isolate attaches its /tmp before it gives its capability up; without "
			"one it fails" },
	{ "capset", "an isolate gives up the last capability" },
	{ "mknod", "mkfifo() is this call; device nodes need a capability, and Landlock refuses "
		   "them too" },
	{ "mknodat", "as mknod" },
	{ "landlock_create_ruleset", "programs may confine themselves further" },
	{ "landlock_add_rule", "as landlock_create_ruleset" },
	{ "landlock_restrict_self", "an isolate enters its ruleset" },
	{ "seccomp", "programs may confine themselves further, and no filter can be taken back" },
};

/* Refused with EPERM, so that nobody takes the kernel for an old one. */
static const struct call_row calls_refused[] = {
	{ "umount2", "every mount is the supervisor's" },
	{ "pivot_root", "as umount2" },
	{ "chroot", "as umount2" },
	{ "open_tree", "as umount2" },
	{ "fsopen", "as umount2" },
	{ "fsconfig", "as umount2" },
	{ "fsmount", "as umount2" },
	{ "fspick", "as umount2" },
	{ "mount_setattr", "as umount2" },
	{ "unshare", "no other namespace is theirs" },
	{ "ptrace", "a function debugs nobody" },
	{ "process_vm_readv", "as ptrace" },
	{ "process_vm_writev", "as ptrace" },
	{ "process_madvise", "as ptrace" },
	{ "process_mrelease", "as ptrace" },
	{ "pidfd_getfd", "as ptrace" },
	{ "kcmp", "as ptrace" },
	{ "bpf", "kernel code of their own" },
	{ "perf_event_open", "sees others" },
	{ "kexec_load", "the machine's" },
	{ "kexec_file_load", "the machine's" },
	{ "init_module", "kernel code of their own" },
	{ "finit_module", "kernel code of their own" },
	{ "delete_module", "kernel code of their own" },
	{ "add_key", "keyrings are not in a namespace" },
	{ "request_key", "as add_key" },
	{ "keyctl", "as add_key" },
	{ "open_by_handle_at", "goes around directories" },
	{ "name_to_handle_at", "as open_by_handle_at" },
	{ "personality", "turns off what protects memory" },
	{ "shmget", "System V IPC outlives its makers" },
	{ "shmat", "as shmget" },
	{ "shmctl", "as shmget" },
	{ "shmdt", "as shmget" },
	{ "semget", "as shmget" },
	{ "semop", "as shmget" },
	{ "semctl", "as shmget" },
	{ "semtimedop", "as shmget" },
	{ "msgget", "as shmget" },
	{ "msgsnd", "as shmget" },
	{ "msgrcv", "as shmget" },
	{ "msgctl", "as shmget" },
	{ "mq_open", "kept out of reach of limits" },
	{ "mq_unlink", "as mq_open" },
	{ "mq_timedsend", "as mq_open" },
	{ "mq_timedreceive", "as mq_open" },
	{ "mq_notify", "as mq_open" },
	{ "mq_getsetattr", "as mq_open" },
	{ "acct", "the machine's" },
	{ "quotactl", "the machine's" },
	{ "quotactl_fd", "the machine's" },
	{ "reboot", "the machine's" },
	{ "swapon", "the machine's" },
	{ "swapoff", "the machine's" },
	{ "sethostname", "the supervisor's" },
	{ "setdomainname", "the supervisor's" },
	{ "settimeofday", "the machine's" },
	{ "clock_settime", "the machine's" },
	{ "clock_adjtime", "the machine's" },
	{ "adjtimex", "the machine's" },
	{ "syslog", "the machine's" },
	{ "vhangup", "the machine's" },
	{ "iopl", "the machine's" },
	{ "ioperm", "the machine's" },
	{ "fanotify_init", "watches whole mounts" },
	{ "fanotify_mark", "as fanotify_init" },
	{ "lookup_dcookie", "profiles the machine" },
	{ "move_pages", "moves memory of others" },
	{ "migrate_pages", "as move_pages" },
	{ "modify_ldt", "old and rarely tested" },
	{ "memfd_secret", "memory that cannot be inspected" },
};

/* Answered with success and not made: a function's files are in memory, and this would have the machine
 * write out everybody's. */
static const struct call_row calls_pretended[] = {
	{ "sync", "waits for every disk" },
	{ "syncfs", "waits for the disk that /usr is on" },
};

/* Other families are either not in the network namespace (AF_VSOCK) or rarely tested; and so are other
 * protocols, whose modules the kernel would load for whoever asks. */
static const struct {
	int family;
	int protocols[3], protocol_count;
} sockets_allowed[] = {
	{ AF_UNIX, { 0, PF_UNIX }, 2 },
	{ AF_INET, { 0, IPPROTO_TCP, IPPROTO_UDP }, 3 },
	{ AF_INET6, { 0, IPPROTO_TCP, IPPROTO_UDP }, 3 },
	{ AF_NETLINK, { 0 /* NETLINK_ROUTE: getaddrinfo() asks it for addresses */ }, 1 },
};

static int filter_add(scmp_filter_ctx filter, uint32_t action, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);

	/* Younger than this libseccomp, or of another architecture: the default action is for
	 * those. */
	if (number == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add(filter, action, number, 0);
}

#define SOCKET_FAMILIES 64           /* more than Linux has */
#define SOCKET_PROTOCOLS IPPROTO_UDP /* the last that is allowed */

static bool family_is_allowed(int family)
{
	for (size_t i = 0; i < array_size(sockets_allowed); i++)
		if (sockets_allowed[i].family == family)
			return true;
	return false;
}

static bool protocol_is_allowed(size_t row, int protocol)
{
	for (int i = 0; i < sockets_allowed[row].protocol_count; i++)
		if (sockets_allowed[row].protocols[i] == protocol)
			return true;
	return false;
}

static int filter_add_protocols(scmp_filter_ctx filter, size_t row)
{
	const uint32_t no_protocol = SCMP_ACT_ERRNO(EPROTONOSUPPORT);
	scmp_datum_t family = (scmp_datum_t)sockets_allowed[row].family;
	int r = seccomp_rule_add(filter, no_protocol, SCMP_SYS(socket), 2,
		SCMP_A0(SCMP_CMP_EQ, family), SCMP_A2(SCMP_CMP_GT, SOCKET_PROTOCOLS));

	for (int protocol = 0; protocol <= SOCKET_PROTOCOLS && r == 0; protocol++)
		r = seccomp_rule_add(filter,
			protocol_is_allowed(row, protocol) ? SCMP_ACT_ALLOW : no_protocol,
			SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, family),
			SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)protocol));
	return r;
}

/* Everything that is not allowed has a rule of its own, since it is to be as if the kernel did not have
 * it, and a rule cannot compare one argument twice. Whatever has bits above an int is ENOSYS. */
static int filter_add_sockets(scmp_filter_ctx filter)
{
	const uint32_t no_family = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	int r = seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));

	if (r == 0)
		r = seccomp_rule_add(
			filter, no_family, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
	for (int family = 0; family < SOCKET_FAMILIES && r == 0; family++)
		if (!family_is_allowed(family))
			r = seccomp_rule_add(filter, no_family, SCMP_SYS(socket), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
	for (size_t row = 0; row < array_size(sockets_allowed) && r == 0; row++)
		r = filter_add_protocols(filter, row);
	return r;
}

/* Bytes out of band between Unix sockets have been a way into the kernel (CVE-2025-38236), and nearly
 * nothing uses them. The argument that the flags are in is counted from 0. */
static const struct {
	int number, flags;
} calls_with_messages[] = {
	{ SCMP_SYS(sendto), 3 },
	{ SCMP_SYS(sendmsg), 2 },
	{ SCMP_SYS(sendmmsg), 3 },
	{ SCMP_SYS(recvfrom), 3 },
	{ SCMP_SYS(recvmsg), 2 },
	{ SCMP_SYS(recvmmsg), 3 },
};

static int filter_add_messages(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; i < array_size(calls_with_messages) && r == 0; i++) {
		struct scmp_arg_cmp flags = { .arg = (unsigned)calls_with_messages[i].flags,
			.op = SCMP_CMP_MASKED_EQ,
			.datum_a = MSG_OOB };

		r = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, calls_with_messages[i].number, 1, flags);
		flags.datum_b = MSG_OOB;
		if (r == 0)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOPNOTSUPP),
				calls_with_messages[i].number, 1, flags);
	}
	return r;
}

/* Capabilities answer for the two that are allowed: a template has them over its berths, an isolate none.
 * Several kinds at once, which need a pidfd, are as if the kernel did not know the call. */
static const struct {
	uint32_t kind, action;
} namespaces_entered[] = {
	{ CLONE_NEWPID, SCMP_ACT_ALLOW },
	{ CLONE_NEWNS, SCMP_ACT_ALLOW },
	{ 0, SCMP_ACT_ERRNO(EPERM) },
	{ CLONE_NEWCGROUP, SCMP_ACT_ERRNO(EPERM) },
	{ CLONE_NEWIPC, SCMP_ACT_ERRNO(EPERM) },
	{ CLONE_NEWNET, SCMP_ACT_ERRNO(EPERM) },
	{ CLONE_NEWTIME, SCMP_ACT_ERRNO(EPERM) },
	{ CLONE_NEWUSER, SCMP_ACT_ERRNO(EPERM) },
	{ CLONE_NEWUTS, SCMP_ACT_ERRNO(EPERM) },
};

static int filter_add_namespaces(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; i < array_size(namespaces_entered) && r == 0; i++)
		r = seccomp_rule_add(filter, namespaces_entered[i].action, SCMP_SYS(setns), 1,
			SCMP_A1(SCMP_CMP_EQ, namespaces_entered[i].kind));
	return r;
}

#define PROC_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* A file system without options and with these flags is in practice a new /proc; values, not
 * pointers, are compared, so nobody can change them afterwards. All other mounts fail with EPERM.
 */
static int filter_add_proc(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mount), 2,
		SCMP_A3(SCMP_CMP_EQ, PROC_FLAGS), SCMP_A4(SCMP_CMP_EQ, 0));

	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mount), 1,
			SCMP_A3(SCMP_CMP_NE, PROC_FLAGS));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mount), 2,
			SCMP_A3(SCMP_CMP_EQ, PROC_FLAGS), SCMP_A4(SCMP_CMP_NE, 0));
	return r;
}

static int filter_fill(scmp_filter_ctx filter)
{
	int r = filter_add_sockets(filter);

	if (r == 0)
		r = filter_add_messages(filter);
	if (r == 0)
		r = filter_add_proc(filter);
	if (r == 0)
		r = filter_add_namespaces(filter);
	for (size_t i = 0; i < array_size(calls_allowed) && r == 0; i++)
		r = filter_add(filter, SCMP_ACT_ALLOW, calls_allowed[i]);
	for (size_t i = 0; i < array_size(calls_allowed_unusual) && r == 0; i++)
		r = filter_add(filter, SCMP_ACT_ALLOW, calls_allowed_unusual[i].name);
	for (size_t i = 0; i < array_size(calls_refused) && r == 0; i++)
		r = filter_add(filter, SCMP_ACT_ERRNO(EPERM), calls_refused[i].name);
	for (size_t i = 0; i < array_size(calls_pretended) && r == 0; i++)
		r = filter_add(filter, SCMP_ACT_ERRNO(0), calls_pretended[i].name);
	/* A binary tree: the kernel's cost of installing grows with the length of the worst path.
	 */
	return r < 0 ? r : seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
}

static void filter_release(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

int system_calls_compile(int *ret_fd, struct err *e)
{
	_cleanup_(filter_release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	_cleanup_close_ int fd = memfd_create("polyvisor-seccomp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (!filter)
		return err_errno(e, -ENOMEM, "cannot compile the table of system calls");
	if (fd < 0)
		return err_errno(e, -errno, "cannot keep the table of system calls");
	r = filter_fill(filter);
	if (r == 0)
		r = seccomp_export_bpf(filter, fd);
	if (r == 0 && fcntl(fd, F_ADD_SEALS,
			      F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0)
		return err_errno(e, r, "cannot compile the table of system calls");
	*ret_fd = take_fd(&fd);
	return 0;
}
