/*
 * network_rules.c - see network_rules.h.
 */
#include "supervisor/launch/network_rules.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Refused with an answer, so that a program hears at once that there is no way. `never` cannot be
 * allowed: this machine by other names (0.0.0.0/8, 127.0.0.0/8), metadata services, which give
 * away the credentials of the machine (169.254.0.0/16, and Azure's 168.63.129.16), multicast and
 * what is reserved. Names are asked for before that, since resolvers may be at any of these; so a
 * resolver is reached at port 53 only. An older pasta stands in for a resolver over UDP only, and
 * would look for 100.64.0.4 outside. The limit of connections keeps one function from filling the
 * table that all share; the range of ports, from taking on the machine those that its services have,
 * since pasta sends from the same.
 */
static const char *const rules[] = {
	"table inet polyvisor {",
	"set local { type ipv4_addr; flags interval; auto-merge; }",
	"set never { type ipv4_addr; flags interval; elements = { 0.0.0.0/8, 127.0.0.0/8,",
	"	168.63.129.16, 169.254.0.0/16, 224.0.0.0-255.255.255.255 } }",
	"set private { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 100.64.0.0/10,",
	"	172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15 } }",
	"set allowed { type ipv4_addr; flags interval; auto-merge; }",
	"set connections { type ipv4_addr; flags dynamic; size 65535; }",
	"map dns { type ipv4_addr : ipv4_addr; }",
	"chain genuine {",
	"	type filter hook prerouting priority raw; policy accept;",
	"	meta nfproto ipv6 drop",
	"	iifname pv* fib saddr . iif oif 0 drop",
	"}",
	"chain names {",
	"	type nat hook prerouting priority dstnat; policy accept;",
	"	iifname pv* meta l4proto { tcp, udp } th dport 53 dnat ip to ip daddr map @dns",
	"}",
	"chain outward {",
	"	ct state new add @connections { ip saddr ct count over 4096 } goto refused",
	"	accept",
	"}",
	"chain refused { reject with icmpx admin-prohibited; }",
	"chain forward {",
	"	type filter hook forward priority filter; policy drop;",
	"	ct state invalid drop",
	"	iifname tap oifname pv* ct state established,related accept",
	"	iifname != pv* drop",
	"	oifname != tap goto refused",
	"	ip daddr 100.64.0.4 meta l4proto tcp goto refused",
	"	ct status dnat goto outward",
	"	ip daddr @local goto refused",
	"	ip daddr @never goto refused",
	"	ip daddr @allowed goto outward",
	"	ip daddr @private goto refused",
	"	goto outward",
	"}",
	"chain input {",
	"	type filter hook input priority filter; policy drop;",
	"	iifname lo accept",
	"	iifname pv* goto refused",
	"}",
	"chain away {",
	"	type nat hook postrouting priority srcnat; policy accept;",
	"	oifname tap meta l4proto { tcp, udp } masquerade to :32768-60999 random",
	"	oifname tap masquerade",
	"}",
	"}",
};

static int memory_file(const char *text, size_t size, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("polyvisor-rules", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_all(fd, text, size);

	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static _Noreturn void nft_execute(const struct rules *where, int script, int complaint)
{
	char *const argv[] = { (char *)where->nft, "-f", "-", NULL };
	char *const environment[] = { NULL };

	if (setns(where->network, CLONE_NEWNET) == 0 && dup2(script, 0) >= 0 &&
		dup2(complaint, 1) >= 0 && dup2(complaint, 2) >= 0)
		execve(where->nft, argv, environment);
	_exit(127);
}

/* Its first line; the others repeat the rules. */
static void complaint_read(int complaint, char *line, size_t size)
{
	ssize_t n = pread(complaint, line, size - 1, 0);

	line[max_of(n, (ssize_t)0)] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static int nft_run(const struct rules *where, const struct buffer *script, struct err *e)
{
	_cleanup_close_ int text = -1, complaint = -1;
	char line[256];
	int status, r;
	pid_t pid;

	if (script->failed)
		return err_errno(e, -ENOMEM, "cannot write the rules of the network");
	r = memory_file(script->data, script->size, &text);
	if (r == 0)
		r = memory_file("", 0, &complaint);
	if (r < 0)
		return err_errno(e, r, "cannot write the rules of the network");
	pid = fork();
	if (pid == 0)
		nft_execute(where, text, complaint);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return err_errno(e, -errno, "cannot run %s", where->nft);
	if (status == 0)
		return 0;
	complaint_read(complaint, line, sizeof(line));
	return err_set(e, -EIO, "%s refused the rules of the network (status %#x): %s", where->nft,
		(unsigned)status, line);
}

static bool network_is_valid(const char *text, size_t size)
{
	char word[INET_ADDRSTRLEN + 4], *bits, *end = NULL;
	struct in_addr address;

	if (size == 0 || size >= sizeof(word))
		return false;
	memcpy(word, text, size);
	word[size] = '\0';
	bits = strchr(word, '/');
	if (bits)
		*bits++ = '\0';
	if (inet_pton(AF_INET, word, &address) != 1)
		return false;
	return !bits || (*bits >= '0' && *bits <= '9' && strtoul(bits, &end, 10) <= 32 && !*end);
}

int rules_check_networks(const char *networks, struct err *e)
{
	for (const char *p = networks;; p++) {
		size_t size = strcspn(p, ",");

		if (!network_is_valid(p, size))
			return err_set(e, -EINVAL,
				"\"%.*s\" is not an IPv4 network such as 10.1.0.0/16",
				(int)min_of(size, (size_t)64), p);
		p += size;
		if (!*p)
			return 0;
	}
}

int rules_load(const struct rules *where, const char *allowed, struct err *e)
{
	_cleanup_buffer_ struct buffer script = { 0 };

	/* What an attempt before this one may have left. */
	buffer_append_string(&script, "table inet polyvisor { }\ndelete table inet polyvisor\n");
	for (size_t i = 0; i < array_size(rules); i++)
		buffer_printf(&script, "%s\n", rules[i]);
	if (allowed)
		buffer_printf(&script, "add element inet polyvisor allowed { %s }\n", allowed);
	return nft_run(where, &script, e);
}

static void resolver_add(struct buffer *script, uint32_t nameserver, struct in_addr resolver)
{
	struct in_addr asked = { htonl(nameserver) };
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &asked, from, sizeof(from));
	inet_ntop(AF_INET, &resolver, to, sizeof(to));
	buffer_printf(script, "add element inet polyvisor dns { %s : %s }\n", from, to);
}

int rules_update(const struct rules *where, const struct buffer *local,
	const struct resolvers *resolvers, struct err *e)
{
	_cleanup_buffer_ struct buffer script = { 0 };
	struct in_addr stand_in = { htonl(RULES_RESOLVER) };

	buffer_printf(&script,
		"flush set inet polyvisor local\n"
		"add element inet polyvisor local { %s 127.0.0.0/8 }\n"
		"flush map inet polyvisor dns\n",
		local->size ? local->data : "");
	for (unsigned i = 0; resolvers->count > 0 && i < RESOLVERS_MAX; i++)
		resolver_add(&script, RULES_NAMESERVERS + i,
			resolvers->loopback
				? stand_in
				: resolvers->addresses[min_of(i, resolvers->count - 1)]);
	return nft_run(where, &script, e);
}
