/*
 * namespaces.c - see namespaces.h.
 */
#include "envelope/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The machine's network, joined by an ordinary user's function: nobody but root may enter where
 * both are already. */
static bool network_is_own(int network)
{
	struct stat own, wanted;

	return stat("/proc/self/ns/net", &own) == 0 && fstat(network, &wanted) == 0 &&
	       own.st_dev == wanted.st_dev && own.st_ino == wanted.st_ino;
}

int namespaces_join_network(int network)
{
	int r = setns(network, CLONE_NEWNET) < 0 ? -errno : 0;

	return r == -EPERM && network_is_own(network) ? 0 : r;
}

int namespaces_join(int mounts, int network)
{
	int r = 0;

	if (setns(mounts, CLONE_NEWNS) < 0)
		return -errno;
	if (network >= 0)
		r = namespaces_join_network(network);
	if (r < 0)
		return r;
	return chdir("/") < 0 ? -errno : 0;
}

int namespaces_own(bool network)
{
	/* The cgroup namespace first, so that it belongs to the user namespace above: then no
	 * cgroup file system can be mounted from inside. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return -errno;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		    (network ? CLONE_NEWNET : 0)) < 0)
		return -errno;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int loopback_raise(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (socket_fd < 0)
		return -errno;
	if (ioctl(socket_fd, SIOCGIFFLAGS, &request) < 0)
		r = -errno;
	request.ifr_flags |= IFF_UP;
	if (r == 0 && ioctl(socket_fd, SIOCSIFFLAGS, &request) < 0)
		r = -errno;
	close(socket_fd);
	return r;
}

static int sysctl_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

#define NUMBER_SIZE 16

static const char *number_text(char text[static NUMBER_SIZE], unsigned number)
{
	char *p = text + NUMBER_SIZE - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return p;
}

/* What an isolate needs no second of. User namespaces above all: a nested one would give a tenant all
 * capabilities in it, and with them the kernel's less tested code. */
static int namespaces_limit(unsigned isolates)
{
	static const char *const none[] = {
		"/proc/sys/user/max_user_namespaces",
		"/proc/sys/user/max_net_namespaces",
		"/proc/sys/user/max_ipc_namespaces",
		"/proc/sys/user/max_uts_namespaces",
		"/proc/sys/user/max_cgroup_namespaces",
		"/proc/sys/user/max_time_namespaces",
	};
	char text[NUMBER_SIZE];
	const char *number = number_text(text, isolates);
	int r = 0;

	for (size_t i = 0; i < array_size(none) && r == 0; i++)
		r = sysctl_write(none[i], "0");
	if (r == 0)
		r = sysctl_write("/proc/sys/user/max_mnt_namespaces", number);
	return r < 0 ? r : sysctl_write("/proc/sys/user/max_pid_namespaces", number);
}

/* RESERVED_PIDS of the kernel's pid.c: once the numbers are used up it starts again here, not at 1, so
 * that those below are given out once. A limit of 301 would leave a single number after 300 forks. */
#define TASKS_RESERVED 300

int namespaces_limit_tasks(unsigned tasks)
{
	char text[NUMBER_SIZE];
	int r = sysctl_write("/proc/sys/kernel/pid_max", number_text(text, TASKS_RESERVED + tasks));

	/* Older kernels know one number for the whole machine and refuse. */
	return r == -EACCES || r == -EPERM ? 0 : r;
}

/* By system calls, for a clone that has one thread: no snprintf(), which may take a lock. */
int namespaces_make_tmp(unsigned megabytes)
{
	char options[64] = "mode=1777,nr_inodes=65536,size=", text[NUMBER_SIZE];

	strcat(strcat(options, number_text(text, megabytes)), "m");
	return mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

int namespaces_furnish(bool network, unsigned isolates)
{
	int r = network ? loopback_raise() : 0;

	if (r == 0 && sethostname("localhost", 9) < 0)
		r = -errno;
	return r < 0 ? r : namespaces_limit(isolates);
}
