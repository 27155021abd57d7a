/*
 * unpack.c - see unpack.h. First the process confines itself, then it reads the archive.
 */
#include "supervisor/store/unpack.h"

#include "base/fd.h"
#include "supervisor/store/confine.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_SIZE (64 * 1024)

struct unpack {
	struct archive *archive;
	bool only_inspect;
	uint64_t bytes, claimed; /* unpacked, and what the archive's directory says of it */
	unsigned entries;
	char buffer[READ_SIZE];
};

/* The sentence, and what the step that failed returns. */
PRINTF_LIKE(2, 3) static int unpack_fail(int exit_code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(STDERR_FILENO, format, args);
	va_end(args);
	return exit_code;
}

static int unpack_fault(const char *what, const char *path)
{
	return unpack_fail(UNPACK_FAULT, "could not %s '%.200s': %s.", what, path, strerror(errno));
}

static int unpack_too_large(void)
{
	return unpack_fail(UNPACK_INVALID, "unpacked it is larger than the limit of %d bytes.",
		UNPACK_BYTES_MAX);
}

/* libarchive's own words, if it has any. */
static const char *unpack_reason(const struct unpack *u)
{
	const char *reason = archive_error_string(u->archive);

	return reason ? reason : "no entries";
}

/* Opens a directory of the tree; nothing on the way may be a link. */
static int open_below(const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, UNPACK_DIRECTORY, *path ? path : ".", &how, sizeof(how));
}

/* Makes a directory and those above it: 0 or an exit code. path is changed and restored. */
static int make_directories(char *path)
{
	for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
		_cleanup_close_ int parent = -1;
		char *name;
		int r = 0;

		if (slash)
			*slash = '\0';
		name = strrchr(path, '/');
		if (name)
			*name = '\0';
		parent = open_below(name ? path : "");
		if (name)
			*name = '/';
		name = name ? name + 1 : path;
		if (parent < 0 || (mkdirat(parent, name, 0755) < 0 && errno != EEXIST))
			r = -1;
		if (slash)
			*slash = '/';
		if (r < 0)
			return unpack_fault("make the directory", path);
		if (!slash)
			return 0;
	}
}

/* The directory that an entry goes into, made where the archive does not list it itself. */
static int open_parent(char *path, const char **ret_name, int *ret_fd)
{
	char *slash = strrchr(path, '/');
	int fd, r;

	*ret_name = slash ? slash + 1 : path;
	if (slash)
		*slash = '\0';
	fd = open_below(slash ? path : "");
	if (fd < 0 && errno == ENOENT) {
		r = make_directories(path);
		if (r != 0)
			return r;
		fd = open_below(path);
	}
	r = 0;
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		r = unpack_fail(UNPACK_INVALID,
			"'%.200s' is used as a directory, but it is a file or a link.", path);
	else if (fd < 0)
		r = unpack_fault("open the directory", path);
	if (slash)
		*slash = '/';
	*ret_fd = fd;
	return r;
}

static int exists_error(const char *verb, const char *path)
{
	if (errno == EEXIST)
		return unpack_fail(UNPACK_INVALID, "it has '%.200s' twice.", path);
	if (errno == EINVAL || errno == ENAMETOOLONG)
		return unpack_fail(
			UNPACK_INVALID, "'%.200s' is not a name that a file can have.", path);
	return unpack_fault(verb, path);
}

/* One block of a file's data: 1 if there was one, 0 at its end, or a negated exit code. */
static int copy_block(struct unpack *u, int fd, const char *path)
{
	la_ssize_t n = archive_read_data(u->archive, u->buffer, sizeof(u->buffer));

	if (n < 0)
		return -unpack_fail(UNPACK_INVALID, "'%.200s' in it is damaged or encrypted (%s).",
			path, unpack_reason(u));
	if (n == 0)
		return 0;
	u->bytes += (uint64_t)n;
	if (u->bytes > UNPACK_BYTES_MAX)
		return -unpack_too_large();
	if (fd_write_all(fd, u->buffer, (size_t)n) < 0)
		return -unpack_fault("write", path);
	return 1;
}

static int unpack_file(
	struct unpack *u, struct archive_entry *entry, int parent, const char *name, char *path)
{
	mode_t mode = archive_entry_perm(entry) & 0111 ? 0755 : 0644;
	struct timespec times[2] = { { .tv_sec = archive_entry_mtime(entry) },
		{ .tv_sec = archive_entry_mtime(entry) } };
	_cleanup_close_ int fd = -1;
	int r;

	fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return exists_error("make", path);
	while ((r = copy_block(u, fd, path)) > 0)
		;
	if (r < 0)
		return -r;
	/* Compiled files beside sources (.pyc) are checked against the time of the source. */
	if (fchmod(fd, mode) < 0 || futimens(fd, times) < 0)
		return unpack_fault("finish", path);
	return 0;
}

/*
 * Whether a link's target stays inside. ".." may only lead it, and not above the root: the
 * directories it then goes up are real ones. Further down it would go up from wherever another link
 * has led to.
 */
static bool link_stays_inside(const char *path, const char *target)
{
	size_t depth = 0;
	bool leading = true;

	for (const char *p = path; (p = strchr(p, '/')); p++)
		depth++;
	if (*target == '/' || !*target)
		return false;
	for (const char *p = target; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			if (!leading || depth-- == 0)
				return false;
		} else if (n > 0 && !(n == 1 && *p == '.')) {
			leading = false;
		}
		p += n;
		p += *p == '/';
	}
	return true;
}

