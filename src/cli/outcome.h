/*
 * outcome.h - how a command can end: the exit codes, which scripts may rely on.
 *
 * Functions of the command line return 0, a negative errno (a local fault, exit code 1), or one of
 * these. They are never renumbered; their meanings for people are in the table in outcome.c, which
 * help and the manual page print.
 */
#pragma once

enum outcome {
	OUTCOME_OK = 0,
	OUTCOME_FAILED = 1,
	OUTCOME_USAGE = 2,
	OUTCOME_UNREACHABLE = 3,
	OUTCOME_NOT_FOUND = 4,
	OUTCOME_FUNCTION_ERROR = 5,
	OUTCOME_THROTTLED = 6,
	OUTCOME_REFUSED = 7,
	OUTCOME_SUPERVISOR = 8,
	OUTCOME_COUNT
};

struct outcome_row {
	const char *name; /* as in --json */
	const char *meaning;
};

/* The row of what a function returned; a negative errno is OUTCOME_FAILED. */
const struct outcome_row *outcome_row(int r);

/* The exit code of what a function returned. */
int outcome_exit_code(int r);

/* What the status of a reply of the supervisor means for the command that asked. */
enum outcome outcome_of_status(long status);
