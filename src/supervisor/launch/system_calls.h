/*
 * system_calls.h - which system calls a function may make: the table, compiled once into a BPF
 * program.
 *
 * What a program needs is allowed; what is known and refused fails with EPERM; everything else,
 * calls that are younger than the table included, with ENOSYS, as on an older kernel, so that
 * programs fall back. The program is installed in the function template and inherited by its
 * isolates.
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

/* Compiles the table for this machine into a sealed memory file. The descriptor is the caller's. 0
 * or -errno with the sentence. */
int system_calls_compile(int *ret_fd, struct err *e) MUST_CHECK;
