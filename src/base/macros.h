/*
 * macros.h - the attributes and small helpers that every file uses.
 *
 * Cleanup attributes tie a local resource to its scope: each is declared initialised, and handed
 * over to a new owner by take_fd() or take_ptr().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define array_size(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define min_of(a, b) ((a) < (b) ? (a) : (b))
#define max_of(a, b) ((a) > (b) ? (a) : (b))

/* Gives the pointer to the caller and leaves NULL behind, so that the cleanup attribute is idle. */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__auto_type taken_ = (p);                                                          \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

static inline void free_pointer(void *p)
{
	free(*(void **)p);
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(free_pointer)

/* Defines name_cleanup(), for use in _cleanup_(), of a destructor that accepts NULL. */
#define DEFINE_CLEANUP(type, destructor)                                                           \
	static inline void destructor##_cleanup(type *p)                                           \
	{                                                                                          \
		if (*p)                                                                            \
			destructor(*p);                                                            \
	}
