/*
 * preload.c - libpolyvisor-preload.so, loaded by LD_PRELOAD into runtimes with a V8 heap.
 *
 * V8 asks for each 256 KB page of its heap at a random address, for security by layout, which the
 * kernel honours: a 58 MB heap then has 1.8 MB of page tables, and its fork takes 3.5 times as
 * long. And it marks its heap MADV_DONTFORK, which leaves a clone without one. Here both wishes are
 * ignored: pages are placed side by side, at an address that the kernel chose, and are there in
 * clones.
 *
 * Large reservations keep their place. There are few of them, and the code range among them has to
 * be within reach of a near call from the executable. So do MAP_FIXED and MAP_FIXED_NOREPLACE,
 * where the address is no wish, and mappings of files.
 *
 * Nothing but system calls: V8 may call from a signal handler or before libc is fully there.
 */
/* Both names are wanted as they are; with large offsets, the header would make one of the other. */
#undef _FILE_OFFSET_BITS

#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRELOAD_LARGE ((size_t)16 * 1024 * 1024)
#define PRELOAD_PUBLIC __attribute__((visibility("default")))

PRELOAD_PUBLIC void *mmap(
	void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (size < PRELOAD_LARGE && (flags & MAP_ANONYMOUS) &&
		!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
		address = NULL;
	return (void *)(uintptr_t)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

/* On 64-bit machines both names have one meaning. */
PRELOAD_PUBLIC void *mmap64(void *address, size_t size, int protection, int flags, int fd,
	off64_t offset) __attribute__((alias("mmap")));

PRELOAD_PUBLIC int madvise(void *address, size_t size, int advice)
{
	if (advice == MADV_DONTFORK)
		return 0;
	return (int)syscall(SYS_madvise, address, size, advice);
}
