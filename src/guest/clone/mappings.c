/*
 * mappings.c - memory that a fork would not copy, or would not make private.
 *
 * V8 marks its heap MADV_DONTFORK, so a fork would lack it. Memory that is shared and writable
 * would stay one memory for the template and all its clones, which then corrupt each other.
 */
#include "guest/clone/template.h"

#include "guest/clone/procfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct mapping {
	char *start;
	size_t size;
	bool readable, writable, shared;
	const char *name; /* "" for anonymous memory */
};

/* A line is "start-end rwxp offset device inode     name". */
static bool mapping_parse(char *line, struct mapping *ret)
{
	char *at;
	unsigned long start = strtoul(line, &at, 16), end;

	if (*at != '-')
		return false;
	end = strtoul(at + 1, &at, 16);
	if (*at != ' ' || strlen(at) < 5)
		return false;
	*ret = (struct mapping){
		.start = (char *)start,
		.size = end - start,
		.readable = at[1] == 'r',
		.writable = at[2] == 'w',
		.shared = at[4] == 's',
	};
	at += 5;
	for (int i = 0; i < 3; i++) { /* offset, device, inode */
		at += strspn(at, " ");
		at += strcspn(at, " ");
	}
	ret->name = at + strspn(at, " ");
	return true;
}

static bool is_kernels_own(const struct mapping *m)
{
	return m->name[0] == '[' && (m->name[1] == 'v'); /* vvar, vdso, vsyscall */
}

static int mapping_check(const struct mapping *m, struct err *e)
{
	if (!m->shared) {
		if (!is_kernels_own(m))
			madvise(m->start, m->size, MADV_DOFORK);
		return 0;
	}
	if (!m->writable)
		return 0;
	return err_set(e, -EBUSY,
		"Memory at %p (%zu KB, %s) is shared and writable, so that clones would write into "
		"each other's; unmap it before the template is parked",
		(void *)m->start, m->size >> 10, m->name[0] ? m->name : "anonymous");
}

int mappings_survey(struct clone_template *t, struct err *e)
{
	_cleanup_lines_ struct procfs_lines lines = { .fd = -1 };
	struct mapping mapping;
	char *line;
	int r = procfs_lines_open(&lines, &t->arena, "/proc/self/maps");

	if (r < 0)
		return err_errno(e, r, "Cannot read /proc/self/maps");
	while ((line = procfs_lines_next(&lines))) {
		if (mapping_parse(line, &mapping))
			r = mapping_check(&mapping, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int mappings_copy(const struct clone_template *t)
{
	(void)t;
	return 0;
}
