/*
 * test_clone_rehearsal.c - what a rehearsal used is mapped in clones from the start and what it did
 * not use is not; and nothing is lost by it.
 */
#include "clone/scenario.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)
#define PAGES ((size_t)256)
#define USED 32    /* every page of these many is used, */
#define UNUSED 200 /* these and what follows are not; one of them may have been patched: */
#define PATCHED 220

static bool patched; /* whether one page is a private copy beforehand */
static char *file;   /* a mapping as that of a program: private, not to be written to */

static char content(size_t page)
{
	return (char)('a' + page % 26);
}

static void file_map(void)
{
	char path[] = "/tmp/rehearsal-XXXXXX", page[PAGE];
	int fd = mkstemp(path);

	CHECK(fd >= 0 && unlink(path) == 0);
	for (size_t i = 0; i < PAGES; i++) {
		memset(page, content(i), PAGE);
		CHECK(write(fd, page, PAGE) == (ssize_t)PAGE);
	}
	file = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(file != MAP_FAILED);
	close(fd);
}

static void file_patch(void)
{
	char *page = file + PATCHED * PAGE;

	CHECK(mprotect(file, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0);
	*page = '!';
	CHECK(mprotect(file, PAGES * PAGE, PROT_READ) == 0);
}

static void pages_use(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		CHECK(*(volatile char *)(file + i * PAGE) ==
			(patched && i == PATCHED ? '!' : content(i)));
}

static bool is_mapped(size_t page)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	off_t at = (off_t)(((uintptr_t)file / PAGE + page) * sizeof(entry));

	CHECK(fd >= 0 && pread(fd, &entry, sizeof(entry), at) == (ssize_t)sizeof(entry));
	close(fd);
	return entry >> 63;
}

static size_t mapped_count(size_t from, size_t to)
{
	size_t count = 0;

	for (size_t i = from; i < to; i++)
		count += is_mapped(i);
	return count;
}

static void expect_rehearsed(void)
{
	CHECK(mapped_count(0, USED) == USED, "%zu", mapped_count(0, USED));
	CHECK(mapped_count(UNUSED, PATCHED) == 0, "%zu", mapped_count(UNUSED, PATCHED));
	CHECK(is_mapped(PATCHED) == patched);
	pages_use(0, PAGES);
}

static struct clone_rehearsal *rehearsal_of_file(void)
{
	struct clone_rehearsal *rehearsal = NULL;

	file_map();
	if (patched)
		file_patch();
	pages_use(0, PAGES);
	CHECK(clone_rehearsal_begin(&rehearsal) == 0);
	CHECK(mapped_count(0, PAGES) == patched, "%zu", mapped_count(0, PAGES));
	pages_use(0, USED);
	clone_rehearsal_end(rehearsal);
	return rehearsal;
}

/* In a clone, and in a clone of it that has used everything before it was parked in turn. */
static void test_rehearsal(void)
{
	struct clone_rehearsal *rehearsal = rehearsal_of_file();

	for (int generation = 0; generation < 2; generation++) {
		struct clone_template *t;
		pid_t pid;

		pages_use(0, PAGES);
		t = template_park();
		clone_rehearsal_apply(rehearsal, t);
		pid = template_clone(t);
		if (pid > 0) {
			clone_expect_done(pid);
			clone_release(t);
			if (generation > 0)
				clone_done();
			clone_rehearsal_free(rehearsal);
			return;
		}
		expect_rehearsed();
	}
	clone_done();
}

static void test_patched(void)
{
	patched = true;
	test_rehearsal();
}

/* Other memory in the place of what was rehearsed is left alone. */
static void test_unmapped(void)
{
	struct clone_rehearsal *rehearsal = rehearsal_of_file();
	struct clone_template *t;

	CHECK(mmap(file, PAGES * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == file);
	for (size_t i = 0; i < PAGES; i++)
		file[i * PAGE] = content(i);
	t = template_park();
	clone_rehearsal_apply(rehearsal, t);
	for (size_t i = 0; i < PAGES; i++)
		CHECK(file[i * PAGE] == content(i));
	clone_release(t);
	clone_rehearsal_free(rehearsal);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{ "rehearsal", test_rehearsal },
		{ "patched", test_patched },
		{ "unmapped", test_unmapped },
	};

	return scenario_run_all(scenarios, array_size(scenarios));
}
