/*
 * arena.c - the memory of a template, in mappings that grow with what it has to hold.
 */
#include "guest/clone/arena.h"

#include "guest/clone/arch.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define CHUNK_SIZE ((size_t)256 << 10)
#define ALIGNMENT ((size_t)16)

static bool chunk_add(struct arena *a, size_t payload)
{
	size_t size =
		max_of(CHUNK_SIZE, (payload + sizeof(struct arena_chunk) + 4095) & ~(size_t)4095);
	struct arena_chunk *chunk =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (chunk == MAP_FAILED)
		return false;
	chunk->next = a->chunks;
	chunk->size = size;
	a->chunks = chunk;
	a->free = (char *)(chunk + 1);
	a->left = size - sizeof(*chunk);
	return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
	void *object;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	if (size > a->left && !chunk_add(a, size))
		return NULL;
	object = a->free;
	a->free += size;
	a->left -= size;
	return object;
}

bool arena_grow(struct arena *a, void **array, size_t *capacity, size_t count, size_t element)
{
	size_t larger = *capacity ? *capacity * 2 : 16;
	void *copy;

	if (count < *capacity)
		return true;
	copy = arena_alloc(a, larger * element);
	if (!copy)
		return false;
	if (count)
		memcpy(copy, *array, count * element);
	*array = copy;
	*capacity = larger;
	return true;
}

/* By raw calls: this also runs in the helper thread, which has no errno of its own. */
void arena_free(struct arena *a)
{
	struct arena_chunk *chunk = a->chunks;

	while (chunk) {
		struct arena_chunk *next = chunk->next;

		raw_syscall(SYS_munmap, chunk, chunk->size);
		chunk = next;
	}
}
