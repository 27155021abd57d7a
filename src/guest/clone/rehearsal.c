/*
 * rehearsal.c - the pages of a program and its libraries that clones find mapped.
 *
 * A fork leaves out the page-table entries of a file's pages, since faults bring them back. So each
 * clone has a fault for every 64 KB of code and constants that it comes past: more than a hundred
 * until the first reply of a large runtime. But of a mapping that has a private page a fork copies
 * the entries of all its pages. Hence a rehearsal: it finds out which pages are used, a template
 * keeps those mapped and no others, and one page of each such mapping is made private.
 *
 * Measured (Linux 6.18, a virtual machine): 3 to 4 microseconds for a fault, 0.06 for an entry.
 */
#include "guest/clone/mappings.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_ASYNC /* newer than the C library's headers */
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#define PAGE ((size_t)4096)
#define PAGE_ENTRIES 512
#define PAGE_MAPPED (1ULL << 63 | 1ULL << 61) /* and the file's, not a private copy */
#define LEAST_SIZE ((size_t)256 << 10)        /* of a mapping that is looked at */
#define WORTH_PAGES 8 /* used ones from which a private page of the mapping pays */

struct rehearsed {
	struct rehearsed *next;
	struct mapping mapping;
	size_t used_count, first_used;
	bool used[]; /* for each page */
};

struct clone_rehearsal {
	struct arena arena;
	struct rehearsed *all;
	int watch, pagemap; /* -1: none, or no longer */
	bool applied;       /* here, or in the template that this one is a clone of */
};

typedef void page_visit(struct rehearsed *r, size_t page);

/* Of each page of the file's that is mapped now. */
static void pages_visit(int pagemap, struct rehearsed *r, page_visit *visit)
{
	uint64_t entries[PAGE_ENTRIES];
	size_t pages = r->mapping.size / PAGE;
	off_t base = (off_t)((uintptr_t)r->mapping.start / PAGE * sizeof(*entries));

	for (size_t i = 0; i < pages; i++) {
		size_t slot = i % PAGE_ENTRIES;
		size_t size = min_of(PAGE_ENTRIES, pages - i) * sizeof(*entries);
		off_t at = base + (off_t)(i * sizeof(*entries));

		if (slot == 0 && pread(pagemap, entries, size, at) != (ssize_t)size)
			return;
		if ((entries[slot] & PAGE_MAPPED) == PAGE_MAPPED)
			visit(r, i);
	}
}

static void page_note(struct rehearsed *r, size_t page)
{
	if (r->used_count++ == 0)
		r->first_used = page;
	r->used[page] = true;
}

/* A private copy, such as of code that was patched, is never among those. */
static void page_forget(struct rehearsed *r, size_t page)
{
	if (!r->used[page])
		madvise(r->mapping.start + page * PAGE, PAGE, MADV_DONTNEED);
}

/*
 * A mapping that userfaultfd watches has its pages mapped one by one, not 16 at a time. That is all
 * it is for: in this mode (Linux 6.7) nobody is told anything, and nothing waits.
 */
static int watch_open(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) < 0 ? fd_close(fd) : fd;
}

static void watch_add(int watch, const struct mapping *x)
{
	struct uffdio_register watched = {
		.range = { .start = (uintptr_t)x->start, .len = x->size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (watch >= 0)
		ioctl(watch, UFFDIO_REGISTER, &watched);
}

static bool is_looked_at(const struct mapping *x)
{
	return x->inode && x->readable && !x->writable && !x->shared && !x->is_kernels &&
	       x->size >= LEAST_SIZE;
}

static int rehearsal_add(struct clone_rehearsal *rehearsal, const struct mapping *x)
{
	struct rehearsed *r = arena_alloc(&rehearsal->arena, sizeof(*r) + x->size / PAGE);

	if (!r)
		return -ENOMEM;
	r->mapping = *x;
	r->next = rehearsal->all;
	rehearsal->all = r;
	watch_add(rehearsal->watch, x);
	pages_visit(rehearsal->pagemap, r, page_forget);
	return 0;
}

static int rehearsal_fill(struct clone_rehearsal *rehearsal)
{
	struct mappings m = { 0 };
	int r = mappings_read(&rehearsal->arena, &m);

	for (size_t i = 0; i < m.count && r == 0; i++)
		if (is_looked_at(&m.all[i]))
			r = rehearsal_add(rehearsal, &m.all[i]);
	return r;
}

int clone_rehearsal_begin(struct clone_rehearsal **ret)
{
	struct arena arena = { 0 };
	struct clone_rehearsal *rehearsal = arena_alloc(&arena, sizeof(*rehearsal));
	int r;

	if (!rehearsal)
		return -ENOMEM;
	rehearsal->arena = arena;
	rehearsal->pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
	rehearsal->watch = watch_open();
	r = rehearsal->pagemap < 0 ? -errno : rehearsal_fill(rehearsal);
	if (r < 0)
		clone_rehearsal_free(rehearsal);
	else
		*ret = rehearsal;
	return r;
}

void clone_rehearsal_end(struct clone_rehearsal *rehearsal)
{
	if (rehearsal->pagemap < 0)
		return;
	for (struct rehearsed *r = rehearsal->all; r; r = r->next)
		pages_visit(rehearsal->pagemap, r, page_note);
	rehearsal->pagemap = fd_close(rehearsal->pagemap);
	rehearsal->watch = fd_close(rehearsal->watch);
}

void clone_rehearsal_free(struct clone_rehearsal *rehearsal)
{
	if (!rehearsal)
		return;
	fd_close(rehearsal->pagemap);
	fd_close(rehearsal->watch);
	arena_free(&rehearsal->arena);
}

static bool is_mapped_still(const struct mappings *m, const struct mapping *x)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct mapping *now = &m->all[i];

		if (now->start == x->start)
			return is_looked_at(now) && now->size == x->size &&
			       now->offset == x->offset && now->inode == x->inode &&
			       now->device == x->device;
	}
	return false;
}

/* Writes the first byte of a page to where it is, past the protection that is for the program. */
static void page_make_private(int memory, const char *page)
{
	ssize_t written = pwrite(memory, page, 1, (off_t)(uintptr_t)page);

	(void)written; /* where it is refused, clones have their faults */
}

void clone_rehearsal_apply(struct clone_rehearsal *rehearsal, struct clone_template *t)
{
	_cleanup_close_ int pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int memory = open("/proc/thread-self/mem", O_RDWR | O_CLOEXEC);
	struct mappings m = { 0 };

	clone_rehearsal_end(rehearsal);
	if (pagemap < 0 || mappings_read(&t->arena, &m) < 0)
		return;
	for (struct rehearsed *r = rehearsal->all; r; r = r->next) {
		if (r->used_count < WORTH_PAGES || !is_mapped_still(&m, &r->mapping))
			continue;
		pages_visit(pagemap, r, page_forget);
		if (!rehearsal->applied)
			page_make_private(memory, r->mapping.start + r->first_used * PAGE);
	}
	rehearsal->applied = true;
}
