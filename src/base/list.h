/*
 * list.h - a doubly linked ring with the links inside the objects.
 *
 * A head is a `struct list` of its own; an object is in at most one ring per link. A link that is
 * in no ring points at itself, so that list_remove() is harmless on it.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>

struct list {
	struct list *next, *previous;
};

#define LIST_INIT(head)                                                                            \
	{                                                                                          \
		&(head), &(head)                                                                   \
	}

static inline void list_init(struct list *l)
{
	l->next = l->previous = l;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_append(struct list *head, struct list *l)
{
	l->previous = head->previous;
	l->next = head;
	head->previous->next = l;
	head->previous = l;
}

static inline void list_prepend(struct list *head, struct list *l)
{
	list_append(head->next, l);
}

static inline void list_remove(struct list *l)
{
	l->previous->next = l->next;
	l->next->previous = l->previous;
	list_init(l);
}

#define list_first(head, type, member)                                                             \
	(list_empty(head) ? NULL : container_of((head)->next, type, member))
#define list_last(head, type, member)                                                              \
	(list_empty(head) ? NULL : container_of((head)->previous, type, member))

#define list_for_each(item, head, member)                                                          \
	for (item = container_of((head)->next, __typeof__(*item), member);                         \
		&item->member != (head);                                                           \
		item = container_of(item->member.next, __typeof__(*item), member))

/* The item may be removed or freed in the body. */
#define list_for_each_safe(item, following, head, member)                                          \
	for (item = container_of((head)->next, __typeof__(*item), member),                         \
	    following = container_of(item->member.next, __typeof__(*item), member);                \
		&item->member != (head); item = following,                                         \
	    following = container_of(item->member.next, __typeof__(*item), member))
