/*
 * test_code.c - store/code.h: archives become trees, hostile ones become nothing.
 */
#include "check.h"
#include "scratch.h"
#include "zip.h"

#include "supervisor/store/code.h"
#include "supervisor/store/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE (S_IFREG | 0644)
#define LINK_MODE (S_IFLNK | 0777)
#define FOLDER_MODE (S_IFDIR | 0755)

struct fixture {
	char *path;
	struct code *code;
};

static int make(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	f->path = scratch_make();
	*state = f;
	return code_new(f->path, &f->code, &e);
}

static int done(void **state)
{
	struct fixture *f = *state;

	code_free(f->code);
	scratch_remove(f->path);
	free(f);
	return 0;
}

/* Names in the code directory, how many. */
static unsigned trees(const struct fixture *f)
{
	char path[600];
	struct dirent *entry;
	unsigned count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/code", f->path);
	directory = opendir(path);
	assert_non_null(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static int put(struct fixture *f, const struct zip_entry *entries, char digest[CODE_DIGEST_SIZE],
	struct err *e)
{
	_cleanup_buffer_ struct buffer archive = { 0 };

	*e = (struct err){ 0 };
	zip_write(&archive, entries);
	return code_put(f->code, archive.data, archive.size, digest, e);
}

static void path_in(
	const struct fixture *f, const char *digest, const char *name, char path[static 800])
{
	char tree[600];

	assert_int_equal(code_path(f->code, digest, tree, sizeof(tree)), 0);
	snprintf(path, 800, "%s/%s", tree, name);
}

static void assert_file(const struct fixture *f, const char *digest, const char *name,
	const char *text, mode_t mode)
{
	char path[800], found[256];
	struct stat stat_of;
	ssize_t n;
	int fd;

	path_in(f, digest, name, path);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	n = read(fd, found, sizeof(found) - 1);
	assert_true(n >= 0);
	found[n] = '\0';
	assert_string_equal(found, text);
	assert_int_equal(fstat(fd, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 07777, mode);
	assert_int_equal(stat_of.st_uid, geteuid());
	close(fd);
}

static void an_archive_becomes_a_tree(void **state)
{
	struct fixture *f = *state;
	const struct zip_entry entries[] = {
		{ .name = "index.py", .data = "x = 1", .mode = S_IFREG | 0600 },
		{ .name = "bootstrap", .data = "#!", .mode = S_IFREG | 04711 },
		{ .name = "without", .data = "mode", .mode = 0 },
		{ .name = "folder/", .data = "", .mode = FOLDER_MODE },
		{ .name = "folder/inside", .data = "", .mode = FILE_MODE },
		{ .name = "./a//b/c.txt", .data = "deep", .mode = FILE_MODE },
		{ .name = "folder/up", .data = "../index.py", .mode = LINK_MODE },
		{ .name = "a/link", .data = "b/./c.txt", .mode = LINK_MODE },
		{ .name = "n\xc3\xa4me.txt", .data = "utf8", .mode = FILE_MODE },
		{ .name = "..hidden", .data = "dots", .mode = FILE_MODE },
		/* libarchive makes a file of it; all that counts is that it is no pipe. */
		{ .name = "pipe", .data = "", .mode = S_IFIFO | 0666 },
		{ .name = NULL },
	};
	char digest[CODE_DIGEST_SIZE], path[800], target[64];
	struct stat stat_of;
	ssize_t n;
	struct err e;

	if (put(f, entries, digest, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(strlen(digest), 64);
	assert_file(f, digest, "index.py", "x = 1", 0644);
	assert_file(f, digest, "bootstrap", "#!", 0755);
	assert_file(f, digest, "without", "mode", 0644);
	assert_file(f, digest, "folder/inside", "", 0644);
	assert_file(f, digest, "a/b/c.txt", "deep", 0644);
	assert_file(f, digest, "folder/up", "x = 1", 0644);
	assert_file(f, digest, "a/link", "deep", 0644);
	assert_file(f, digest, "n\xc3\xa4me.txt", "utf8", 0644);
	assert_file(f, digest, "..hidden", "dots", 0644);
	assert_file(f, digest, "pipe", "", 0644);
	path_in(f, digest, "folder/up", path);
	n = readlink(path, target, sizeof(target));
	assert_int_equal(n, 11);
	path_in(f, digest, "a/b", path);
	assert_int_equal(stat(path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 07777, 0755);
	assert_int_equal(trees(f), 1);
}

struct hostile {
	struct zip_entry entries[4];
	const char *said;
};

static const struct hostile hostile[] = {
	{ { { "../x", "", FILE_MODE } }, "'../x' leads out" },
	{ { { "a/../../x", "", FILE_MODE } }, "leads out" },
	{ { { "a/..", "", FILE_MODE } }, "leads out" },
	{ { { "/etc/x", "", FILE_MODE } }, "absolute path" },
	{ { { "a/../x", "", FOLDER_MODE } }, "leads out" },
	{ { { "l", "/etc/passwd", LINK_MODE } }, "the link 'l' leads out" },
	{ { { "l", "../x", LINK_MODE } }, "leads out" },
	{ { { "a/l", "../../x", LINK_MODE } }, "leads out" },
	{ { { "l", "a/../../x", LINK_MODE } }, "leads out" },
	{ { { "l", "a/..", LINK_MODE } }, "leads out" },
	{ { { "l", "", LINK_MODE } }, "leads out" },
	{ { { "l", ".", LINK_MODE }, { "l/x", "", FILE_MODE } }, "it is a file or a link" },
	{ { { "d/", "", FOLDER_MODE }, { "l", "d", LINK_MODE }, { "l/x", "", FILE_MODE } },
		"it is a file or a link" },
	{ { { "f", "", FILE_MODE }, { "f/x", "", FILE_MODE } }, "it is a file or a link" },
	{ { { "x", "1", FILE_MODE }, { "x", "2", FILE_MODE } }, "'x' twice" },
	{ { { "x", "1", FILE_MODE }, { "./x", "2", FILE_MODE } }, "'x' twice" },
	{ { { "x", "y", LINK_MODE }, { "x", "2", FILE_MODE } }, "twice" },
	{ { { "d", "", S_IFCHR | 0644 } }, "neither a file" },
	{ { { "d", "", S_IFBLK | 0644 } }, "neither a file" },
	{ { { "d", "", S_IFSOCK | 0644 } }, "neither a file" },
	{ { { "e", "secret", FILE_MODE, .flags = 1 } }, "encrypted" },
	{ { { "m", "data", FILE_MODE, .method = 99 } }, "damaged or encrypted" },
	{ { { "m", "not deflated", FILE_MODE, .method = 8, .claimed_size = 100 } }, "damaged" },
	{ { { .name = NULL } }, "empty" },
};

static void a_hostile_archive_becomes_nothing(void **state)
{
	struct fixture *f = *state;
	char outside[600];

	for (size_t i = 0; i < array_size(hostile); i++) {
		char digest[CODE_DIGEST_SIZE];
		struct err e;
		int r = put(f, hostile[i].entries, digest, &e);

		if (r != CODE_INVALID)
			fail_msg("%zu ('%s'): %d %s", i, hostile[i].entries[0].name, r, e.text);
		if (!strstr(e.text, hostile[i].said))
			fail_msg("%zu: '%s' does not say '%s'", i, e.text, hostile[i].said);
		assert_int_equal(trees(f), 0);
	}
	snprintf(outside, sizeof(outside), "%s/x", f->path);
	assert_int_equal(access(outside, F_OK), -1);
	assert_false(code_has_garbage(f->code) && trees(f) > 0);
}

static void what_is_no_zip_becomes_nothing(void **state)
{
	static const char *const texts[] = { "", "x", "PK", "PK\3\4", "\x1f\x8b\x08", "<html>",
		"PK\5\6 and not enough of it" };
	struct fixture *f = *state;

	for (size_t i = 0; i < array_size(texts); i++) {
		char digest[CODE_DIGEST_SIZE];
		struct err e = { 0 };

		if (code_put(f->code, texts[i], strlen(texts[i]), digest, &e) != CODE_INVALID)
			fail_msg("'%s' was taken", texts[i]);
		assert_true(strlen(e.text) > 0);
	}
	assert_int_equal(trees(f), 0);
}

/* Every prefix of an archive, and every byte of it changed: a tree or an error, and nothing left.
 */
static void a_damaged_archive_does_no_harm(void **state)
{
	struct fixture *f = *state;
	const struct zip_entry entries[] = { { "a/b", "data", FILE_MODE }, { .name = NULL } };
	_cleanup_buffer_ struct buffer archive = { 0 };
	char digest[CODE_DIGEST_SIZE];
	struct err e;

	zip_write(&archive, entries);
	for (size_t size = 0; size < archive.size; size += 7)
		assert_int_equal(code_put(f->code, archive.data, size, digest, &e), CODE_INVALID);
	for (size_t at = 0; at < archive.size; at += 3) {
		int r;

		archive.data[at] ^= 0x11;
		r = code_put(f->code, archive.data, archive.size, digest, &e);
		archive.data[at] ^= 0x11;
		if (r < 0)
			fail_msg("byte %zu: %s", at, e.text);
		if (r == 0)
			code_unpin(f->code, digest);
	}
	code_collect(f->code);
	assert_int_equal(trees(f), 0);
}

static void the_same_archive_is_kept_once(void **state)
{
	struct fixture *f = *state;
	const struct zip_entry entries[] = { { "a", "1", FILE_MODE }, { .name = NULL } };
	char digest[CODE_DIGEST_SIZE], again[CODE_DIGEST_SIZE];
	struct err e;

	assert_int_equal(put(f, entries, digest, &e), 0);
	assert_int_equal(put(f, entries, again, &e), 0);
	assert_string_equal(digest, again);
	assert_int_equal(trees(f), 1);
	code_unpin(f->code, digest);
	code_collect(f->code);
	assert_int_equal(trees(f), 1);
	code_unpin(f->code, digest);
	assert_true(code_has_garbage(f->code));
	code_collect(f->code);
	assert_int_equal(trees(f), 0);
	assert_false(code_has_garbage(f->code));
	/* And it can come back, also between the last unpin and the collection. */
	assert_int_equal(put(f, entries, digest, &e), 0);
	code_unpin(f->code, digest);
	assert_int_equal(put(f, entries, digest, &e), 0);
	code_collect(f->code);
	assert_file(f, digest, "a", "1", 0644);
}

static void the_sweep_spares_what_is_pinned(void **state)
{
	struct fixture *f = *state;
	const struct zip_entry one[] = { { "a", "1", FILE_MODE }, { .name = NULL } };
	const struct zip_entry two[] = { { "a", "2", FILE_MODE }, { .name = NULL } };
	char kept[CODE_DIGEST_SIZE], lost[CODE_DIGEST_SIZE], path[700];
	struct err e;

	assert_int_equal(put(f, one, kept, &e), 0);
	assert_int_equal(put(f, two, lost, &e), 0);
	snprintf(path, sizeof(path), "%s/code/new-abcdef", f->path);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/code/new-abcdef/half", f->path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	/* As after a start. */
	code_free(f->code);
	assert_int_equal(code_new(f->path, &f->code, &e), 0);
	assert_int_equal(code_pin(f->code, kept), 0);
	code_sweep(f->code);
	assert_int_equal(trees(f), 1);
	assert_file(f, kept, "a", "1", 0644);
}

static void descriptors_are_not_left_open(void **state)
{
	struct fixture *f = *state;
	const struct zip_entry entries[] = { { "a", "1", FILE_MODE }, { .name = NULL } };
	char digest[CODE_DIGEST_SIZE];
	struct err e;
	int before = dup(0), after;

	close(before);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(put(f, entries, digest, &e), 0);
		code_unpin(f->code, digest);
		code_collect(f->code);
		assert_int_equal(put(f, hostile[0].entries, digest, &e), CODE_INVALID);
	}
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void no_descriptors_are_an_error_and_no_more(void **state)
{
	struct fixture *f = *state;
	const struct zip_entry entries[] = { { "a", "1", FILE_MODE }, { .name = NULL } };
	char digest[CODE_DIGEST_SIZE];
	struct rlimit before, few;
	struct err e;
	int next = dup(0);

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	/* Each of the descriptors that it needs is once the one that is missing. */
	for (rlim_t more = 0; more < 4; more++) {
		few = (struct rlimit){ (rlim_t)next + more, before.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		assert_true(put(f, entries, digest, &e) < 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_true(strlen(e.text) > 0);
	}
	assert_int_equal(put(f, entries, digest, &e), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_archive_becomes_a_tree, make, done),
		cmocka_unit_test_setup_teardown(a_hostile_archive_becomes_nothing, make, done),
		cmocka_unit_test_setup_teardown(what_is_no_zip_becomes_nothing, make, done),
		cmocka_unit_test_setup_teardown(a_damaged_archive_does_no_harm, make, done),
		cmocka_unit_test_setup_teardown(the_same_archive_is_kept_once, make, done),
		cmocka_unit_test_setup_teardown(the_sweep_spares_what_is_pinned, make, done),
		cmocka_unit_test_setup_teardown(descriptors_are_not_left_open, make, done),
		cmocka_unit_test_setup_teardown(
			no_descriptors_are_an_error_and_no_more, make, done),
	};

	/* What unpacks is our own program, started again. */
	if (argc > 1 && strcmp(argv[1], UNPACK_COMMAND) == 0)
		return unpack_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
