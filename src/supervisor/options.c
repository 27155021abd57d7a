/*
 * options.c - see options.h. One row of the table per option: parsing, defaults and help come from
 * it.
 */
#include "supervisor/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum option_kind {
	OPTION_TEXT,      /* const char * */
	OPTION_NUMBER,    /* uint32_t */
	OPTION_BYTES,     /* uint64_t, with K, M or G behind it */
	OPTION_CHOICE,    /* bool: the second of two words */
	OPTION_FLAG,      /* bool: given, without an argument */
	OPTION_ISOLATION, /* words, see option_set_isolation() */
};

struct option_row {
	const char *name, *argument, *help, *preset;
	enum option_kind kind;
	size_t offset;
	uint64_t least, most;
	const char *words[2]; /* OPTION_CHOICE: false, true */
};

#define AT(member) offsetof(struct options, member)

static const struct option_row option_rows[] = {
	{ "listen", "ADDR:PORT", "where to answer HTTP, or unix:PATH", "127.0.0.1:8480",
		OPTION_TEXT, AT(listen), 0, 0, { NULL } },
	{ "state", "DIR",
		"where functions are kept; default: /var/lib/polyvisor, or for an ordinary user "
		"~/.local/state/polyvisor",
		NULL, OPTION_TEXT, AT(state), 0, 0, { NULL } },
	{ "runtimes", "DIR", "the language runtimes; default: beside the program", NULL,
		OPTION_TEXT, AT(runtimes), 0, 0, { NULL } },
	{ "library", "DIR", "where libpolyvisor.so is; default: beside the program", NULL,
		OPTION_TEXT, AT(library), 0, 0, { NULL } },
	{ "memory-budget", "BYTES", "for templates and isolates; 0: half of the machine", "0",
		OPTION_BYTES, AT(memory_budget), 0, UINT64_MAX, { NULL } },
	{ "keep-alive", "SECONDS", "how long an idle isolate is kept", "60", OPTION_NUMBER,
		AT(keep_alive_s), 0, 86400, { NULL } },
	{ "template-keep-alive", "SECONDS",
		"how long the template of a function that nobody uses is kept", "600",
		OPTION_NUMBER, AT(template_keep_alive_s), 0, 604800, { NULL } },
	{ "spares", "N", "isolates of each function that are kept ready", "0", OPTION_NUMBER,
		AT(spares), 0, 1000, { NULL } },
	{ "concurrency", "N", "isolates alive at once, all functions together", "4000",
		OPTION_NUMBER, AT(concurrency), 1, 1000000, { NULL } },
	{ "isolation", "function|request|strict,...",
		"function or request: what an isolate serves; strict: refuse to start where the "
		"kernel "
		"lacks what `polyvisor doctor` calls strict",
		"function", OPTION_ISOLATION, 0, 0, 0, { NULL } },
	{ "launch", "clone|exec", "how isolates are made", "clone", OPTION_CHOICE, AT(launch_exec),
		0, 0, { "clone", "exec" } },
	{ "envelope", "on|off", "whether functions are confined; off only to measure what it costs",
		"on", OPTION_CHOICE, AT(envelope_off), 0, 0, { "on", "off" } },
	{ "network", "egress|none", "which network functions have by default", "egress",
		OPTION_CHOICE, AT(network_none), 0, 0, { "egress", "none" } },
	{ "egress-allow", "NETWORKS",
		"private networks that functions may reach, as 10.1.0.0/16,...", NULL, OPTION_TEXT,
		AT(egress_allow), 0, 0, { NULL } },
	{ "allow-host-network", "", "functions may be given the machine's network (network=host)",
		NULL, OPTION_FLAG, AT(allow_host_network), 0, 0, { NULL } },
	{ "first-uid", "UID", "of the 65536 user ids for functions, when started by root",
		"1900544000", OPTION_NUMBER, AT(first_uid), 1, 4000000000, { NULL } },
	{ "rotate-functions", "N",
		"function templates that share one runtime template, and its layout of memory",
		"1000", OPTION_NUMBER, AT(rotate_functions), 1, 1000000, { NULL } },
	{ "rotate-seconds", "SECONDS", "how long a runtime template is used", "3600", OPTION_NUMBER,
		AT(rotate_seconds), 1, 86400, { NULL } },
	{ "keys", "FILE", "access keys that may sign requests (AWS Signature Version 4), mode 600",
		NULL, OPTION_TEXT, AT(keys), 0, 0, { NULL } },
	{ "tls-certificate", "FILE", "answer HTTPS with this certificate chain (PEM)", NULL,
		OPTION_TEXT, AT(tls_certificate), 0, 0, { NULL } },
	{ "tls-key", "FILE", "its private key, mode 600", NULL, OPTION_TEXT, AT(tls_key), 0, 0,
		{ NULL } },
	{ "secrets", "DIR",
		"files named like functions, mode 600, with NAME=VALUE lines for their "
		"environment",
		NULL, OPTION_TEXT, AT(secrets), 0, 0, { NULL } },
	{ "cgroups", "auto|v2|v1|none", "which control groups limit functions", "auto", OPTION_TEXT,
		AT(cgroups), 0, 0, { NULL } },
	{ "warm", "NAMES", "runtimes whose template is made at start, or \"all\", or \"none\"",
		"all", OPTION_TEXT, AT(warm), 0, 0, { NULL } },
};

