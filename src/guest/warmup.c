/*
 * warmup.c - pv_warmup(): the events that a function template handles before there are clones of it.
 *
 * They are those that the supervisor sent, and then those that end in .json in /var/task/.polyvisor/warm-up, of
 * the function's package in order of name, all of them as many times as the setting "warm-up" says. By
 * exec there are none: nothing that they make would be shared.
 */
#include "guest/handle.h"

#include "base/fd.h"
#include "wire/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WARMUP_FOLDER ".polyvisor/warm-up"
#define WARMUP_SUFFIX ".json"
#define WARMUP_MAX (6 << 20) /* bytes of an event, as for all others by default */

static int sent(const struct role *become, size_t *index, const void **ret_event, size_t *ret_size)
{
	struct wire_field field;

	wire_for_each_field (field, become->fields, become->fields_size) {
		if (field.key != WIRE_WARMUP || (*index)-- > 0)
			continue;
		*ret_event = field.value;
		*ret_size = field.size;
		return 0;
	}
	return -ENOENT;
}

static int is_event(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name), suffix = strlen(WARMUP_SUFFIX);

	return entry->d_name[0] != '.' && size > suffix &&
	       strcmp(entry->d_name + size - suffix, WARMUP_SUFFIX) == 0;
}

/* A package without them is the rule. */
static void list(struct warmup *warmup, const char *task_root)
{
	_cleanup_close_ int root = open(task_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int count =
		root < 0 ? -1 : scandirat(root, WARMUP_FOLDER, &warmup->names, is_event, alphasort);

	warmup->listed = true;
	warmup->count = count < 0 ? 0 : (size_t)count;
	warmup->folder =
		count < 0 ? -1 : openat(root, WARMUP_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void warmup_done(struct warmup *warmup)
{
	for (size_t i = 0; i < warmup->count; i++)
		free(warmup->names[i]);
	free(warmup->names);
	free(warmup->event);
	if (warmup->listed)
		fd_close(warmup->folder);
	*warmup = (struct warmup){ 0 };
}

static int load(struct warmup *warmup, const char *name)
{
	_cleanup_close_ int fd = openat(warmup->folder, name, O_RDONLY | O_CLOEXEC);
	struct stat status;
	int r;

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size > WARMUP_MAX)
		return -EFBIG;
	free(warmup->event);
	warmup->size = (size_t)status.st_size;
	warmup->event = malloc(warmup->size + 1);
	if (!warmup->event)
		return -ENOMEM;
	r = fd_read_exactly(fd, warmup->event, warmup->size);
	warmup->event[warmup->size] = '\0';
	return r;
}

static size_t rounds(const struct role *become)
{
	const char *value = role_setting(become, SETTING_WARM_UP);

	return value ? strtoul(value, NULL, 10) : 1;
}

int pv_warmup(pv_handle *handle, size_t index, const void **ret_event, size_t *ret_size)
{
	struct warmup *warmup;
	const char *root;
	int r;

	if (!handle || !ret_event || !ret_size || handle->stage == STAGE_BOOTING)
		return -EINVAL;
	if (sent(&handle->become, &index, ret_event, ret_size) == 0)
		return 0;
	warmup = &handle->warmup;
	root = wire_find(handle->become.fields, handle->become.fields_size, WIRE_TASK_ROOT);
	if (!warmup->listed && root && !handle->exec)
		list(warmup, root);
	if (index >= warmup->count * rounds(&handle->become)) {
		warmup_done(warmup);
		return -ENOENT;
	}
	r = load(warmup, warmup->names[index % warmup->count]->d_name);
	if (r < 0)
		return err_errno(&handle->error, r, "The warm-up event %s cannot be read",
			warmup->names[index % warmup->count]->d_name);
	*ret_event = warmup->event;
	*ret_size = warmup->size;
	return 0;
}
