/*
 * package.h - what `deploy` uploads: the zip made of a file or a folder, or the zip or jar as it
 * is.
 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"

#include <fts.h>
#include <stdbool.h>

#define PACKAGE_UNPACKED_MAX                                                                       \
	(250UL << 20) /* as the supervisor has it; refused here before the work */

enum package_kind {
	PACKAGE_FILE,
	PACKAGE_FOLDER,
	PACKAGE_ARCHIVE, /* a zip by its first bytes, which a jar is too */
};

struct package {
	struct buffer zip;
	size_t files;
	uint64_t unpacked;
};

/* Looks at the files on the way. Paths are relative to the root of the package. */
struct package_visitor {
	bool (*wants)(void *context, const char *path);
	/* At most the first PACKAGE_PEEK bytes of a wanted file. 0 or a failure, which ends all. */
	int (*take)(void *context, const char *path, const char *data, size_t size, struct err *e);
	void *context;
};

#define PACKAGE_PEEK (1UL << 20)

void package_done(struct package *package);
#define _cleanup_package_ _cleanup_(package_done)

int package_find_kind(const char *path, enum package_kind *ret, struct err *e) MUST_CHECK;

/* `compiled`: NULL, or a folder whose files belong to the package as well. */
int package_read(const char *path, enum package_kind kind, const char *compiled,
	const struct package_visitor *visitor, struct package *ret, struct err *e) MUST_CHECK;

/* For other walks through folders: the order, and which folders are none of the package. */
int package_compare_names(const FTSENT **a, const FTSENT **b);
bool package_skips(const FTSENT *folder);
