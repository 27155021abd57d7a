/*
 * languages.c - see languages.h.
 */
#include "cli/languages.h"
#include "cli/outcome.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the folder is, seen from the program's: in a build, and in an installation. */
static const char *const places[] = { "runtimes", "../lib/polyvisor/runtimes" };

static void dir_done(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int languages_find(char **ret, struct err *e)
{
	const char *given = getenv("POLYVISOR_RUNTIMES");
	char program[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n;

	if (given && *given) {
		*ret = realpath(given, NULL);
		return *ret ? 0
			    : err_errno(e, -errno,
				      "POLYVISOR_RUNTIMES names %s, which cannot be used", given);
	}
	n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (n < 0)
		return err_errno(e, -errno, "the program's own folder cannot be found");
	program[n] = '\0';
	*strrchr(program, '/') = '\0';
	for (size_t i = 0; i < array_size(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", program, places[i]);
		*ret = realpath(path, NULL);
		if (*ret)
			return 0;
	}
	return err_set(e, -ENOENT,
		"the languages' folders are not beside %s: name their folder in POLYVISOR_RUNTIMES",
		program);
}

static int load(const char *folder, const char *name, json_t **ret, struct err *e)
{
	_cleanup_free_ char *path = NULL, *home = NULL;
	json_error_t where;
	json_t *manifest;

	if (asprintf(&home, "%s/%s", folder, name) < 0) {
		home = NULL; /* undefined after a failure */
		return -ENOMEM;
	}
	if (asprintf(&path, "%s/manifest.json", home) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	manifest = json_load_file(path, 0, &where);
	if (!manifest)
		return err_set(e, OUTCOME_USAGE, "there is no usable manifest of runtime %s: %s",
			name, where.text);
	if (json_object_set_new(manifest, "folder", json_string(home)) != 0) {
		json_decref(manifest);
		return -EINVAL;
	}
	*ret = manifest;
	return 0;
}

int languages_load(const char *name, json_t **ret, struct err *e)
{
	_cleanup_free_ char *folder = NULL;
	int r = languages_find(&folder, e);

	if (r != 0)
		return r;
	if (!*name || strchr(name, '/') || name[0] == '.')
		return err_set(e, OUTCOME_USAGE, "%s is no name of a runtime", name);
	return load(folder, name, ret, e);
}

int languages_load_all(json_t **ret, struct err *e)
{
	_cleanup_free_ char *folder = NULL;
	_cleanup_(dir_done) DIR *dir = NULL;
	struct dirent *found;
	json_t *all;
	int r = languages_find(&folder, e);

	if (r != 0)
		return r;
	dir = opendir(folder);
	if (!dir)
		return err_errno(e, -errno, "%s cannot be read", folder);
	all = json_array();
	while (all && (found = readdir(dir))) {
		json_t *manifest = NULL;

		if (found->d_name[0] != '.' && load(folder, found->d_name, &manifest, NULL) == 0 &&
			json_array_append_new(all, manifest) != 0)
			break;
	}
	*ret = all;
	return all ? 0 : -ENOMEM;
}
