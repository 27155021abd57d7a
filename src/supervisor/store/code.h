/*
 * code.h - the functions' code: directory trees named by the SHA-256 of the archive they came in.
 *
 *     STATE/code/<64 hexadecimal digits>/    an unpacked archive, complete, never changed
 *     STATE/code/new-XXXXXX/                 one being unpacked, or removed
 *
 * A tree is unpacked by a confined process under the second kind of name, synchronised and renamed,
 * so that the first kind is always whole. Trees have pins: one for every stored function that has
 * that code, one for every configuration in memory (config_set_code), and one for every deploy
 * between code_put() and its commit. A tree without pins is removed by the next code_collect();
 * what a supervisor left behind when it was killed, by code_sweep().
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include <stdbool.h>

#define CODE_DIGEST_SIZE 65                 /* hexadecimal digits and the NUL */
#define CODE_ARCHIVE_MAX (50 * 1024 * 1024) /* bytes of an uploaded archive, as on Lambda */

struct code;

/* What code_put() can come to, apart from 0 and a negative errno. */
enum code_outcome {
	CODE_INVALID = 1, /* the archive is at fault; the sentence says why */
};

int code_new(const char *state, struct code **ret, struct err *e) MUST_CHECK;
struct code *code_free(struct code *code);
DEFINE_CLEANUP(struct code *, code_free)

/*
 * Unpacks and keeps an archive, unless it is there already, and pins it once for the caller. Takes
 * long: on a worker's thread only, and only one at a time together with code_collect().
 */
int code_put(struct code *code, const void *archive, size_t size, char ret_digest[CODE_DIGEST_SIZE],
	struct err *e) MUST_CHECK;

/* On any thread. A pin may be added to what is pinned already, or while the supervisor starts. */
int code_pin(struct code *code, const char *digest) MUST_CHECK;
void code_unpin(struct code *code, const char *digest);

/* Whether code_collect() would find something to remove; on any thread. */
bool code_has_garbage(struct code *code);

/* Removes the trees that have lost their last pin; on the thread of code_put(). */
void code_collect(struct code *code);

/* While the supervisor starts: removes everything in the directory that is not pinned. */
void code_sweep(struct code *code);

/* The host directory of a tree, whether or not it exists: 0 or -ENAMETOOLONG. */
int code_path(const struct code *code, const char *digest, char *ret, size_t size) MUST_CHECK;
