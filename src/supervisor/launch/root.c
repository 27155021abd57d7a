/*
 * root.c - see root.h. Runs in the spawner, which has one thread, and in its children.
 */
#include "supervisor/launch/root.h"

#include "base/fd.h"
#include "supervisor/launch/root_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define COPIES_MAX ((size_t)8 << 20) /* of the 16 MB that the root may take */

/* Of /etc, functions get copies of these, where the host has them. Patterns, since versions are part
 * of some names. */
static const char *const root_copies[] = {
	"/etc/ssl",
	"/etc/ca-certificates",
	"/etc/alternatives",
	"/etc/java-*-openjdk",
	"/etc/python3*",
	"/etc/fonts",
	"/etc/ImageMagick-*",
	"/etc/ld.so.cache",
	"/etc/localtime",
	"/etc/mime.types",
	"/etc/nsswitch.conf",
	"/etc/protocols",
	"/etc/services",
};

static const struct {
	const char *name;
	unsigned minor; /* of the memory devices, Documentation/admin-guide/devices.txt */
} root_devices[] = {
	{ "/dev/null", 3 },
	{ "/dev/zero", 5 },
	{ "/dev/full", 7 },
	{ "/dev/random", 8 },
	{ "/dev/urandom", 9 },
};

static const char *const root_directories[] = {
	"/dev",
	"/etc",
	"/opt",
	"/proc",
	"/run",
	"/tmp",
	"/var",
	"/var/lib",
	"/var/lib/polyvisor",
	"/var/runtime",
	"/var/task",
};

static const struct {
	const char *target, *name;
} root_links[] = {
	{ "usr/bin", "/bin" },
	{ "usr/sbin", "/sbin" },
	{ "usr/lib", "/lib" },
	{ "usr/lib32", "/lib32" },
	{ "usr/lib64", "/lib64" },
	{ "/proc/self/fd", "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
	{ "/tmp", "/dev/shm" },
	{ "/tmp", "/var/tmp" },
};

/* The host's own files would tell a tenant about the host's users and neighbours. */
static const struct {
	const char *name, *text;
} root_files[] = {
	{ "/etc/passwd", "root:x:0:0:root:/tmp:/bin/sh\n"
			 "sandbox:x:1000:1000:function:/tmp:/bin/sh\n"
			 "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" },
	{ "/etc/group", "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n" },
	{ "/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n" },
	{ "/etc/hostname", "localhost\n" },
	{ "/etc/resolv.conf",
		"nameserver 100.64.0.53\nnameserver 100.64.0.54\n" }, /* network_rules.h */
};

static int root_path(const struct root_spec *spec, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s%s", spec->mount_point, name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Makes the directories above and at path, which lies below the mount point. */
static int root_make_directories(const struct root_spec *spec, char *path)
{
	for (char *p = path + strlen(spec->mount_point) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int root_make_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : 0;
}

static int root_bind(
	const struct root_spec *spec, const char *source, const char *name, struct err *e)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY };
	char path[PATH_MAX];
	struct stat st;
	int r;

	if (stat(source, &st) < 0)
		return err_errno(e, -errno, "cannot show %s to functions", source);
	r = root_path(spec, name, path);
	if (r == 0)
		r = S_ISDIR(st.st_mode) ? root_make_directories(spec, path) : root_make_file(path);
	if (r < 0)
		return err_errno(e, r, "cannot make the mount point for %s", name);
	if (mount(source, path, NULL, MS_BIND | MS_REC, NULL) < 0)
		return err_errno(e, -errno, "cannot bind %s", source);
	if (S_ISCHR(st.st_mode))
		attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	else
		attributes.attr_set |= MOUNT_ATTR_NODEV;
	if (syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &attributes,
		    sizeof(attributes)) < 0)
		return err_errno(
			e, -errno, "cannot make %s read-only (Linux 5.12 is needed)", name);
	return 0;
}

/* Copies what matches a pattern into a folder of the root, or, without one, to its own path. */
static int root_copy_pattern(const struct root_spec *spec, const char *pattern, const char *folder,
	size_t *room, struct err *e)
{
	char name[PATH_MAX], path[PATH_MAX];
	glob_t found;
	int r = 0;

	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc && r == 0; i++) {
		const char *source = found.gl_pathv[i];

		snprintf(name, sizeof(name), "%s%s", folder ? folder : "",
			folder ? strrchr(source, '/') : source);
		r = root_path(spec, name, path);
		if (r == 0)
			r = root_copy(source, path, room);
		if (r < 0)
			err_errno(e, r, "cannot copy %s into the root of functions", source);
	}
	globfree(&found);
	return r;
}

static int root_copy_all(const struct root_spec *spec, struct err *e)
{
	size_t room = COPIES_MAX;
	char libraries[PATH_MAX];
	int r;

	snprintf(libraries, sizeof(libraries), "%s/*.so", spec->library);
	r = root_copy_pattern(spec, libraries, "/var/lib/polyvisor", &room, e);
	for (size_t i = 0; i < array_size(root_copies) && r == 0; i++)
		r = root_copy_pattern(spec, root_copies[i], NULL, &room, e);
	return r;
}

