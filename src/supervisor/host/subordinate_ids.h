/*
 * subordinate_ids.h - user ids that /etc/subuid gives to people: whoever has one may signal what runs
 * under it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SUBORDINATE_IDS "/etc/subuid"

/*
 * The default range of functions. useradd gives out 100000 to 600100000, systemd's containers have
 * 524288 to 1879048191, its foreign ids are at 2147352576; nobody is known to use what is between.
 */
#define FUNCTION_UIDS_FIRST 1900544000
#define FUNCTION_UIDS_COUNT 65536

/* Who has been given ids of this range, in *ret_owner; 1 if anybody, 0 if nobody or no such file. */
int subordinate_ids_overlap(
	const char *path, uint32_t first, uint32_t count, char *ret_owner, size_t size);
