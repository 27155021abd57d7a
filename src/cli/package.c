/*
 * package.c - see package.h.
 */
#include "cli/package.h"
#include "base/fd.h"
#include "cli/outcome.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (64 * 1024)

/* Folders of version control systems: never code, often larger than it. */
static const char *const skipped_folders[] = { ".git", ".hg", ".svn" };

struct packer {
	struct archive *zip;
	struct package *package;
	const struct package_visitor *visitor;
	struct buffer peek;
};

static void archive_done(struct archive **a)
{
	archive_free(*a); /* of either direction */
}

static void entry_done(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static void fts_done(FTS **fts)
{
	if (*fts)
		fts_close(*fts);
}

void package_done(struct package *package)
{
	buffer_done(&package->zip);
}

int package_find_kind(const char *path, enum package_kind *ret, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char magic[4] = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "%s cannot be deployed", path);
	if (S_ISDIR(st.st_mode)) {
		*ret = PACKAGE_FOLDER;
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, OUTCOME_USAGE,
			"%s cannot be deployed: it is neither a file nor a folder", path);
	if (pread(fd, magic, sizeof(magic), 0) < 0)
		return err_errno(e, -errno, "%s cannot be read", path);
	*ret = memcmp(magic, "PK\003\004", 4) == 0 ? PACKAGE_ARCHIVE : PACKAGE_FILE;
	return 0;
}

static la_ssize_t on_zip_bytes(struct archive *a, void *context, const void *data, size_t size)
{
	struct buffer *zip = context;

	buffer_append(zip, data, size);
	if (!zip->failed)
		return (la_ssize_t)size;
	archive_set_error(a, ENOMEM, "memory is out");
	return -1;
}

static int count_file(struct package *package, uint64_t size, const char *path, struct err *e)
{
	package->files++;
	package->unpacked += size;
	if (package->unpacked > PACKAGE_UNPACKED_MAX)
		return err_set(e, OUTCOME_REFUSED,
			"%s cannot be deployed: its files are larger than %lu MB together; leave "
			"out "
			"what the function does not need",
			path, PACKAGE_UNPACKED_MAX >> 20);
	return 0;
}

static int packer_failed(struct packer *p, const char *path, struct err *e)
{
	return err_set(e, -EIO, "%s cannot be packed: %s", path, archive_error_string(p->zip));
}

/* Copies a file's bytes into the zip, and its beginning to the visitor if it wants that. */
static int packer_copy(struct packer *p, int fd, const char *name, const char *path, struct err *e)
{
	bool wanted = p->visitor->wants(p->visitor->context, name);
	char block[BLOCK];
	ssize_t n;

	p->peek.size = 0;
	while ((n = read(fd, block, sizeof(block))) > 0) {
		if (archive_write_data(p->zip, block, (size_t)n) < 0)
			return packer_failed(p, path, e);
		if (wanted && p->peek.size < PACKAGE_PEEK)
			buffer_append(&p->peek, block, (size_t)n);
	}
	if (n < 0)
		return err_errno(e, -errno, "%s cannot be read", path);
	if (p->peek.failed)
		return -ENOMEM;
	return wanted ? p->visitor->take(p->visitor->context, name,
				p->peek.data ? p->peek.data : "", p->peek.size, e)
		      : 0;
}

static int entry_set_link(struct archive_entry *entry, const char *path, struct err *e)
{
	char target[4096];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return err_errno(e, -errno, "link %s cannot be read", path);
	target[n] = '\0';
	archive_entry_set_symlink(entry, target);
	return 0;
}

/* Adds one file, folder or link under `name`; `fd` is the file's, or -1. */
static int packer_add(
	struct packer *p, const char *path, const char *name, const struct stat *st, struct err *e)
{
	_cleanup_(entry_done) struct archive_entry *entry = archive_entry_new();
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (!entry)
		return -ENOMEM;
	archive_entry_copy_stat(entry, st);
	archive_entry_set_pathname(entry, name);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	if (S_ISLNK(st->st_mode)) {
		r = entry_set_link(entry, path, e);
	} else if (S_ISREG(st->st_mode)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(e, -errno, "%s cannot be read", path);
		r = count_file(p->package, (uint64_t)st->st_size, path, e);
	}
	if (r != 0)
		return r;
	if (archive_write_header(p->zip, entry) != ARCHIVE_OK)
		return packer_failed(p, path, e);
	return fd >= 0 ? packer_copy(p, fd, name, path, e) : 0;
}

bool package_skips(const FTSENT *folder)
{
	for (size_t i = 0; i < array_size(skipped_folders); i++)
		if (folder->fts_level > 0 && strcmp(folder->fts_name, skipped_folders[i]) == 0)
			return true;
	return false;
}

static int packer_add_found(struct packer *p, FTS *fts, FTSENT *found, size_t root, struct err *e)
{
	const char *name = found->fts_path + root;

	while (*name == '/')
		name++;
	switch (found->fts_info) {
	case FTS_DP:
		return 0;
	case FTS_D:
		if (package_skips(found)) {
			fts_set(fts, found, FTS_SKIP);
			return 0;
		}
		if (!*name)
			return 0;
		break;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return err_errno(e, -found->fts_errno, "%s cannot be read", found->fts_path);
	case FTS_F:
	case FTS_SL:
	case FTS_SLNONE:
		break;
	default:
		return err_set(e, OUTCOME_REFUSED,
			"%s cannot be deployed: it is neither a file, a folder nor a link; move it "
			"elsewhere",
			found->fts_path);
	}
	return packer_add(p, found->fts_path, name, found->fts_statp, e);
}