static int unpack_link(struct archive_entry *entry, int parent, const char *name, const char *path)
{
	const char *target = archive_entry_symlink(entry);

	if (!target || !link_stays_inside(path, target))
		return unpack_fail(UNPACK_INVALID,
			"the link '%.150s' leads out of it, to '%.150s'.", path,
			target ? target : "?");
	if (symlinkat(target, parent, name) < 0)
		return exists_error("make the link", path);
	return 0;
}

/* Removes what is harmless ("./", "//", a slash at the end), refuses what is not. */
static int clean_path(const char *path, char *ret, size_t size)
{
	size_t used = 0;

	if (*path == '/')
		return unpack_fail(UNPACK_INVALID, "'%.200s' is an absolute path.", path);
	if (strlen(path) >= size)
		return unpack_fail(UNPACK_INVALID, "'%.60s...' is too long a path.", path);
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return unpack_fail(
				UNPACK_INVALID, "'%.200s' leads out of the archive.", path);
		if (n > 0 && !(n == 1 && *p == '.')) {
			if (used)
				ret[used++] = '/';
			memcpy(ret + used, p, n);
			used += n;
		}
		p += n;
		p += *p == '/';
	}
	ret[used] = '\0';
	return 0;
}

static int unpack_by_type(struct unpack *u, struct archive_entry *entry, char *path)
{
	mode_t type = archive_entry_filetype(entry);
	_cleanup_close_ int parent = -1;
	const char *name;
	int r;

	if (type == AE_IFDIR)
		return make_directories(path);
	if (type != AE_IFREG && type != AE_IFLNK)
		return unpack_fail(UNPACK_INVALID,
			"'%.200s' is neither a file, a directory nor a symbolic link.", path);
	r = open_parent(path, &name, &parent);
	if (r != 0)
		return r;
	if (type == AE_IFLNK)
		return unpack_link(entry, parent, name, path);
	return unpack_file(u, entry, parent, name, path);
}

/* Whether an entry may be there at all, by what the archive's directory says of it. */
static int inspect_entry(struct unpack *u, struct archive_entry *entry, char *path, size_t size)
{
	const char *stored = archive_entry_pathname(entry);

	if (++u->entries > UNPACK_ENTRIES_MAX)
		return unpack_fail(
			UNPACK_INVALID, "it has more than %d entries.", UNPACK_ENTRIES_MAX);
	if (!stored)
		return unpack_fail(UNPACK_INVALID, "the name of entry %u is not text.", u->entries);
	if (archive_entry_is_encrypted(entry) || archive_entry_hardlink(entry))
		return unpack_fail(UNPACK_INVALID, "'%.200s' is encrypted or a hard link.", stored);
	u->claimed += archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0;
	if (u->claimed > UNPACK_BYTES_MAX)
		return unpack_too_large();
	return clean_path(stored, path, size);
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry)
{
	char path[PATH_MAX];
	int r = inspect_entry(u, entry, path, sizeof(path));

	/* "./" itself is there already. */
	return r || u->only_inspect || !*path ? r : unpack_by_type(u, entry, path);
}

static int unpack_entries(struct unpack *u)
{
	struct archive_entry *entry;
	int r, code;

	while ((r = archive_read_next_header(u->archive, &entry)) == ARCHIVE_OK) {
		code = unpack_entry(u, entry);
		if (code != 0)
			return code;
	}
	if (r != ARCHIVE_EOF || u->entries == 0)
		return unpack_fail(UNPACK_INVALID,
			"it is empty, damaged, or not a zip archive (%s).", unpack_reason(u));
	return 0;
}

static int unpack_archive(bool only_inspect)
{
	_cleanup_free_ struct unpack *u = calloc(1, sizeof(*u));
	int code;

	if (!u || !(u->archive = archive_read_new()) || lseek(STDIN_FILENO, 0, SEEK_SET) < 0)
		return unpack_fail(UNPACK_FAULT, "out of memory.");
	u->only_inspect = only_inspect;
	/* By the directory at its end, and nothing else: one reading of what is in it. */
	archive_read_support_format_zip_seekable(u->archive);
	if (archive_read_open_fd(u->archive, STDIN_FILENO, READ_SIZE) != ARCHIVE_OK)
		code = unpack_fail(UNPACK_INVALID,
			"it is empty, damaged, or not a zip archive (%s).", unpack_reason(u));
	else
		code = unpack_entries(u);
	archive_read_free(u->archive);
	return code;
}

/* Most of what is wrong with an archive is seen before the first file is written. */
static int unpack_twice(void)
{
	int code = unpack_archive(true);

	return code ? code : unpack_archive(false);
}

int unpack_main(int argc, char **argv)
{
	struct err e;

	(void)argc;
	(void)argv;
	/* Names are UTF-8; what the conversion needs is loaded before files are out of reach. */
	setlocale(LC_CTYPE, "C.UTF-8");
	umask(0);
	if (confine_unpacker(UNPACK_DIRECTORY, UNPACK_BYTES_MAX, &e) < 0)
		return unpack_fail(UNPACK_FAULT, "%s", e.text);
	/* Handlers that run at exit may want what is out of reach now. */
	_exit(unpack_twice());
}
