/*
 * tmp.c - the /tmp of a function template.
 *
 * The code finds one while it loads, as on Lambda, and libraries write to it. Isolates do not share
 * it: each attaches an empty one over it. What would still lead there is the working directory,
 * which is put into the isolate's own, and a file that was left open: it would be one file for all.
 */
#include "guest/handle.h"

#include "wire/settings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_folder(DIR **folder)
{
	if (*folder)
		closedir(*folder);
}

/* By what was opened to be read only, nothing can be changed, unless it is a directory. */
static bool can_change(int fd, dev_t tmp)
{
	struct stat status;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &status) < 0 || status.st_dev != tmp)
		return false;
	return S_ISDIR(status.st_mode) || ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH));
}

static int refuse(struct pv_handle *handle, int folder, const char *number)
{
	char name[256];
	ssize_t size = readlinkat(folder, number, name, sizeof(name) - 1);

	name[size < 0 ? 0 : size] = '\0';
	return err_set(&handle->error, -EBUSY,
		"%s was open when the code had been loaded, and all isolates would share it: close "
		"it, or "
		"open it in the handler or in an after-restore hook.",
		name);
}

int tmp_check(struct pv_handle *handle)
{
	__attribute__((cleanup(close_folder))) DIR *folder = opendir("/proc/self/fd");
	struct stat tmp, here;
	struct dirent *entry;

	if (!role_setting(&handle->become, SETTING_TMP_MB))
		return 0;
	/* Whoever covered /proc hears of that when the threads are to be parked. */
	if (!folder)
		return 0;
	if (stat("/tmp", &tmp) < 0)
		return err_errno(
			&handle->error, -errno, "The /tmp of the function cannot be looked at");
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.' && can_change(atoi(entry->d_name), tmp.st_dev))
			return refuse(handle, dirfd(folder), entry->d_name);
	handle->works_in_tmp = stat(".", &here) == 0 && here.st_dev == tmp.st_dev;
	if (!getcwd(handle->folder, sizeof(handle->folder)))
		handle->folder[0] = '\0';
	return 0;
}
