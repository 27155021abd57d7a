/*
 * cgroup.c - the groups of functions and isolates, of either version; see cgroup.h.
 */
#include "supervisor/launch/cgroup_parts.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CPU_PERIOD_USEC 100000    /* the kernel's own */
#define TEMPLATE_GROUP "template" /* v2: of the template, and of isolates without a group */

static int open_below(int directory, const char *group, const char *file, int flags)
{
	char path[2 * CGROUP_NAME_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", group, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	directory = openat(directory, path, flags | O_CLOEXEC);
	return directory < 0 ? -errno : directory;
}

int cgroup_write(int directory, const char *group, const char *file, const char *text)
{
	_cleanup_close_ int fd = open_below(directory, group, file, O_WRONLY);

	if (fd < 0)
		return fd;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroup_read(int directory, const char *group, const char *file, char *ret, size_t size)
{
	_cleanup_close_ int fd = open_below(directory, group, file, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

/* The number behind a key at the beginning of a line; with an empty key, the file is one number. */
static uint64_t cgroup_number(int directory, const char *group, const char *file, const char *key)
{
	char text[4096];
	size_t size = strlen(key);

	if (cgroup_read(directory, group, file, text, sizeof(text)) < 0)
		return 0;
	if (!size)
		return strtoull(text, NULL, 10);
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (!strncmp(p, key, size) && p[size] == ' ')
			return strtoull(p + size, NULL, 10);
	return 0;
}

bool cgroup_list_has(const char *list, const char *word)
{
	size_t size = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, " \n"), p += strspn(p, " \n"))
		if (strcspn(p, " \n") == size && !strncmp(p, word, size))
			return true;
	return false;
}

/* The supervisor's group in the hierarchy of a controller that is there. */
static int parent_of(const struct cgroups *cgroups, enum cgroup_controller controller)
{
	return cgroups->hierarchies[cgroups->places[controller]].parent;
}

int cgroup_remove_tree(int directory, const char *name, int depth)
{
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!listing) {
		int r = -errno;

		fd_close(fd);
		return r == -ENOENT ? 0 : r;
	}
	while (depth > 0 && (entry = readdir(listing)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)cgroup_remove_tree(fd, entry->d_name, depth - 1);
	closedir(listing);
	return unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_everywhere(const struct cgroups *cgroups, const char *name)
{
	int r, result = 0;

	for (size_t i = 0; i < cgroups->hierarchy_count; i++) {
		r = cgroup_remove_tree(cgroups->hierarchies[i].parent, name, 1);
		if (r < 0)
			result = r;
	}
	return result;
}

/* v2: the groups below hand nothing on, so they may have processes. */
static int make_leaves(const struct cgroups *cgroups, const char *name, uid_t uid)
{
	int parent = cgroups->hierarchies[0].parent, r;
	char path[2 * CGROUP_NAME_MAX], text[16];

	snprintf(path, sizeof(path), "%s/" TEMPLATE_GROUP, name);
	if (mkdirat(parent, path, 0755) < 0)
		return -errno;
	for (int i = 0; i < CGROUP_CPU; i++) {
		snprintf(text, sizeof(text), "+%s", cgroup_controller_names[i]);
		r = cgroups_have(cgroups, i)
			    ? cgroup_write(parent, name, "cgroup.subtree_control", text)
			    : 0;
		if (r < 0)
			return r;
	}
	if (uid == (uid_t)-1)
		return 0;
	/* Who makes a child in another group must be allowed to move it there from its own. */
	snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	return fchownat(parent, path, uid, (gid_t)-1, 0) < 0 ? -errno : 0;
}

int cgroup_make(const struct cgroups *cgroups, const char *name, uid_t uid)
{
	for (size_t i = 0; i < cgroups->hierarchy_count; i++)
		if (mkdirat(cgroups->hierarchies[i].parent, name, 0755) < 0)
			return -errno;
	return cgroups->version == CGROUP_V2 ? make_leaves(cgroups, name, uid) : 0;
}

static int limit_memory(const struct cgroups *cgroups, const char *name, uint64_t bytes)
{
	const struct cgroup_files *files = cgroups->files;
	int parent = parent_of(cgroups, CGROUP_MEMORY), r;
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	r = cgroup_write(parent, name, files->memory_limit, text);
	/* The limit of memory may not be above that of memory and swap, nor that below this one. */
	if (r < 0 && files->swap_is_sum && cgroup_write(parent, name, files->swap_limit, text) == 0)
		r = cgroup_write(parent, name, files->memory_limit, text);
	if (r < 0)
		return r;
	r = cgroup_write(parent, name, files->swap_limit, files->swap_is_sum ? text : "0");
	return r == -ENOENT ? 0 : r; /* the kernel does not account for swap */
}

static int limit_cpu(const struct cgroups *cgroups, const char *name, uint32_t percent)
{
	char text[32];
	int n = snprintf(
		text, sizeof(text), "%" PRIu64, (uint64_t)percent * (CPU_PERIOD_USEC / 100));

	if (!percent)
		return 0;
	if (cgroups->files->cpu_has_period)
		snprintf(text + n, sizeof(text) - (size_t)n, " %d", CPU_PERIOD_USEC);
	return cgroup_write(parent_of(cgroups, CGROUP_CPU), name, cgroups->files->cpu_limit, text);
}

static int limit_processes(const struct cgroups *cgroups, const char *name, uint32_t processes)
{
	char text[16] = "max";

	if (processes)
		snprintf(text, sizeof(text), "%u", processes);
	return cgroup_write(parent_of(cgroups, CGROUP_PIDS), name, "pids.max", text);
}

int cgroup_limit(
	const struct cgroups *cgroups, const char *name, const struct cgroup_limits *limits)
{
	int r = 0;

	if (cgroups_have(cgroups, CGROUP_PIDS))
		r = limit_processes(cgroups, name, limits->processes);
	if (r == 0 && cgroups_have(cgroups, CGROUP_CPU))
		r = limit_cpu(cgroups, name, limits->cpu_percent);
	if (r == 0 && cgroups_have(cgroups, CGROUP_MEMORY))
		r = limit_memory(cgroups, name, limits->memory_bytes);
	return r;
}

int cgroup_give_way(const struct cgroups *cgroups, const char *name, bool give_way)
{
	const struct cgroup_files *files = cgroups->files;

	if (!cgroups_have(cgroups, CGROUP_CPU))
		return -ENOENT;
	return cgroup_write(parent_of(cgroups, CGROUP_CPU), name, files->weight,
		give_way ? files->weight_small : files->weight_usual);
}

int cgroup_open(const struct cgroups *cgroups, const char *name, struct cgroup_entry *ret)
{
	bool directory = cgroups->version == CGROUP_V2;
	struct cgroup_entry entry = { .directory = directory };

	for (size_t i = 0; i < cgroups->hierarchy_count; i++) {
		int fd = open_below(cgroups->hierarchies[i].parent, name,
			directory ? TEMPLATE_GROUP : cgroups->files->enter,
			directory ? O_RDONLY | O_DIRECTORY : O_WRONLY);

		if (fd < 0) {
			cgroup_entry_close(&entry);
			return fd;
		}
		entry.fds[entry.count++] = fd;
	}
	*ret = entry;
	return 0;
}

void cgroup_entry_close(struct cgroup_entry *entry)
{
	while (entry->count > 0)
		fd_close(entry->fds[--entry->count]);
}

/*
 * For a function template, which is hostile: enough to make a child in the group. As a mount of its own
 * it has no ".." to climb by, to the groups of other functions, of the supervisor and of the machine;
 * and it is read-only, for where there is no root all of them are of one user.
 */
static int open_for_guests(int directory, const char *path)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
						     MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	int fd = (int)syscall(SYS_open_tree, directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) == 0)
		return fd;
	fd_close(fd);
	return -errno;
}

int cgroup_make_isolate(const struct cgroups *cgroups, const char *name, uint32_t number, uid_t uid,
	const struct cgroup_limits *limits)
{
	int parent = cgroups->hierarchies[0].parent, r;
	char path[2 * CGROUP_NAME_MAX], procs[3 * CGROUP_NAME_MAX];

	snprintf(path, sizeof(path), "%s/%u", name, number);
	if (mkdirat(parent, path, 0755) < 0 && errno != EEXIST)
		return -errno;
	r = cgroup_limit(cgroups, path, limits);
	/* An isolate is one thing: half of it killed would be a surprise. */
	if (r == 0 && cgroups_have(cgroups, CGROUP_MEMORY))
		r = cgroup_write(parent, path, "memory.oom.group", "1");
	if (r < 0)
		return r;
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	if (uid != (uid_t)-1 && fchownat(parent, procs, uid, (gid_t)-1, 0) < 0)
		return -errno;
	return open_for_guests(parent, path);
}

int cgroup_remove(const struct cgroups *cgroups, const char *name)
{
	/* Whoever is in it has been killed already; this spares the wait where it is there. */
	if (cgroups->version == CGROUP_V2)
		cgroup_write(cgroups->hierarchies[0].parent, name, "cgroup.kill", "1");
	return remove_everywhere(cgroups, name);
}

uint64_t cgroup_oom_kills(const struct cgroups *cgroups, const char *name)
{
	if (!cgroups_have(cgroups, CGROUP_MEMORY))
		return 0;
	return cgroup_number(
		parent_of(cgroups, CGROUP_MEMORY), name, cgroups->files->oom_file, "oom_kill");
}

void cgroup_measure(const struct cgroups *cgroups, const char *name, struct cgroup_figures *ret)
{
	const struct cgroup_files *files = cgroups->files;

	*ret = (struct cgroup_figures){ .oom_kills = cgroup_oom_kills(cgroups, name) };
	if (cgroups_have(cgroups, CGROUP_MEMORY))
		ret->charged = cgroup_number(
			parent_of(cgroups, CGROUP_MEMORY), name, files->memory_usage, "");
	if (cgroups_have(cgroups, CGROUP_PIDS))
		ret->process_refusals =
			cgroup_number(parent_of(cgroups, CGROUP_PIDS), name, "pids.events", "max");
	if (cgroups_have(cgroups, files->usage_of))
		ret->cpu_usec = cgroup_number(parent_of(cgroups, files->usage_of), name,
					files->usage_file, files->usage_key) /
				files->usage_per_usec;
	if (cgroups_have(cgroups, CGROUP_CPU))
		ret->cpu_throttled_usec = cgroup_number(parent_of(cgroups, CGROUP_CPU), name,
						  "cpu.stat", files->throttled_key) /
					  files->throttled_per_usec;
}
