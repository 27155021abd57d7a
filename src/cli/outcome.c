/*
 * outcome.c - see outcome.h.
 */
#include "cli/outcome.h"

static const struct outcome_row rows[OUTCOME_COUNT] = {
	[OUTCOME_OK] = { "ok", "done" },
	[OUTCOME_FAILED] = { "failed", "something on this side failed, such as reading a file" },
	[OUTCOME_USAGE] = { "usage", "the command line was not understood" },
	[OUTCOME_UNREACHABLE] = { "unreachable", "the supervisor did not answer" },
	[OUTCOME_NOT_FOUND] = { "not-found", "there is no such function" },
	[OUTCOME_FUNCTION_ERROR] = { "function-error", "the function was run and failed" },
	[OUTCOME_THROTTLED] = { "throttled", "a limit was reached; try again later" },
	[OUTCOME_REFUSED] = { "refused", "the supervisor refused what it was asked or given" },
	[OUTCOME_SUPERVISOR] = { "supervisor", "the supervisor failed, or gave no usable answer" },
};

int outcome_exit_code(int r)
{
	return r < 0 || r >= OUTCOME_COUNT ? OUTCOME_FAILED : r;
}

const struct outcome_row *outcome_row(int r)
{
	return &rows[outcome_exit_code(r)];
}

enum outcome outcome_of_status(long status)
{
	if (status >= 200 && status < 300)
		return OUTCOME_OK;
	if (status == 404)
		return OUTCOME_NOT_FOUND;
	if (status == 429)
		return OUTCOME_THROTTLED;
	if (status >= 400 && status < 500)
		return OUTCOME_REFUSED;
	return OUTCOME_SUPERVISOR;
}
