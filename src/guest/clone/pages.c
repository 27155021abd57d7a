/*
 * pages.c - large pages for the memory that clones will share.
 *
 * A fork copies one page-table entry for each page of 4 KB but one for 2 MB that are one page, and
 * what a clone then writes to is still copied by 4 KB. So memory of a template is gathered into
 * pages of 2 MB wherever an aligned window of the address space holds anonymous, private, writable
 * memory only. A window must lie in one mapping, so gaps in it are mapped too: an allocator that
 * counts on a fault in the unmapped space behind its memory, instead of a guard page, loses it there.
 *
 * Where the kernel does not know how (before Linux 6.1), or refuses, memory stays as it is.
 *
 * Measured (Linux 6.18, a virtual machine): a fork of 20 MB takes 65 microseconds instead of 409,
 * or 201 instead of 1,330 when caches are cold. What a template has in large pages is its own, no
 * longer shared with the template it came from, so this is for those that are cloned often.
 */
#include "guest/clone/mappings.h"

#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define WINDOW ((size_t)2 << 20)
#define PAGE ((size_t)4096)
#define WORTH_PAGES 64 /* pages in use from which a window is gathered */

static char *window_of(const char *address)
{
	return (char *)((uintptr_t)address & ~(uintptr_t)(WINDOW - 1));
}

static bool is_plain(const struct mapping *x)
{
	return x->readable && x->writable && !x->shared && !x->inode && !x->is_kernels &&
	       !x->is_stack && !x->is_image;
}

static size_t pages_in_use(char *start, size_t size)
{
	unsigned char present[WINDOW / PAGE];
	size_t used = 0;

	if (mincore(start, size, present) < 0)
		return 0;
	for (size_t i = 0; i < size / PAGE; i++)
		used += present[i] & 1;
	return used;
}

/* Above the heap of malloc, room is taken from it: brk() has to find its end where it was. */
static bool map_gap(char *start, char *end)
{
	if (start >= end)
		return true;
	if (sbrk(0) == start)
		return sbrk(end - start) != (void *)-1;
	return mmap(start, (size_t)(end - start), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == start;
}

static bool map_gaps(const struct mappings *m, size_t first, char *window)
{
	char *end = window + WINDOW, *at = window;

	for (size_t i = first; i < m->count && m->all[i].start < end; i++) {
		if (!map_gap(at, m->all[i].start))
			return false;
		at = m->all[i].start + m->all[i].size;
	}
	return map_gap(at, end);
}

/* Whether the window, which starts in or before mapping `first`, can and should become one page. */
static bool is_worth_it(const struct mappings *m, size_t first, char *window)
{
	size_t used = 0, mapped = 0;
	bool executable = m->all[first].executable;

	for (size_t i = first; i < m->count && m->all[i].start < window + WINDOW; i++) {
		const struct mapping *x = &m->all[i];
		char *from = max_of(x->start, window);
		size_t size = (size_t)(min_of(x->start + x->size, window + WINDOW) - from);

		if (!is_plain(x) || x->executable != executable)
			return false;
		used += pages_in_use(from, size);
		mapped += size;
	}
	/* No new memory that code could be written into. */
	return used >= WORTH_PAGES && (!executable || mapped == WINDOW);
}

static void pages_gather(const struct mappings *m)
{
	char *done = NULL;

	for (size_t i = 0; i < m->count; i++) {
		char *end = m->all[i].start + m->all[i].size;

		for (char *w = max_of(window_of(m->all[i].start), done); w < end; w += WINDOW) {
			if (is_worth_it(m, i, w) && map_gaps(m, i, w))
				madvise(w, WINDOW, MADV_COLLAPSE);
			done = w + WINDOW;
		}
	}
}

void clone_gather(struct clone_template *t)
{
	struct mappings m = { 0 };

	if (mappings_read(&t->arena, &m) == 0)
		pages_gather(&m);
}
