/*
 * replay.c - runs a fuzz target over the files of its corpus, as a test without a fuzzer.
 */
#include "base/fd.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *directory, const char *name)
{
	_cleanup_free_ char *data = NULL;
	char path[4096];
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	if (fd_read_file(path, 16 << 20, &data, &size) < 0)
		return -1;
	return LLVMFuzzerTestOneInput((const uint8_t *)data, size);
}

int main(int argc, char **argv)
{
	DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	int count = 0;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.') {
			if (replay_file(argv[1], entry->d_name) != 0)
				return 1;
			count++;
		}
	if (directory)
		closedir(directory);
	printf("%d inputs replayed\n", count);
	return count > 0 ? 0 : 1;
}