/* A node of its own needs no mount, but only the host's root may make one. */
static int root_make_device(
	const struct root_spec *spec, const char *name, unsigned number, struct err *e)
{
	char path[PATH_MAX];
	int r = root_path(spec, name, path);

	if (r < 0)
		return err_errno(e, r, "cannot make the device %s", name);
	if (mknod(path, S_IFCHR | 0666, makedev(1, number)) == 0 && chmod(path, 0666) == 0 &&
		access(path, R_OK) == 0)
		return 0;
	unlink(path);
	return root_bind(spec, name, name, e);
}

static int root_write(const struct root_spec *spec, const char *name, const char *text)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r = root_path(spec, name, path);

	if (r < 0)
		return r;
	fd = open(path, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

/* Apart from the rest, so that this is the one place where a device node is one. */
static int root_mount_devices(const struct root_spec *spec)
{
	char path[PATH_MAX];
	int r = root_path(spec, "/dev", path);

	if (r == 0 && mount("dev", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0)
		r = -errno;
	return r;
}

static int root_make_skeleton(const struct root_spec *spec, struct err *e)
{
	char path[PATH_MAX];
	int r = 0;

	if (mount("root", spec->mount_point, "tmpfs", MS_NOSUID, "mode=755,size=16m") < 0)
		return err_errno(e, -errno, "cannot mount a root at %s", spec->mount_point);
	for (size_t i = 0; i < array_size(root_directories) && r == 0; i++) {
		r = root_path(spec, root_directories[i], path);
		if (r == 0 && mkdir(path, 0755) < 0)
			r = -errno;
	}
	if (r == 0)
		r = root_mount_devices(spec);
	for (size_t i = 0; i < array_size(root_links) && r == 0; i++) {
		r = root_path(spec, root_links[i].name, path);
		if (r == 0 && symlink(root_links[i].target, path) < 0)
			r = -errno;
	}
	for (size_t i = 0; i < array_size(root_files) && r == 0; i++)
		r = root_write(spec, root_files[i].name, root_files[i].text);
	return r < 0 ? err_errno(e, r, "cannot fill the root at %s", spec->mount_point) : 0;
}

static int root_make_devices(const struct root_spec *spec, struct err *e)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };
	char path[PATH_MAX];
	int r = root_path(spec, "/dev", path);

	for (size_t i = 0; i < array_size(root_devices) && r == 0; i++)
		r = root_make_device(spec, root_devices[i].name, root_devices[i].minor, e);
	if (r == 0 &&
		syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attributes, sizeof(attributes)) < 0)
		r = err_errno(e, -errno, "cannot make /dev read-only (Linux 5.12 is needed)");
	return r;
}

int root_prepare(const struct root_spec *spec, struct err *e)
{
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(e, -errno, "cannot make the mounts private");
	r = root_make_skeleton(spec, e);
	if (r == 0)
		r = root_copy_all(spec, e);
	if (r == 0)
		r = root_make_devices(spec, e);
	if (r == 0)
		r = root_bind(spec, "/usr", "/usr", e);
	for (size_t i = 0; i < ROOT_EXTRA_MAX && spec->extra[i] && r == 0; i++)
		r = root_bind(spec, spec->extra[i], spec->extra[i], e);
	if (r == 0)
		r = root_bind(spec, spec->runtimes, "/var/runtime", e);
	return r;
}

static int root_mount_proc(const struct root_spec *spec, struct err *e)
{
	char path[PATH_MAX];
	int r = root_path(spec, "/proc", path);

	/* A function template is not to see its init, whose command line is the supervisor's. */
	if (r == 0 &&
		mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2") < 0)
		r = -errno;
	/* A pid namespace that belongs to the user namespace above gets no new one: the runtime
	 * templates of a rootless supervisor use the host's. Functions have one of their own. */
	if (r == -EPERM && mount("/proc", path, NULL, MS_BIND | MS_REC, NULL) == 0)
		r = 0;
	return r < 0 ? err_errno(e, r, "cannot mount /proc for a function") : 0;
}

int root_enter(const struct root_spec *spec, const char *code, const char *resolver, struct err *e)
{
	int r = code ? root_bind(spec, code, "/var/task", e) : 0;

	if (r == 0 && resolver && access(resolver, F_OK) == 0)
		r = root_bind(spec, resolver, "/etc/resolv.conf", e);
	if (r == 0)
		r = root_mount_proc(spec, e);
	if (r < 0)
		return r;
	if (mount(NULL, spec->mount_point, NULL,
		    MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
		return err_errno(e, -errno, "cannot make the root of a function read-only");
	if (chdir(spec->mount_point) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno(e, -errno, "cannot change to the root of a function");
	return 0;
}
