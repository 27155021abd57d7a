/*
 * uids.c - see uids.h.
 */
#include "supervisor/schedule/uids.h"

uid_t uids_take(struct uids *uids)
{
	if (uids->first == 0)
		return 0;
	for (uint32_t i = 0; i < UIDS_COUNT; i++) {
		uint32_t index = (uids->next + i) % UIDS_COUNT;

		if (uids->used[index])
			continue;
		uids->used[index] = true;
		uids->next = (index + 1) % UIDS_COUNT;
		return uids->first + index;
	}
	return uids->first + UIDS_COUNT - 1;
}

void uids_give_back(struct uids *uids, uid_t uid)
{
	if (uid >= uids->first && uid - uids->first < UIDS_COUNT)
		uids->used[uid - uids->first] = false;
}