/* In order of name, so that the same folder gives the same zip. */
int package_compare_names(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int pack_folder(struct packer *p, const char *path, struct err *e)
{
	char *const paths[] = { (char *)path, NULL };
	_cleanup_(fts_done) FTS *fts =
		fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, package_compare_names);
	FTSENT *found;
	int r = 0;

	if (!fts)
		return err_errno(e, -errno, "%s cannot be read", path);
	while (r == 0 && (errno = 0, found = fts_read(fts)))
		r = packer_add_found(p, fts, found, strlen(path), e);
	if (r == 0 && errno != 0)
		return err_errno(e, -errno, "%s cannot be read", path);
	if (r == 0 && p->package->files == 0)
		return err_set(e, OUTCOME_USAGE, "%s cannot be deployed: it holds no file", path);
	return r;
}

static int pack_file(struct packer *p, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(e, -errno, "%s cannot be read", path);
	return packer_add(p, path, slash ? slash + 1 : path, &st, e);
}

static int pack(
	struct packer *p, const char *path, bool is_folder, const char *compiled, struct err *e)
{
	_cleanup_(archive_done) struct archive *zip = archive_write_new();
	int r;

	if (!zip)
		return -ENOMEM;
	p->zip = zip;
	archive_write_set_format_zip(zip);
	archive_write_set_bytes_in_last_block(zip, 1); /* no padding behind the end */
	if (archive_write_open(zip, &p->package->zip, NULL, on_zip_bytes, NULL) != ARCHIVE_OK)
		return packer_failed(p, path, e);
	r = is_folder ? pack_folder(p, path, e) : pack_file(p, path, e);
	if (r == 0 && compiled)
		r = pack_folder(p, compiled, e);
	if (r == 0 && archive_write_close(zip) != ARCHIVE_OK)
		return packer_failed(p, path, e);
	return r;
}

/* Reads the beginning of the current entry for the visitor. */
static int peek_entry(struct archive *a, const char *name, const struct package_visitor *visitor,
	const char *path, struct err *e)
{
	_cleanup_free_ char *data = malloc(PACKAGE_PEEK);
	la_ssize_t n;

	if (!data)
		return -ENOMEM;
	n = archive_read_data(a, data, PACKAGE_PEEK);
	if (n < 0)
		return err_set(e, OUTCOME_REFUSED,
			"%s cannot be deployed: its file %s is damaged: %s", path, name,
			archive_error_string(a));
	return visitor->take(visitor->context, name, data, (size_t)n, e);
}

static int scan_archive(const char *path, const struct package_visitor *visitor,
	struct package *package, struct err *e)
{
	_cleanup_(archive_done) struct archive *a = archive_read_new();
	struct archive_entry *entry;
	int found = ARCHIVE_OK, r = 0;

	if (!a)
		return -ENOMEM;
	archive_read_support_format_zip_seekable(a);
	if (archive_read_open_memory(a, package->zip.data, package->zip.size) != ARCHIVE_OK)
		found = ARCHIVE_FATAL;
	while (r == 0 && found >= ARCHIVE_WARN && found != ARCHIVE_EOF) {
		const char *name;

		found = archive_read_next_header(a, &entry);
		if (found < ARCHIVE_WARN || found == ARCHIVE_EOF)
			break;
		name = archive_entry_pathname(entry);
		if (!name || archive_entry_filetype(entry) != AE_IFREG)
			continue;
		r = count_file(package, (uint64_t)archive_entry_size(entry), path, e);
		if (r == 0 && visitor->wants(visitor->context, name))
			r = peek_entry(a, name, visitor, path, e);
	}
	if (r == 0 && found != ARCHIVE_EOF)
		return err_set(e, OUTCOME_REFUSED,
			"%s cannot be deployed: it is not a sound zip: %s", path,
			archive_error_string(a));
	return r;
}

static int read_archive(const char *path, const struct package_visitor *visitor,
	struct package *package, struct err *e)
{
	struct stat st;
	size_t size;
	int r = stat(path, &st) < 0 ? -errno : 0;

	if (r == 0 && (uint64_t)st.st_size > PACKAGE_UNPACKED_MAX)
		r = -EFBIG;
	if (r == 0)
		r = fd_read_file(path, (size_t)st.st_size, &package->zip.data, &size);
	if (r == -EFBIG)
		return err_set(e, OUTCOME_REFUSED,
			"%s cannot be deployed: it is larger than %lu MB", path,
			PACKAGE_UNPACKED_MAX >> 20);
	if (r < 0)
		return err_errno(e, r, "%s cannot be read", path);
	package->zip.size = package->zip.capacity = size;
	return scan_archive(path, visitor, package, e);
}

int package_read(const char *path, enum package_kind kind, const char *compiled,
	const struct package_visitor *visitor, struct package *ret, struct err *e)
{
	_cleanup_package_ struct package package = { 0 };
	struct packer p = { .package = &package, .visitor = visitor };
	int r;

	if (kind == PACKAGE_ARCHIVE)
		r = read_archive(path, visitor, &package, e);
	else
		r = pack(&p, path, kind == PACKAGE_FOLDER, compiled, e);
	buffer_done(&p.peek);
	if (r != 0)
		return r;
	*ret = package;
	package = (struct package){ 0 };
	return 0;
}
