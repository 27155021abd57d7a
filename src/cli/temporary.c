/*
 * temporary.c - see temporary.h.
 */
#include "cli/temporary.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

int temporary_make(const char *prefix, char **ret, struct err *e)
{
	const char *parent = getenv("TMPDIR");
	char *path;

	if (!parent || !*parent)
		parent = "/tmp";
	if (asprintf(&path, "%s/%sXXXXXX", parent, prefix) < 0)
		return -ENOMEM;
	if (!mkdtemp(path)) {
		int failed = -errno;

		err_errno(e, failed, "no temporary folder can be made in %s", parent);
		free(path);
		return failed;
	}
	*ret = path;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	remove(path);
	return 0;
}

void temporary_remove(char *path)
{
	if (path)
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(path);
}
