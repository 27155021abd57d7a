/*
 * uids.h - user ids for functions: each deployment has one that no other has while it lives.
 */
#pragma once

#include "base/macros.h"
#include "supervisor/host/subordinate_ids.h"

#include <stdbool.h>
#include <sys/types.h>

#define UIDS_COUNT FUNCTION_UIDS_COUNT

struct uids {
	uid_t first;   /* of the range; 0: there is none, everything is the supervisor's own user */
	uint32_t next; /* where to look first, so that a number is not reused soon */
	bool used[UIDS_COUNT];
};

/* A user id of the range; with all in use the last is shared, which weakens and does not fail. */
uid_t uids_take(struct uids *uids);
void uids_give_back(struct uids *uids, uid_t uid);
