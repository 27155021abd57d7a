/*
 * zip.h - writes zip archives that no decent program would write.
 */
#pragma once

#include "base/buffer.h"

struct zip_entry {
	const char *name;
	const char *data;      /* NUL-terminated; stored as it is */
	unsigned mode;         /* as of stat(), file type included; 0: made on a system without */
	unsigned flags;        /* general purpose bit flags; 1 is "encrypted" */
	unsigned method;       /* of compression, which is not done */
	unsigned claimed_size; /* 0: the truth */
};

/* Appends an archive of the entries, ended by one without a name. */
void zip_write(struct buffer *b, const struct zip_entry *entries);
