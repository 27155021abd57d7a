/*
 * cgroup_find.c - where this process's own control groups are, see cgroup_parts.h.
 */
#include "supervisor/launch/cgroup_parts.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (1024 * 1024) /* of mountinfo: a machine may have thousands of mounts */

/* Whether a word is in a comma-separated list. */
static bool list_has(const char *list, const char *word)
{
	size_t size = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == size && !strncmp(p, word, size))
			return true;
	return false;
}

/* "/sys/fs/cgroup/a\040b": the kernel writes blanks of paths in octal. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; to++) {
		unsigned c;

		if (*p == '\\' && sscanf(p, "\\%3o", &c) == 1) {
			*to = (char)c;
			p += 4;
		} else {
			*to = *p++;
		}
	}
	*to = '\0';
}

/*
 * One line of mountinfo, cut into words in place:
 * 36 35 98:0 ROOT MOUNTPOINT OPTIONS [OPTIONAL...] - TYPE SOURCE SUPER_OPTIONS
 */
static bool mount_matches(char *line, const char *controller, char **ret_root, char **ret_point)
{
	char *rest = NULL, *word = strtok_r(line, " ", &rest), *type, *options;

	for (int i = 0; word && i < 3; i++)
		word = strtok_r(NULL, " ", &rest);
	*ret_root = word;
	*ret_point = strtok_r(NULL, " ", &rest);
	while (word && strcmp(word, "-"))
		word = strtok_r(NULL, " ", &rest);
	type = strtok_r(NULL, " ", &rest);
	strtok_r(NULL, " ", &rest);
	options = strtok_r(NULL, " ", &rest);
	if (!*ret_point || !options)
		return false;
	unescape(*ret_root);
	unescape(*ret_point);
	return controller ? !strcmp(type, "cgroup") && list_has(options, controller)
			  : !strcmp(type, "cgroup2");
}

/* The path of the own group in /proc/self/cgroup, whose lines are NUMBER:CONTROLLERS:PATH. */
static bool line_matches(char *line, const char *controller, char **ret_path)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

	if (!path)
		return false;
	*list++ = *path++ = '\0';
	*ret_path = path;
	return controller ? list_has(list, controller) : !*list;
}

static int own_path(const char *controller, char path[static PATH_MAX])
{
	_cleanup_free_ char *text = NULL;
	int r = fd_read_file("/proc/self/cgroup", FILE_MAX, &text, NULL);
	char *rest = NULL, *found;

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (!line_matches(line, controller, &found))
			continue;
		snprintf(path, PATH_MAX, "%s", found);
		return 0;
	}
	return -ENOENT;
}

/* A mount may show a part of the tree only: its root is then the beginning of the own path. */
static int join(const char *point, const char *root, const char *own, char path[static PATH_MAX])
{
	size_t size = strcmp(root, "/") ? strlen(root) : 0;
	int n;

	if (strncmp(own, root, size) || (size && own[size] && own[size] != '/'))
		return -ENOENT;
	n = snprintf(path, PATH_MAX, "%s%s", point, own + size);
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (n > 1 && path[n - 1] == '/')
		path[n - 1] = '\0';
	return 0;
}

int cgroup_find_own(const char *controller, char path[static PATH_MAX], struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char own[PATH_MAX];
	char *rest = NULL, *root, *point;
	int r = own_path(controller, own);

	if (r == 0)
		r = fd_read_file("/proc/self/mountinfo", FILE_MAX, &text, NULL);
	if (r < 0)
		return err_errno(e, r, "cannot find the control group of this process");
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (mount_matches(line, controller, &root, &point) &&
			join(point, root, own, path) == 0)
			return 0;
	return err_set(e, -ENOENT, "no control groups of %s%s are mounted here",
		controller ? "version 1 for " : "version 2", controller ? controller : "");
}
