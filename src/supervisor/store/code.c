/*
 * code.c - see code.h: the trees and their pins. Unpacking itself is in unpacker.c and unpack.c.
 */
#include "supervisor/store/code.h"

#include "base/fd.h"
#include "base/list.h"
#include "supervisor/store/unpacker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIN_BUCKETS 4096
#define NEW_PREFIX "new-"

struct pin {
	char digest[CODE_DIGEST_SIZE];
	unsigned count;
	struct list link; /* in its bucket, or, without a count, in `garbage` */
};

struct code {
	char path[PATH_MAX - 128];
	int directory;
	pthread_mutex_t lock; /* of what follows */
	struct list pins[PIN_BUCKETS];
	struct list garbage;
};

int code_new(const char *state, struct code **ret, struct err *e)
{
	_cleanup_(code_free_cleanup) struct code *code = calloc(1, sizeof(*code));

	if (!code)
		return err_errno(e, -ENOMEM, "Could not open the code in %s", state);
	code->directory = -1;
	pthread_mutex_init(&code->lock, NULL);
	list_init(&code->garbage);
	for (size_t i = 0; i < PIN_BUCKETS; i++)
		list_init(&code->pins[i]);
	if ((size_t)snprintf(code->path, sizeof(code->path), "%s/code", state) >=
		sizeof(code->path))
		return err_set(e, -ENAMETOOLONG, "The path %.64s... is too long.", state);
	if (mkdir(code->path, 0755) < 0 && errno != EEXIST)
		return err_errno(e, -errno, "Could not make the directory %s", code->path);
	code->directory = open(code->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (code->directory < 0 || fchmod(code->directory, 0755) < 0)
		return err_errno(e, -errno, "Could not open the directory %s", code->path);
	*ret = take_ptr(code);
	return 0;
}

static void free_pins(struct list *head)
{
	struct pin *pin, *following;

	list_for_each_safe (pin, following, head, link)
		free(pin);
}

struct code *code_free(struct code *code)
{
	if (!code)
		return NULL;
	for (size_t i = 0; i < PIN_BUCKETS; i++)
		free_pins(&code->pins[i]);
	free_pins(&code->garbage);
	pthread_mutex_destroy(&code->lock);
	fd_close(code->directory);
	free(code);
	return NULL;
}

/* The digits are uniform already: three of them are the bucket. */
static struct list *pin_bucket(struct code *code, const char *digest)
{
	unsigned bucket = 0;

	for (size_t i = 0; i < 3 && digest[i]; i++)
		bucket = bucket * 16 + (unsigned char)(digest[i] & 15) + (digest[i] >= 'a' ? 9 : 0);
	return &code->pins[bucket % PIN_BUCKETS];
}

static struct pin *pin_find(struct list *head, const char *digest)
{
	struct pin *pin;

	list_for_each (pin, head, link)
		if (strcmp(pin->digest, digest) == 0)
			return pin;
	return NULL;
}

/* With the lock held: the tree's pin, out of the garbage if it was there. */
static struct pin *pin_get(struct code *code, const char *digest)
{
	struct list *bucket = pin_bucket(code, digest);
	struct pin *pin = pin_find(bucket, digest);

	if (pin)
		return pin;
	pin = pin_find(&code->garbage, digest);
	if (!pin) {
		pin = calloc(1, sizeof(*pin));
		if (!pin)
			return NULL;
		snprintf(pin->digest, sizeof(pin->digest), "%s", digest);
		list_init(&pin->link);
	}
	list_remove(&pin->link);
	list_append(bucket, &pin->link);
	return pin;
}

int code_pin(struct code *code, const char *digest)
{
	struct pin *pin;

	pthread_mutex_lock(&code->lock);
	pin = pin_get(code, digest);
	if (pin)
		pin->count++;
	pthread_mutex_unlock(&code->lock);
	return pin ? 0 : -ENOMEM;
}

void code_unpin(struct code *code, const char *digest)
{
	struct pin *pin;

	pthread_mutex_lock(&code->lock);
	pin = pin_find(pin_bucket(code, digest), digest);
	if (pin && --pin->count == 0) {
		list_remove(&pin->link);
		list_append(&code->garbage, &pin->link);
	}
	pthread_mutex_unlock(&code->lock);
}

static bool code_is_pinned(struct code *code, const char *digest)
{
	bool pinned;

	pthread_mutex_lock(&code->lock);
	pinned = pin_find(pin_bucket(code, digest), digest) != NULL;
	pthread_mutex_unlock(&code->lock);
	return pinned;
}

bool code_has_garbage(struct code *code)
{
	bool any;

	pthread_mutex_lock(&code->lock);
	any = !list_empty(&code->garbage);
	pthread_mutex_unlock(&code->lock);
	return any;
}

int code_path(const struct code *code, const char *digest, char *ret, size_t size)
{
	return (size_t)snprintf(ret, size, "%s/%s", code->path, digest) < size ? 0 : -ENAMETOOLONG;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	/* What cannot be removed now is left to the sweep of the next start. */
	remove(path);
	return 0;
}

/* A name of the second kind that does not exist yet, as a new directory. */
static int make_new(const struct code *code, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/" NEW_PREFIX "XXXXXX", code->path);
	return mkdtemp(path) ? 0 : -errno;
}

/* Renamed first, so that a name of the first kind never stands for half a tree. */
static void remove_tree(const struct code *code, const char *name)
{
	char from[PATH_MAX], to[PATH_MAX];

	snprintf(from, sizeof(from), "%s/%s", code->path, name);
	if (strncmp(name, NEW_PREFIX, strlen(NEW_PREFIX)) == 0)
		strcpy(to, from);
	else if (make_new(code, to) < 0)
		return;
	else
		/* An archive that was refused has no tree; only the new directory goes then. */
		rename(from, to);
	nftw(to, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct pin *take_garbage(struct code *code)
{
	struct pin *pin;

	pthread_mutex_lock(&code->lock);
	pin = list_first(&code->garbage, struct pin, link);
	if (pin)
		list_remove(&pin->link);
	pthread_mutex_unlock(&code->lock);
	return pin;
}

void code_collect(struct code *code)
{
	struct pin *pin;

	while ((pin = take_garbage(code))) {
		remove_tree(code, pin->digest);
		free(pin);
	}
}

void code_sweep(struct code *code)
{
	DIR *directory = opendir(code->path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.' && !code_is_pinned(code, entry->d_name))
			remove_tree(code, entry->d_name);
	if (directory)
		closedir(directory);
}

static int digest_of(const void *data, size_t size, char ret_digest[CODE_DIGEST_SIZE])
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned count = 0;

	if (!EVP_Digest(data, size, bytes, &count, EVP_sha256(), NULL))
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		snprintf(ret_digest + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* Everything below the new name reaches the disk before the name that counts exists. */
static int publish(
	struct code *code, int tree, const char *new_path, const char *digest, struct err *e)
{
	char path[PATH_MAX];

	if (syncfs(tree) < 0)
		return err_errno(e, -errno, "Could not write the code to %s", code->path);
	snprintf(path, sizeof(path), "%s/%s", code->path, digest);
	if (rename(new_path, path) < 0)
		return err_errno(e, -errno, "Could not rename %s to %s", new_path, path);
	if (fsync(code->directory) < 0)
		return err_errno(e, -errno, "Could not write the directory %s", code->path);
	return 0;
}

static int unpack_and_publish(
	struct code *code, const void *archive, size_t size, const char *digest, struct err *e)
{
	_cleanup_close_ int tree = -1;
	char new_path[PATH_MAX];
	int r = make_new(code, new_path);

	if (r < 0)
		return err_errno(e, r, "Could not make a directory in %s", code->path);
	tree = open(new_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree < 0 || fchmod(tree, 0755) < 0)
		r = err_errno(e, -errno, "Could not open %s", new_path);
	if (r == 0)
		r = unpacker_run(archive, size, tree, e);
	if (r == 0)
		r = publish(code, tree, new_path, digest, e);
	if (r != 0)
		remove_tree(code, strrchr(new_path, '/') + 1);
	return r == UNPACKER_INVALID ? CODE_INVALID : r;
}

int code_put(struct code *code, const void *archive, size_t size, char ret_digest[CODE_DIGEST_SIZE],
	struct err *e)
{
	int r = digest_of(archive, size, ret_digest);

	/* Pinned before it is looked for: what is pinned is not collected. */
	if (r == 0)
		r = code_pin(code, ret_digest);
	if (r < 0)
		return err_errno(e, r, "Could not store the code");
	if (faccessat(code->directory, ret_digest, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		r = unpack_and_publish(code, archive, size, ret_digest, e);
	if (r != 0)
		code_unpin(code, ret_digest);
	return r;
}
