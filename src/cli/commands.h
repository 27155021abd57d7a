/*
 * commands.h - the rows of the commands, each defined in the file named after it.
 */
#pragma once

#include "cli/cli.h"

extern const struct command command_bench;
extern const struct command command_completion;
extern const struct command command_deploy;
extern const struct command command_help;
extern const struct command command_invoke;
extern const struct command command_list;
extern const struct command command_logs;
extern const struct command command_remove;
extern const struct command command_runtimes;
extern const struct command command_show;
extern const struct command command_stats;
extern const struct command command_version;
