/*
 * uuid.c - see uuid.h.
 */
#include "base/uuid.h"

#include <stddef.h>
#include <sys/random.h>

/* The kernel's generator does not fail once it is seeded, which it is before any program of ours.
 */
static void random_bytes(unsigned char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = getrandom(data, size, 0);

		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
}

void uuid_make(char ret[static UUID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[16];
	char *p = ret;

	random_bytes(bytes, sizeof(bytes));
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[bytes[i] >> 4];
		*p++ = hex[bytes[i] & 15];
	}
	*p = '\0';
}
