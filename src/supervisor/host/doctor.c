/*
 * doctor.c - `polyvisor doctor`: the table of features as a person, or a program, reads it.
 */
#include "supervisor/host/features.h"

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

static int examine(bool json)
{
	size_t count;
	const struct feature *features = features_table(&count);
	json_t *list = json_array();
	struct utsname system;
	int missing = 0;

	uname(&system);
	if (!json)
		printf("%s %s, %s, uid %u\n\n", system.sysname, system.release, system.machine,
			geteuid());
	for (size_t i = 0; i < count; i++) {
		char detail[DETAIL_SIZE] = "";
		enum feature_state state = features[i].probe(detail, sizeof(detail));

		missing += state == FEATURE_ABSENT && features[i].need == FEATURE_REQUIRED;
		if (!json)
			print_row(&features[i], state, detail);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", features[i].name,
				      "state", state_names[state], "need",
				      need_names[features[i].need], "gives", features[i].gives,
				      "without", features[i].without, "detail", detail));
	}
	if (json && json_dumpf(list, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
	else if (!json && missing)
		printf("\n%d that polyvisor cannot do without are missing.\n", missing);
	json_decref(list);
	return missing ? 1 : 0;
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
