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
	uint64_t offset; /* in the file */
	dev_t device;
	ino_t inode;
	const char *name; /* kept for shared and writable ones only; "" without a name */
};

struct mappings {
	struct mapping *all; /* by ascending address */
	size_t count, capacity;
};

/* Reads /proc/self/maps. */
int mappings_read(struct arena *a, struct mappings *ret) MUST_CHECK;

/* mutexes.c: finds the mutexes and locks that are held and name their owner by TID. */
int mutexes_survey(struct clone_template *t, const struct mappings *m, struct err *e) MUST_CHECK;
