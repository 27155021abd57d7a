/*
 * unpack.h - `polyvisor unpack-archive`, the process that unpacks one archive of a tenant.
 *
 * An internal command: archives are hostile and the library that reads them is large, so this runs
 * in a process of its own, which gives up everything but reading the archive (descriptor 0), making
 * files in one directory (descriptor 4) and writing one sentence (descriptor 2).
 *
 * Kept are regular files, directories, and relative symbolic links that stay inside. Modes become
 * 0755 or 0644. Everything else makes the archive invalid as a whole.
 */
#pragma once

#define UNPACK_COMMAND "unpack-archive"
#define UNPACK_DIRECTORY 4 /* the descriptor */

#define UNPACK_BYTES_MAX (250 * 1024 * 1024) /* of all files together, as on Lambda */
#define UNPACK_ENTRIES_MAX 65535

enum unpack_exit {
	UNPACK_DONE,
	UNPACK_FAULT,   /* ours, such as a full disk; the sentence says what */
	UNPACK_INVALID, /* the archive's */
};

int unpack_main(int argc, char **argv);
