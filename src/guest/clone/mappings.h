/*
 * mappings.h - the memory map of a template, as the survey found it.
 */
#pragma once

#include "guest/clone/template.h"

struct mapping {
	char *start;
	size_t size;
	bool readable, writable, executable, shared;
	bool is_kernels; /* vvar, vdso, vsyscall: not ours to touch */
	bool is_stack;   /* of the first thread: it grows downwards */
	bool is_image;   /* data of a program or library, its zero-initialised part included */
	bool is_special; /* pages.c: what lies there may not be moved */
	uint64_t offset; /* in the file */
	dev_t device;
	ino_t inode;
	const char *name; /* kept for shared and writable ones only; "" without a name */
};

struct mappings {
	struct mapping *all; /* by ascending address */
	size_t count, capacity;
};

/* A line of maps, or the first of a mapping in smaps; false for any other. *ret_name points into it. */
bool mapping_parse(char *line, struct mapping *ret, const char **ret_name);

/* Reads /proc/self/maps. */
int mappings_read(struct arena *a, struct mappings *ret) MUST_CHECK;

/* mutexes.c: finds the mutexes and locks that are held and name their owner by TID. */
int mutexes_survey(struct clone_template *t, const struct mappings *m, struct err *e) MUST_CHECK;
