/*
 * root.c - see root.h. Runs in the spawner, which has one thread, and in its children.
 */
#include "supervisor/launch/root.h"

#include "base/fd.h"

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
#include <unistd.h>

/* Shown at the same path where the host has them. Patterns, since versions are part of some names.
 */
static const char *const root_binds[] = {
	"/usr",
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
	"/dev/null",
	"/dev/zero",
	"/dev/full",
	"/dev/random",
	"/dev/urandom",
};

static const char *const root_directories[] = {
	"/dev",
	"/etc",
	"/opt",
	"/proc",
	"/run",
	"/tmp",
	"/var",
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

static int root_bind_pattern(const struct root_spec *spec, const char *pattern, struct err *e)
{
	glob_t found;
	int r = 0;

	if (glob(pattern, 0, NULL, &found) != 0)
		return 0;
	for (size_t i = 0; i < found.gl_pathc && r == 0; i++)
		r = root_bind(spec, found.gl_pathv[i], found.gl_pathv[i], e);
	globfree(&found);
	return r;
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

static int root_make_skeleton(const struct root_spec *spec, struct err *e)
{
	char path[PATH_MAX];
	int r = 0;

	if (mount("root", spec->mount_point, "tmpfs", MS_NOSUID, "mode=755,size=1m") < 0)
		return err_errno(e, -errno, "cannot mount a root at %s", spec->mount_point);
	for (size_t i = 0; i < array_size(root_directories) && r == 0; i++) {
		r = root_path(spec, root_directories[i], path);
		if (r == 0 && mkdir(path, 0755) < 0)
			r = -errno;
	}
	for (size_t i = 0; i < array_size(root_links) && r == 0; i++) {
		r = root_path(spec, root_links[i].name, path);
		if (r == 0 && symlink(root_links[i].target, path) < 0)
			r = -errno;
	}
	for (size_t i = 0; i < array_size(root_files) && r == 0; i++)
		r = root_write(spec, root_files[i].name, root_files[i].text);
	return r < 0 ? err_errno(e, r, "cannot fill the root at %s", spec->mount_point) : 0;
}

static int root_bind_runtimes(const struct root_spec *spec, struct err *e)
{
	char pattern[PATH_MAX], name[PATH_MAX];
	glob_t found;
	int r = 0;

	snprintf(pattern, sizeof(pattern), "%s/*/manifest.json", spec->runtimes);
	if (glob(pattern, 0, NULL, &found) != 0)
		return err_set(e, -ENOENT, "no runtime is in %s", spec->runtimes);
	for (size_t i = 0; i < found.gl_pathc && r == 0; i++) {
		char *directory = found.gl_pathv[i];

		*strrchr(directory, '/') = '\0';
		snprintf(name, sizeof(name), "/var/runtime%s", strrchr(directory, '/'));
		r = root_bind(spec, directory, name, e);
	}
	globfree(&found);
	return r < 0 ? r : root_bind(spec, spec->library, "/var/runtime/lib", e);
}

int root_prepare(const struct root_spec *spec, struct err *e)
{
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(e, -errno, "cannot make the mounts private");
	r = root_make_skeleton(spec, e);
	for (size_t i = 0; i < array_size(root_binds) && r == 0; i++)
		r = root_bind_pattern(spec, root_binds[i], e);
	for (size_t i = 0; i < ROOT_EXTRA_MAX && spec->extra[i] && r == 0; i++)
		r = root_bind(spec, spec->extra[i], spec->extra[i], e);
	if (r == 0)
		r = root_bind_runtimes(spec, e);
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
