/*
 * keys.c - the access keys that may sign requests; see signature.h.
 */
#include "supervisor/front/signature.h"

#include "base/fd.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/stat.h>

#define KEYS_MAX 256
#define KEYS_FILE_MAX (64 * 1024)

struct keys {
	char *text; /* the file; ids and secrets point into it */
	size_t size, count;
	const char *ids[KEYS_MAX], *secrets[KEYS_MAX];
};

struct keys *keys_free(struct keys *keys)
{
	if (!keys)
		return NULL;
	if (keys->text)
		OPENSSL_cleanse(keys->text, keys->size);
	free(keys->text);
	free(keys);
	return NULL;
}

static int keys_parse(struct keys *keys, const char *path, struct err *e)
{
	char *rest, *line = strtok_r(keys->text, "\n", &rest);

	for (int number = 1; line; line = strtok_r(NULL, "\n", &rest), number++) {
		char *words, *id, *secret;

		line[strcspn(line, "#")] = '\0';
		id = strtok_r(line, " \t\r", &words);
		if (!id)
			continue;
		secret = strtok_r(NULL, " \t\r", &words);
		if (!secret || strtok_r(NULL, " \t\r", &words) || keys->count == KEYS_MAX)
			return err_set(e, -EINVAL,
				"entry %d of the keys file %s is not an access key id and a "
				"secret, or "
				"there are more than %d",
				number, path, KEYS_MAX);
		keys->ids[keys->count] = id;
		keys->secrets[keys->count++] = secret;
	}
	if (keys->count == 0)
		return err_set(e, -EINVAL, "the keys file %s has no key", path);
	return 0;
}

int keys_load(const char *path, struct keys **ret, struct err *e)
{
	_cleanup_(keys_free_cleanup) struct keys *keys = calloc(1, sizeof(*keys));
	struct stat st;
	int r;

	if (!keys)
		return err_errno(e, -ENOMEM, "cannot read the keys file %s", path);
	if (stat(path, &st) < 0)
		return err_errno(e, -errno, "cannot read the keys file %s", path);
	if (st.st_mode & 077)
		return err_set(e, -EPERM,
			"the keys file %s can be read by others than its owner; chmod 600 it",
			path);
	r = fd_read_file(path, KEYS_FILE_MAX, &keys->text, &keys->size);
	if (r < 0)
		return err_errno(e, r, "cannot read the keys file %s", path);
	r = keys_parse(keys, path, e);
	if (r < 0)
		return r;
	*ret = take_ptr(keys);
	return 0;
}

const char *keys_secret(const struct keys *keys, const char *id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->ids[i], id) == 0)
			return keys->secrets[i];
	return NULL;
}