static void options_help(FILE *file)
{
	fputs("usage: polyvisor serve [options]\n\nRuns the supervisor until it is told to end "
	      "(SIGTERM, SIGINT).\n\n",
		file);
	for (size_t i = 0; i < array_size(option_rows); i++) {
		const struct option_row *row = &option_rows[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s %s", row->name, row->argument);
		fprintf(file, "  %-30s %s", left, row->help);
		if (row->preset)
			fprintf(file, " (%s)", row->preset);
		fputc('\n', file);
	}
}

static int parse_number(const char *text, bool units, uint64_t *ret)
{
	static const char letters[] = "KMG";
	char *end;
	uint64_t value;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (units && *end) {
		const char *letter = strchr(letters, toupper((unsigned char)*end));

		if (!letter || end[1])
			return -EINVAL;
		if (__builtin_mul_overflow(
			    value, (uint64_t)1 << 10 * (letter - letters + 1), &value))
			return -ERANGE;
	} else if (*end) {
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

/* "request,strict" and the like. */
static int option_set_isolation(struct options *options, const char *text)
{
	options->isolation_request = options->strict = false;
	for (const char *p = text; *p; p += strcspn(p, ","), p += *p == ',') {
		size_t size = strcspn(p, ",");

		if (size == 7 && !strncmp(p, "request", size))
			options->isolation_request = true;
		else if (size == 6 && !strncmp(p, "strict", size))
			options->strict = true;
		else if (size != 8 || strncmp(p, "function", size))
			return -EINVAL;
	}
	return *text ? 0 : -EINVAL;
}

static int option_set(const struct option_row *row, const char *text, struct options *options)
{
	void *at = (char *)options + row->offset;
	uint64_t number = 0;
	int r = 0;

	switch (row->kind) {
	case OPTION_TEXT:
		*(const char **)at = text;
		break;
	case OPTION_NUMBER:
	case OPTION_BYTES:
		r = parse_number(text, row->kind == OPTION_BYTES, &number);
		if (r == 0 && (number < row->least || number > row->most))
			r = -ERANGE;
		if (r == 0 && row->kind == OPTION_BYTES)
			*(uint64_t *)at = number;
		else if (r == 0)
			*(uint32_t *)at = (uint32_t)number;
		break;
	case OPTION_ISOLATION:
		r = option_set_isolation(options, text);
		break;
	case OPTION_CHOICE:
		*(bool *)at = !strcmp(text, row->words[1]);
		r = *(bool *)at || !strcmp(text, row->words[0]) ? 0 : -EINVAL;
		break;
	case OPTION_FLAG:
		*(bool *)at = true;
		break;
	}
	return r;
}

static void option_complain(const struct option_row *row, const char *text)
{
	if (row->kind == OPTION_NUMBER)
		fprintf(stderr,
			"polyvisor: --%s %s is not a number from %llu to %llu; see `polyvisor "
			"serve --help`\n",
			row->name, text, (unsigned long long)row->least,
			(unsigned long long)row->most);
	else
		fprintf(stderr,
			"polyvisor: --%s takes %s, not \"%s\"; see `polyvisor serve --help`\n",
			row->name, row->argument, text);
}

static void options_preset(struct options *options)
{
	*options = (struct options){ 0 };
	for (size_t i = 0; i < array_size(option_rows); i++)
		if (option_rows[i].preset &&
			option_set(&option_rows[i], option_rows[i].preset, options) < 0)
			abort(); /* the table contradicts itself */
}

int options_parse(int argc, char **argv, struct options *ret, int *ret_exit)
{
	struct option longs[array_size(option_rows) + 2] = { 0 };
	int index, c;

	for (size_t i = 0; i < array_size(option_rows); i++)
		longs[i] = (struct option){ option_rows[i].name,
			option_rows[i].kind == OPTION_FLAG ? no_argument : required_argument, NULL,
			1 };
	longs[array_size(option_rows)] = (struct option){ "help", no_argument, NULL, 'h' };
	options_preset(ret);
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, &index)) != -1) {
		if (c == 1 && option_set(&option_rows[index], optarg, ret) == 0)
			continue;
		if (c == 1)
			option_complain(&option_rows[index], optarg);
		if (c == 'h')
			options_help(stdout);
		*ret_exit = c == 'h' ? 0 : 2;
		return 1;
	}
	if (optind == argc)
		return 0;
	fprintf(stderr,
		"polyvisor: serve takes no argument such as \"%s\"; see `polyvisor serve "
		"--help`\n",
		argv[optind]);
	*ret_exit = 2;
	return 1;
}
