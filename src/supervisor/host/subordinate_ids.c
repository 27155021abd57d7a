/*
 * subordinate_ids.c - see subordinate_ids.h. A line is OWNER:FIRST:COUNT.
 */
#include "supervisor/host/subordinate_ids.h"

#include "base/fd.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 20)

static bool line_overlaps(const char *line, uint64_t first, uint64_t count)
{
	const char *colon = strchr(line, ':');
	unsigned long long start, size;
	char *end;

	if (!colon)
		return false;
	start = strtoull(colon + 1, &end, 10);
	if (end == colon + 1 || *end != ':')
		return false;
	size = strtoull(end + 1, NULL, 10);
	return start < first + count && first < start + size;
}

int subordinate_ids_overlap(
	const char *path, uint32_t first, uint32_t count, char *ret_owner, size_t size)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	if (fd_read_file(path, FILE_MAX, &text, NULL) < 0)
		return 0;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		if (!line_overlaps(line, first, count))
			continue;
		snprintf(ret_owner, size, "%.*s", (int)strcspn(line, ":"), line);
		return 1;
	}
	return 0;
}
