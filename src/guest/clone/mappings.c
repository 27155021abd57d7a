/*
 * mappings.c - memory that a fork would not copy, or would not make private.
 *
 * V8 marks its heap MADV_DONTFORK, so a fork would lack it. Memory that is shared and writable
 * would stay one memory for the template and all its clones, which then corrupt each other: a small
 * one that nothing but the process itself can reach (a semaphore of Python's multiprocessing, say)
 * is given to each clone as a copy, and anything else is an error.
 */
#include "guest/clone/mappings.h"

#include "guest/clone/descriptors.h"
#include "guest/clone/procfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define COPIES_MAX ((size_t)256 << 10) /* in all: each clone pays for it */

/* Shared memory that a clone gets a copy of. */
struct private_copy {
	struct private_copy *next;
	char *start;
	size_t size;
	char content[];
};

/* A line is "start-end rwxp offset device inode     name". */
bool mapping_parse(char *line, struct mapping *ret, const char **ret_name)
{
	char *at;
	unsigned long start = strtoul(line, &at, 16), end, major_number;

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
		.executable = at[3] == 'x',
		.shared = at[4] == 's',
		.name = "",
	};
	ret->offset = strtoull(at + 5, &at, 16);
	major_number = strtoul(at, &at, 16);
	if (*at != ':')
		return false;
	ret->device = makedev(major_number, strtoul(at + 1, &at, 16));
	ret->inode = strtoul(at, &at, 10);
	*ret_name = at + strspn(at, " ");
	ret->is_kernels = strncmp(*ret_name, "[v", 2) == 0;
	ret->is_stack = strncmp(*ret_name, "[stack", 6) == 0;
	return true;
}

/* A library's zero-initialised data is the anonymous memory right behind its other data. */
static bool is_image(const struct mappings *m, const struct mapping *new, const char *name)
{
	const struct mapping *before = m->count ? &m->all[m->count - 1] : NULL;

	if (new->shared)
		return false;
	if (name[0] == '/')
		return true;
	return !name[0] && before && before->is_image && before->writable &&
	       before->start + before->size == new->start;
}

static int mapping_add(struct arena *a, struct mappings *m, char *line)
{
	struct mapping new;
	const char *name;
	char *copy;

	if (!mapping_parse(line, &new, &name))
		return 0;
	if (!arena_grow(a, (void **)&m->all, &m->capacity, m->count, sizeof(new)))
		return -ENOMEM;
	new.is_image = is_image(m, &new, name);
	if (new.shared &&new.writable &&*name) {
		copy = arena_alloc(a, strlen(name) + 1);
		if (!copy)
			return -ENOMEM;
		new.name = strcpy(copy, name);
	}
	m->all[m->count++] = new;
	return 0;
}

int mappings_read(struct arena *a, struct mappings *ret)
{
	_cleanup_lines_ struct procfs_lines lines = { .fd = -1 };
	int r = procfs_lines_open(&lines, a, "/proc/thread-self/maps");
	char *line;

	while (r == 0 && (line = procfs_lines_next(&lines)))
		r = mapping_add(a, ret, line);
	return r;
}

/* Whether another mapping shows the same bytes of the same file. */
static bool has_alias(const struct mappings *m, const struct mapping *x)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct mapping *other = &m->all[i];

		if (other == x || other->inode != x->inode || other->device != x->device)
			continue;
		if (other->offset < x->offset + x->size && x->offset < other->offset + other->size)
			return true;
	}
	return false;
}

static bool has_descriptor(const struct survey *s, const struct mapping *x)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->all[i].inode == x->inode && s->all[i].device == x->device)
			return true;
	return false;
}

/*
 * Anonymous, or a file that has no name and is not open either; the rest has meanings of its own.
 * (The kernel calls a named POSIX semaphore deleted too, since sem_open() maps it under another
 * name first. A clone's copy of it is cut off from that name, which is noted.)
 */
static bool is_reachable_here_only(
	const struct clone_template *t, const struct mappings *m, const struct mapping *x)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(x->name);

	if (length < sizeof(deleted) || strcmp(x->name + length - strlen(deleted), deleted) != 0)
		return false;
	if (strncmp(x->name, "/SYSV", 5) == 0 || strncmp(x->name, "/[aio]", 6) == 0)
		return false;
	return !has_alias(m, x) && !has_descriptor(t->survey, x);
}

static int copy_record(struct clone_template *t, const struct mapping *x)
{
	struct private_copy *copy = arena_alloc(&t->arena, sizeof(*copy) + x->size);

	if (!copy)
		return -ENOMEM;
	copy->start = x->start;
	copy->size = x->size;
	memcpy(copy->content, x->start, x->size);
	copy->next = t->copies;
	t->copies = copy;
	t->copies_size += x->size;
	return 0;
}

static int shared_check(
	struct clone_template *t, const struct mappings *m, const struct mapping *x, struct err *e)
{
	if (x->readable && x->size <= COPIES_MAX - t->copies_size &&
		is_reachable_here_only(t, m, x)) {
		int r = copy_record(t, x);

		if (strncmp(x->name, "/dev/zero", 9) != 0)
			template_note(
				t, "Shared memory %s: each clone has a copy of its own", x->name);
		return r < 0 ? err_described(e, r, "Cannot record shared memory") : 0;
	}
	return err_set(e, -EBUSY,
		"Memory at %p (%zu KB, %s) is shared and writable, so that clones would write into "
		"each other's; it must be unmapped before the template is parked",
		(void *)x->start, x->size >> 10, x->name[0] ? x->name : "anonymous");
}

int mappings_survey(struct clone_template *t, struct err *e)
{
	struct mappings m = { 0 };
	int r = mappings_read(&t->arena, &m);

	if (r < 0)
		return err_described(e, r, "Cannot read /proc/self/maps");
	for (size_t i = 0; i < m.count; i++) {
		const struct mapping *x = &m.all[i];

		/* Refused for memory of a device, which a fork has no business with either. */
		if (!x->shared && !x->is_kernels)
			madvise(x->start, x->size, MADV_DOFORK);
		if (x->shared && x->writable)
			r = shared_check(t, &m, x, e);
		if (r < 0)
			return r;
	}
	return mutexes_survey(t, &m, e);
}

int mappings_copy(const struct clone_template *t)
{
	for (const struct private_copy *c = t->copies; c; c = c->next) {
		long r = raw_syscall(SYS_mmap, c->start, c->size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		if (r < 0 && r > -4096)
			return (int)r;
		memcpy(c->start, c->content, c->size);
	}
	return 0;
}
