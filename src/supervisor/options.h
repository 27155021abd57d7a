/*
 * options.h - the options of `polyvisor serve`.
 */
#pragma once

#include "base/macros.h"
#include "supervisor/supervisor.h"

/* 0; or 1 when the program is to end with exit code *ret_exit (help was asked for, or a usage error
 * was explained on standard error). Strings are from argv, or literals. */
int options_parse(int argc, char **argv, struct options *ret, int *ret_exit) MUST_CHECK;
