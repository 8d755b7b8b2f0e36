/* SPDX-License-Identifier: BSD-2-Clause */
/* Doubly linked circular lists with the links inside the objects. No locks. */
#ifndef COKERNEL_LIB_LIST_H
#define COKERNEL_LIB_LIST_H

#include "cokernel/lib/types.h"

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(l) { &(l), &(l) }

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

static inline void list_push_front(struct list *l, struct list *n)
{
	list_insert_between(n, l, l->next);
}

static inline void list_push_back(struct list *l, struct list *n)
{
	list_insert_between(n, l->prev, l);
}

/* Takes n out of its list and leaves it empty, so that removing twice is harmless. */
static inline void list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

static inline struct list *list_pop_front(struct list *l)
{
	struct list *n = l->next;

	if (n == l)
		return NULL;
	list_remove(n);
	return n;
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(l, type, member) list_entry((l)->next, type, member)

#define list_for_each(pos, l, member) \
	for (pos = list_entry((l)->next, typeof(*pos), member); \
	     &pos->member != (l); \
	     pos = list_entry(pos->member.next, typeof(*pos), member))

#define list_for_each_safe(pos, tmp, l, member) \
	for (pos = list_entry((l)->next, typeof(*pos), member), \
	     tmp = list_entry(pos->member.next, typeof(*pos), member); \
	     &pos->member != (l); \
	     pos = tmp, tmp = list_entry(tmp->member.next, typeof(*tmp), member))

#endif
