/*
 * preload.c - libpolyvisor-preload.so, loaded by LD_PRELOAD into runtimes that map their heap piece
 * by piece: V8, and CPython's allocator.
 *
 * V8 asks for each 256 KB page of its heap at a random address, for security by layout, which the
 * kernel honours: a 58 MB heap then has 1.8 MB of page tables, and its fork takes 3.5 times as
 * long. And it marks its heap MADV_DONTFORK, which leaves a clone without one. CPython takes what
 * the kernel gives, which lies between libraries, where no 2 MB are of one kind. Here pieces are
 * placed side by side, upwards from a place that the kernel chose, so that a template's memory can
 * be gathered in large pages (clone/pages.c), and are there in clones.
 *
 * Large reservations keep their place. There are few of them, and the code range among them has to
 * be within reach of a near call from the executable. So do MAP_FIXED and MAP_FIXED_NOREPLACE,
 * where the address is no wish, and mappings of files.
 *
 * Nothing but system calls: V8 may call from a signal handler or before libc is fully there.
 */
/* Both names are wanted as they are; with large offsets, the header would make one of the other. */
#undef _FILE_OFFSET_BITS

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRELOAD_LARGE ((size_t)16 << 20)
#define PRELOAD_ROOM ((size_t)64 << 30) /* of addresses; where it ends, the kernel chooses again */
#define PRELOAD_ALIGN ((size_t)2 << 20)
/* V8's third piece of 256 KB becomes read-only. So that the others share no 2 MB with it, it ends some. */
#define PRELOAD_START ((size_t)1280 << 10)
#define PRELOAD_NOWHERE 1 /* no address: there was no such room */
#define PRELOAD_PUBLIC __attribute__((visibility("default")))

/* Where the next piece goes; 0 before the first. The one state of a process's pieces: it has to be
 * global, since those who call here do not know that they do. */
static _Atomic uintptr_t next_piece;

static bool is_error(long r)
{
	return r < 0 && r > -4096;
}

static uintptr_t room_find(void)
{
	long room = syscall(SYS_mmap, NULL, PRELOAD_ROOM, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t none = 0, start;

	if (is_error(room))
		return PRELOAD_NOWHERE;
	syscall(SYS_munmap, room, PRELOAD_ROOM);
	start = (((uintptr_t)room + PRELOAD_ALIGN - 1) & ~(PRELOAD_ALIGN - 1)) + PRELOAD_START;
	/* Another thread may have been faster. */
	return atomic_compare_exchange_strong(&next_piece, &none, start) ? start : none;
}

/* NULL when the kernel is to choose. Threads that ask at once are given one place, which the kernel
 * then gives to one of them. */
static void *piece_place(void)
{
	uintptr_t place = atomic_load(&next_piece);

	if (!place)
		place = room_find();
	return place == PRELOAD_NOWHERE ? NULL : (void *)place;
}

PRELOAD_PUBLIC void *mmap(
	void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	bool piece = size < PRELOAD_LARGE && (flags & MAP_ANONYMOUS) &&
		     !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE));
	bool data = piece && !(protection & PROT_EXEC) && (flags & MAP_PRIVATE);
	long r;

	if (piece)
		address = data ? piece_place() : NULL;
	r = syscall(SYS_mmap, address, size, protection, flags, fd, offset);
	if (data && address && (void *)(uintptr_t)r == address)
		atomic_store(&next_piece, (uintptr_t)r + ((size + 4095) & ~(size_t)4095));
	return (void *)(uintptr_t)r;
}

/* On 64-bit machines both names have one meaning. */
PRELOAD_PUBLIC void *mmap64(void *address, size_t size, int protection, int flags, int fd,
	off64_t offset) __attribute__((alias("mmap")));

/* V8 asks for more than it needs, to cut off what is not aligned: the next piece goes there. */
PRELOAD_PUBLIC int munmap(void *address, size_t size)
{
	uintptr_t end = (uintptr_t)address + ((size + 4095) & ~(size_t)4095);
	int r = (int)syscall(SYS_munmap, address, size);

	if (r == 0)
		atomic_compare_exchange_strong(&next_piece, &end, (uintptr_t)address);
	return r;
}

PRELOAD_PUBLIC int madvise(void *address, size_t size, int advice)
{
	if (advice == MADV_DONTFORK)
		return 0;
	return (int)syscall(SYS_madvise, address, size, advice);
}
