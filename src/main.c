/*
 * main.c - the program's parts: the supervisor, a helper of the supervisor, and the command line,
 * which is everything else.
 */
#include "base/macros.h"
#include "cli/cli.h"
#include "supervisor/doctor.h"
#include "supervisor/store/unpack.h"
#include "supervisor/supervisor.h"

#include <string.h>

struct part {
	const char *name;
	int (*run)(int argc, char **argv);
};

static const struct part parts[] = {
	{ "serve", supervisor_main }, { "doctor", doctor_main },
	{ UNPACK_COMMAND, unpack_main }, /* started by the supervisor only */
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < array_size(parts); i++)
		if (strcmp(argv[1], parts[i].name) == 0)
			return parts[i].run(argc - 1, argv + 1);
	return cli_main(argc, argv);
}
