/*
 * cgroups.c - the supervisor's own control group, from the search for a place to its removal; see
 * cgroup.h.
 */
#include "supervisor/launch/cgroup_parts.h"

#include "base/fd.h"
#include "base/usec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_LIMIT (500 * USEC_PER_MSEC)
#define END_CHECK_USEC 2000

const char *const cgroup_controller_names[CGROUP_CONTROLLERS] = { "memory", "pids", "cpu",
	"cpuacct" };

enum cgroup_version cgroups_version(const struct cgroups *cgroups)
{
	return cgroups->version;
}

bool cgroups_have(const struct cgroups *cgroups, enum cgroup_controller controller)
{
	return cgroups->places[controller] >= 0;
}

static void hierarchy_close(struct cgroup_hierarchy *h)
{
	h->base = fd_close(h->base);
	h->parent = fd_close(h->parent);
}

/* Between mkdir and flock another supervisor may take it for abandoned: then it is made again. */
static int make_parent(int base, const char *name)
{
	for (;;) {
		_cleanup_close_ int fd = -1;
		struct stat ours, there;

		if (mkdirat(base, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
			continue;
		if (fstat(fd, &ours) == 0 && fstatat(base, name, &there, 0) == 0 &&
			there.st_ino == ours.st_ino)
			return take_fd(&fd);
	}
}

int cgroup_add_hierarchy(struct cgroups *cgroups, const char *path, struct err *e)
{
	struct cgroup_hierarchy *h = &cgroups->hierarchies[cgroups->hierarchy_count];
	int r;

	for (size_t i = 0; i < cgroups->hierarchy_count; i++)
		if (!strcmp(cgroups->hierarchies[i].path, path))
			return (int)i;
	h->base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->base < 0)
		return err_errno(e, -errno, "cannot open the control group %s", path);
	r = make_parent(h->base, cgroups->name);
	if (r < 0) {
		h->base = fd_close(h->base);
		return err_errno(e, r, "cannot make a control group in %s", path);
	}
	h->parent = r;
	snprintf(h->path, sizeof(h->path), "%s", path);
	return (int)cgroups->hierarchy_count++;
}

static void cgroups_reset(struct cgroups *cgroups)
{
	for (size_t i = 0; i < cgroups->hierarchy_count; i++) {
		unlinkat(cgroups->hierarchies[i].base, cgroups->name, AT_REMOVEDIR);
		hierarchy_close(&cgroups->hierarchies[i]);
	}
	cgroups->hierarchy_count = 0;
	cgroups->version = CGROUP_NONE;
	cgroups->files = NULL;
	cgroups->why[0] = '\0';
	for (int i = 0; i < CGROUP_CONTROLLERS; i++)
		cgroups->places[i] = -1;
}

static bool v2_offers_something(void)
{
	char path[PATH_MAX], text[256];

	if (cgroup_find_own(NULL, path, NULL) < 0 ||
		cgroup_read(AT_FDCWD, path, "cgroup.controllers", text, sizeof(text)) < 0)
		return false;
	return cgroup_list_has(text, "memory") || cgroup_list_has(text, "pids");
}

/* The better one of what there is. Without control groups the supervisor works, and says so. */
static void start_best(struct cgroups *cgroups)
{
	struct err e = { 0 };

	if (v2_offers_something()) {
		if (cgroup_v2_start(cgroups, &e) == 0 &&
			(cgroups_have(cgroups, CGROUP_MEMORY) ||
				cgroups_have(cgroups, CGROUP_PIDS)))
			return;
		if (!e.code)
			err_set(&e, -ENOENT, "%s", cgroups->why);
	} else if (cgroup_v1_start(cgroups, &e) == 0) {
		return;
	}
	cgroups_reset(cgroups);
	snprintf(cgroups->why, sizeof(cgroups->why), "%.250s", e.text);
}

static int start_wanted(struct cgroups *cgroups, const char *wanted, struct err *e)
{
	if (!strcmp(wanted, "v1"))
		return cgroup_v1_start(cgroups, e);
	if (!strcmp(wanted, "v2"))
		return cgroup_v2_start(cgroups, e);
	if (!strcmp(wanted, "none"))
		snprintf(cgroups->why, sizeof(cgroups->why), "they are not wanted");
	else if (!strcmp(wanted, "auto"))
		start_best(cgroups);
	else
		return err_set(
			e, -EINVAL, "--cgroups takes auto, v2, v1 or none, not \"%s\"", wanted);
	return 0;
}

int cgroups_new(const char *wanted, struct cgroups **ret, struct err *e)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	uint64_t random = 0;
	int r;

	if (!cgroups || getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		free(cgroups);
		return err_errno(e, -ENOMEM, "cannot look for control groups");
	}
	snprintf(cgroups->name, sizeof(cgroups->name), CGROUP_PREFIX "%016" PRIx64, random);
	cgroups_reset(cgroups);
	r = start_wanted(cgroups, wanted, e);
	if (r < 0) {
		cgroups_reset(cgroups);
		free(cgroups);
		return r;
	}
	*ret = cgroups;
	return 0;
}

