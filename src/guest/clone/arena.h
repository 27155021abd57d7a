/*
 * arena.h - the memory of a template: everything that parking and the survey record.
 *
 * It is mapped, never malloc'd, since a parked thread may hold the lock of malloc, and it goes as a
 * whole. Objects are zeroed and aligned to 16 bytes and are never freed one by one.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of the mapping, this header included */
};

struct arena {
	struct arena_chunk *chunks; /* newest first; the last one holds the owner of the arena */
	char *free;
	size_t left;
};

/* NULL when there is no memory. */
void *arena_alloc(struct arena *a, size_t size);

/* Makes room for one more element of a growing array; false when there is no memory. */
bool arena_grow(struct arena *a, void **array, size_t *capacity, size_t count, size_t element);

/* Unmaps everything; `a` may lie in it. */
void arena_free(struct arena *a);
