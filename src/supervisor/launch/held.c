/*
 * held.c - see held.h.
 *
 * An isolate has a pid namespace and a /proc of its own, so its processes are those that its /proc
 * lists. Almost always there is one: its status has all figures without a walk. Of several, the
 * kernel is asked for proportional shares, since a fork of 100 MB is no second 100 MB.
 */
#include "supervisor/launch/held.h"

#include "base/fd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define HELD_FILES_MAX 512     /* different memory files that are told apart */
#define HELD_PROCESSES_MAX 512 /* that are looked at: each costs some 50 us */

/* Memory files by their inode, since many descriptors may lead to one. */
struct memory_files {
	dev_t device;
	ino_t seen[HELD_FILES_MAX];
	size_t count;
	uint64_t kb;
};

/* Memory files are all in one file system that is mounted nowhere. */
static dev_t memory_file_device(void)
{
	_cleanup_close_ int fd = memfd_create("polyvisor", MFD_CLOEXEC);
	struct stat st;

	return fd < 0 || fstat(fd, &st) < 0 ? 0 : st.st_dev;
}

static int read_text(int directory, const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	while (used < size - 1 && (n = read(fd, ret + used, size - 1 - used)) != 0) {
		if (n < 0)
			return -errno;
		used += (size_t)n;
	}
	ret[used] = '\0';
	return 0;
}

/* The number behind "Name:" in kB; 0 if it is not there. */
static uint64_t text_kb(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void add_memory_file(struct memory_files *files, const struct stat *st)
{
	if (st->st_dev != files->device || files->count == HELD_FILES_MAX)
		return;
	for (size_t i = 0; i < files->count; i++)
		if (files->seen[i] == st->st_ino)
			return;
	files->seen[files->count++] = st->st_ino;
	files->kb += (uint64_t)st->st_blocks / 2;
}

static void add_descriptors(int process, struct memory_files *files)
{
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!listing) {
		fd_close(fd);
		return;
	}
	while ((entry = readdir(listing)))
		if (isdigit((unsigned char)entry->d_name[0]) &&
			fstatat(fd, entry->d_name, &st, 0) == 0)
			add_memory_file(files, &st);
	closedir(listing);
}

static int add_status(int process, struct held *held)
{
	char text[4096];
	int r = read_text(process, "status", text, sizeof(text));

	if (r < 0)
		return r;
	held->anonymous_kb += text_kb(text, "RssAnon:");
	held->shared_kb += text_kb(text, "RssShmem:");
	return 0;
}

static int add_shares(int process, struct held *held)
{
	char text[4096];
	int r = read_text(process, "smaps_rollup", text, sizeof(text));

	if (r < 0)
		return r;
	held->anonymous_kb += text_kb(text, "Pss_Anon:");
	held->shared_kb += text_kb(text, "Pss_Shmem:");
	return 0;
}

static void add_process(
	int listing, const char *name, bool alone, struct held *held, struct memory_files *files)
{
	_cleanup_close_ int process = openat(listing, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* One that ended meanwhile holds nothing. */
	if (process < 0 || (alone ? add_status(process, held) : add_shares(process, held)) < 0)
		return;
	add_descriptors(process, files);
}

/* The init of a berth is listed for those who may trace it. */
static bool is_of_isolate(const struct dirent *entry, bool berth)
{
	if (!isdigit((unsigned char)entry->d_name[0]))
		return false;
	return !berth || strcmp(entry->d_name, "1") != 0;
}

static uint32_t count_processes(DIR *listing, bool berth)
{
	struct dirent *entry;
	uint32_t count = 0;

	while ((entry = readdir(listing)))
		count += is_of_isolate(entry, berth);
	rewinddir(listing);
	return count;
}

static uint64_t tmp_kb(pid_t pid)
{
	struct statfs fs;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root/tmp", pid);
	if (statfs(path, &fs) < 0)
		return 0;
	return (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize / 1024;
}

int held_by_isolate(pid_t pid, bool berth, struct held *ret)
{
	struct memory_files files = { .device = memory_file_device() };
	struct held held = { .tmp_kb = tmp_kb(pid) };
	struct dirent *entry;
	uint32_t left = HELD_PROCESSES_MAX;
	char path[64];
	DIR *listing;

	snprintf(path, sizeof(path), "/proc/%d/root/proc", pid);
	listing = opendir(path);
	if (!listing)
		return -errno;
	held.processes = count_processes(listing, berth);
	while (left > 0 && (entry = readdir(listing))) {
		if (!is_of_isolate(entry, berth))
			continue;
		add_process(dirfd(listing), entry->d_name, held.processes == 1, &held, &files);
		left--;
	}
	closedir(listing);
	/* A mapped file of /tmp is among the shared memory, and a memory file may be mapped and
	 * open: the larger figure has all of either. */
	held.shared_kb -= min_of(held.shared_kb, held.tmp_kb);
	held.shared_kb = max_of(held.shared_kb, files.kb);
	*ret = held;
	return 0;
}

int held_by_process(pid_t pid, struct held *ret)
{
	struct held held = { .processes = 1 };
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	_cleanup_close_ int process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = process < 0 ? -errno : add_status(process, &held);
	if (r == 0)
		*ret = held;
	return r;
}