struct cgroups *cgroups_free(struct cgroups *cgroups)
{
	usec_t until = usec_monotonic() + END_LIMIT;

	if (!cgroups)
		return NULL;
	/* What was killed is gone in milliseconds. What is not is swept by the next supervisor. */
	for (size_t i = 0; i < cgroups->hierarchy_count; i++) {
		struct cgroup_hierarchy *h = &cgroups->hierarchies[i];

		/* Only from inside v1's groups is there a way out (weigh()). */
		if (cgroups->files->enter)
			cgroup_write(h->base, ".", cgroups->files->enter, "0");
		while (cgroup_remove_tree(h->base, cgroups->name, 2) < 0 &&
			usec_monotonic() < until)
			usleep(END_CHECK_USEC);
		hierarchy_close(h);
	}
	free(cgroups);
	return NULL;
}

/* A group whose lock can be had has no supervisor any more. */
static int sweep_one(const struct cgroup_hierarchy *h, const char *name)
{
	_cleanup_close_ int fd = openat(h->base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	return cgroup_remove_tree(h->base, name, 2);
}

int cgroups_sweep(const struct cgroups *cgroups)
{
	struct dirent *entry;
	int result = 0;

	for (size_t i = 0; i < cgroups->hierarchy_count; i++) {
		const struct cgroup_hierarchy *h = &cgroups->hierarchies[i];
		int fd = openat(h->base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *listing = fd < 0 ? NULL : fdopendir(fd);

		if (!listing) {
			fd_close(fd);
			continue;
		}
		while ((entry = readdir(listing)))
			if (!strncmp(entry->d_name, CGROUP_PREFIX, strlen(CGROUP_PREFIX)) &&
				strcmp(entry->d_name, cgroups->name) &&
				sweep_one(h, entry->d_name) < 0)
				result = -EBUSY;
		closedir(listing);
	}
	return result;
}

static void describe_list(const struct cgroups *cgroups, bool there, char *ret, size_t size)
{
	const char *const words[] = { "memory", "processes", "cpu" };
	size_t n = 0;

	*ret = '\0';
	for (int i = 0; i <= CGROUP_CPU; i++)
		if (cgroups_have(cgroups, i) == there && n < size)
			n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "", words[i]);
}

void cgroups_describe(const struct cgroups *cgroups, char ret[static CGROUPS_TEXT_MAX])
{
	char have[64], lack[64];

	describe_list(cgroups, true, have, sizeof(have));
	describe_list(cgroups, false, lack, sizeof(lack));
	if (!*have)
		snprintf(ret, CGROUPS_TEXT_MAX,
			"No control groups limit functions (%s): memory is only watched, so that "
			"it "
			"can be exceeded for a moment and by what no process has open or mapped; "
			"nothing limits the cpu, and processes are limited by user id only.",
			cgroups->why);
	else
		snprintf(ret, CGROUPS_TEXT_MAX,
			"Control groups (v%d) limit %s of each function%s%s%s%s%s%s.",
			cgroups->version == CGROUP_V2 ? 2 : 1, have,
			cgroups->version == CGROUP_V2
				? " and of each isolate"
				: "; the memory of a single isolate is watched ten times a second, "
				  "so that it can be exceeded for that long",
			*lack ? ", but not " : "", lack, *lack ? " (" : "",
			*lack ? cgroups->why : "", *lack ? ")" : "");
}
