/*
 * egress.c - see egress.h.
 */
#include "supervisor/host/egress.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TUN "/dev/net/tun"

static int program_find(const char *name, char path[static PATH_MAX])
{
	static const char *const directories[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
		"/usr/bin", "/sbin", "/bin" };

	for (size_t i = 0; i < array_size(directories); i++) {
		snprintf(path, PATH_MAX, "%s/%s", directories[i], name);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

int egress_find(struct egress_tools *ret, struct err *e)
{
	struct stat st;

	if (program_find("pasta", ret->pasta) < 0)
		return err_set(e, -ENOENT, "pasta is not installed (package passt)");
	if (program_find("nft", ret->nft) < 0)
		return err_set(e, -ENOENT, "nft is not installed (package nftables)");
	if (stat(TUN, &st) < 0)
		st.st_mode = 0;
	ret->tun_is_closed = (st.st_mode & 0006) != 0006;
	if (ret->tun_is_closed && geteuid() != 0 && access(TUN, R_OK | W_OK) < 0)
		return err_errno(e, -errno,
			"%s cannot be opened (chmod 0666 %s opens it, as most systems have it)",
			TUN, TUN);
	return 0;
}
