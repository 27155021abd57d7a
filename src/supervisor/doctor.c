/*
 * doctor.c - `polyvisor doctor`: the table of features as a person, or a program, reads it, and the
 * control groups as `serve` would find them.
 */
#include "supervisor/doctor.h"

#include "supervisor/host/features.h"
#include "supervisor/launch/cgroup.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define DETAIL_SIZE 128

static const char *const state_names[] = {
	[FEATURE_PRESENT] = "present",
	[FEATURE_PARTIAL] = "partial",
	[FEATURE_ABSENT] = "absent",
};

static const char *const need_names[] = {
	[FEATURE_REQUIRED] = "required",
	[FEATURE_STRICT] = "strict",
	[FEATURE_USEFUL] = "useful",
};

static void print_row(const struct feature *f, enum feature_state state, const char *detail)
{
	static const char *const marks[] = { "ok  ", "part", "NO  " };
	static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
	bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");

	printf("%s%s%s  %-16s %s", colour ? colours[state] : "", marks[state],
		colour ? "\033[0m" : "", f->name, f->gives);
	if (*detail)
		printf(" (%s)", detail);
	putchar('\n');
	if (state != FEATURE_PRESENT)
		printf("      %-16s %s: %s\n", "", need_names[f->need], f->without);
}

struct examination {
	bool json;
	json_t *list;
	int missing; /* of what is required */
};

static void report(struct examination *x, const struct feature *f, enum feature_state state,
	const char *detail)
{
	x->missing += state == FEATURE_ABSENT && f->need == FEATURE_REQUIRED;
	if (!x->json)
		print_row(f, state, detail);
	json_array_append_new(
		x->list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", f->name, "state",
				 state_names[state], "need", need_names[f->need], "gives", f->gives,
				 "without", f->without, "detail", detail));
}

static enum feature_state state_of_cgroups(const struct cgroups *cgroups)
{
	if (cgroups_version(cgroups) == CGROUP_NONE)
		return FEATURE_ABSENT;
	for (int i = 0; i <= CGROUP_CPU; i++)
		if (!cgroups_have(cgroups, i))
			return FEATURE_PARTIAL;
	return cgroups_version(cgroups) == CGROUP_V2 ? FEATURE_PRESENT : FEATURE_PARTIAL;
}

/* Which there are is known only from making one, and then they say themselves what is weaker. */
static void examine_cgroups(struct examination *x)
{
	static const char *const versions[] = {
		[CGROUP_NONE] = "",
		[CGROUP_V1] = "version 1",
		[CGROUP_V2] = "version 2",
	};
	struct feature f = { .name = "cgroup",
		.gives = "memory, processor share and tasks are limited by the kernel",
		.need = FEATURE_STRICT };
	char text[CGROUPS_TEXT_MAX];
	struct cgroups *cgroups = NULL;
	struct err e = { 0 };

	f.without = text;
	if (cgroups_new("auto", &cgroups, &e) < 0) {
		f.without = e.text;
		report(x, &f, FEATURE_ABSENT, "");
		return;
	}
	cgroups_describe(cgroups, text);
	report(x, &f, state_of_cgroups(cgroups), versions[cgroups_version(cgroups)]);
	cgroups_free(cgroups);
}

static int examine(bool json)
{
	size_t count;
	const struct feature *features = features_table(&count);
	struct examination x = { .json = json, .list = json_array() };
	struct utsname system;

	uname(&system);
	if (!json)
		printf("%s %s, %s, uid %u\n\n", system.sysname, system.release, system.machine,
			geteuid());
	for (size_t i = 0; i < count; i++) {
		char detail[DETAIL_SIZE] = "";
		enum feature_state state = features[i].probe(detail, sizeof(detail));

		report(&x, &features[i], state, detail);
	}
	examine_cgroups(&x);
	if (json && json_dumpf(x.list, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	else if (!json && x.missing)
		printf("\n%d that polyvisor cannot do without are missing.\n", x.missing);
	json_decref(x.list);
	return x.missing ? 1 : 0;
}

int doctor_main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h')
			puts("usage: polyvisor doctor [--json]\n\nSays what this machine's kernel "
			     "gives to the isolation of functions, and what is missing.");
		if (c != 'j')
			return c == 'h' ? 0 : 2;
		json = true;
	}
	if (optind < argc) {
		fprintf(stderr,
			"polyvisor: doctor takes no argument such as \"%s\"; see `polyvisor "
			"doctor --help`\n",
			argv[optind]);
		return 2;
	}
	return examine(json);
}
