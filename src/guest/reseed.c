/*
 * reseed.c - gives OpenSSL's generators new entropy in a clone.
 *
 * OpenSSL keeps one primary generator, and a public and a private one per thread that are seeded
 * from it. It notices a fork by the process id alone, which a pid namespace may give again. Every
 * thread's generators compare a count with the primary's and reseed when it moved, so that
 * reseeding the primary reaches all threads; those of this thread are reseeded as well.
 *
 * libcrypto may be loaded where no symbol of it is visible to us (Python loads it RTLD_LOCAL) or be
 * part of the executable (Node), or be there more than once. So every loaded object is asked.
 */
#include "guest/handle.h"

#include "base/buffer.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#define RESEED_ADDITIONAL 32

/* Collects names only: to call dlopen() from here would take its lock under another. */
static int reseed_collect(struct dl_phdr_info *info, size_t size, void *data)
{
	struct buffer *names = data;

	(void)size;
	buffer_append(names, info->dlpi_name, strlen(info->dlpi_name) + 1);
	return 0;
}

static bool reseed_has(const struct reseed *reseed, const struct reseed_library *library)
{
	for (size_t i = 0; i < reseed->count; i++)
		if (reseed->libraries[i].poll == library->poll &&
			reseed->libraries[i].primary == library->primary)
			return true;
	return false;
}

static void *reseed_drbg(void *object, const char *name)
{
	void *(*get)(void *context) = (void *(*)(void *))dlsym(object, name);

	return get ? get(NULL) : NULL;
}

static void reseed_look_into(struct reseed *reseed, void *object)
{
	struct reseed_library library = { 0 };

	library.poll = (int (*)(void))dlsym(object, "RAND_poll");
	*(void **)&library.reseed = dlsym(object, "EVP_RAND_reseed");
	if (!library.poll && !library.reseed)
		return;
	if (library.reseed) {
		library.primary = reseed_drbg(object, "RAND_get0_primary");
		library.public = reseed_drbg(object, "RAND_get0_public");
		library.private = reseed_drbg(object, "RAND_get0_private");
	}
	if (!reseed_has(reseed, &library))
		reseed->libraries[reseed->count++] = library;
}

void reseed_find(struct reseed *reseed)
{
	_cleanup_buffer_ struct buffer names = { 0 };

	*reseed = (struct reseed){ 0 };
	dl_iterate_phdr(reseed_collect, &names);
	for (size_t at = 0; at < names.size && reseed->count < RESEED_MAX;
		at += strlen(names.data + at) + 1) {
		const char *name = names.data[at] ? names.data + at : NULL;
		void *object = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);

		if (!object)
			continue;
		reseed_look_into(reseed, object);
		dlclose(object);
	}
}

/* Before OpenSSL 3 there is no EVP_RAND, and RAND_poll() restarts the primary generator. */
static int reseed_library(
	const struct reseed_library *library, const unsigned char *additional, size_t size)
{
	void *const generators[] = { library->primary, library->public, library->private };

	if (!library->reseed || !library->primary)
		return library->poll && library->poll() == 1 ? 0 : -EIO;
	for (size_t i = 0; i < array_size(generators); i++)
		if (generators[i] &&
			library->reseed(generators[i], i == 0, NULL, 0, additional, size) != 1)
			return -EIO;
	return 0;
}

int reseed_run(const struct reseed *reseed)
{
	unsigned char additional[RESEED_ADDITIONAL];
	int r;

	for (size_t i = 0; i < reseed->count; i++) {
		r = pv_random(additional, sizeof(additional));
		if (r < 0)
			return r;
		r = reseed_library(&reseed->libraries[i], additional, sizeof(additional));
		if (r < 0)
			return r;
	}
	return 0;
}
