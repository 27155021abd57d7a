/*
 * uuid.h - random identifiers of requests and revisions (version 4, RFC 4122).
 */
#pragma once

#define UUID_SIZE 37 /* 36 characters and the NUL */

void uuid_make(char ret[static UUID_SIZE]);
