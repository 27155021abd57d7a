/*
 * network_resolvers.c - see network_resolvers.h.
 */
#include "supervisor/launch/network_resolvers.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define RESOLV_CONF_MAX (64 * 1024)

static bool is_loopback(struct in_addr address)
{
	return ntohl(address.s_addr) >> 24 == 127 || address.s_addr == INADDR_ANY;
}

static void resolvers_add(struct resolvers *resolvers, struct in_addr address)
{
	if (is_loopback(address)) {
		if (resolvers->count > 0)
			return;
		resolvers->loopback = true;
	} else if (resolvers->loopback) {
		resolvers->loopback = false;
		resolvers->count = 0;
	}
	if (resolvers->count < RESOLVERS_MAX)
		resolvers->addresses[resolvers->count++] = address;
}

void resolvers_parse(const char *text, struct resolvers *ret)
{
	*ret = (struct resolvers){ 0 };
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		struct in_addr address;
		char word[64];

		if (sscanf(line, "nameserver%*[ \t]%63[^ \t\n#;]", word) == 1 &&
			inet_pton(AF_INET, word, &address) == 1)
			resolvers_add(ret, address);
	}
}

void resolvers_read(struct resolvers *ret)
{
	static const char *const files[] = { "/etc/resolv.conf",
		"/run/systemd/resolve/resolv.conf" };

	*ret = (struct resolvers){ 0 };
	for (size_t i = 0; i < array_size(files); i++) {
		_cleanup_free_ char *text = NULL;
		struct resolvers found;

		if (i > 0 && !ret->loopback)
			return;
		if (fd_read_file(files[i], RESOLV_CONF_MAX, &text, NULL) < 0)
			continue;
		resolvers_parse(text, &found);
		if (i == 0 || (found.count > 0 && !found.loopback))
			*ret = found;
	}
}

bool resolvers_equal(const struct resolvers *a, const struct resolvers *b)
{
	return a->count == b->count && a->loopback == b->loopback &&
	       memcmp(a->addresses, b->addresses, a->count * sizeof(a->addresses[0])) == 0;
}
