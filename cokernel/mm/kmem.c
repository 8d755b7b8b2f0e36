/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each page of a class carries its free objects as a list through themselves;
 * page->tag is class + 1 (0: a block of pages), page->link the class's list. A page whose objects are
 * all free goes back to the zones. Objects above 2 KiB are blocks of pages.
 */
#include "cokernel/mm/kmem.h"
#include "cokernel/core/log.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/phys.h"

static const uint16_t class_bytes[] = { 32, 64, 128, 192, 256, 512, 1024, 2048 };
#define CLASSES ARRAY_SIZE(class_bytes)

struct object { struct object *next; };

static struct class {
	struct spinlock lock;
	struct list partial;        /* pages with a free object */
} classes[CLASSES];

/* The first object's place of each page holds this instead. */
struct slab {
	struct object *free;
	uint32_t used;
	uint32_t total;
};
_Static_assert(sizeof(struct slab) <= 32, "fits the smallest class");

static size_t class_of(size_t bytes)
{
	size_t c = 0;

	while (c < CLASSES && class_bytes[c] < bytes)
		c++;
	return c;
}

static struct page *slab_make(size_t c)
{
	struct page *p = page_alloc(0);
	struct slab *s;
	size_t each = class_bytes[c];

	if (!p)
		return NULL;
	p->tag = c + 1;
	s = page_to_virt(p);
	*s = (struct slab){ .total = (uint32_t)(PAGE_SIZE / each - 1) };
	for (size_t at = PAGE_SIZE / each - 1; at > 0; at--) {
		struct object *o = (struct object *)((char *)s + at * each);

		o->next = s->free;
		s->free = o;
	}
	return p;
}

void *kmem_alloc(size_t bytes)
{
	size_t c = class_of(bytes);
	struct class *k = &classes[c];
	struct object *o;
	struct page *p;
	struct slab *s;

	if (c == CLASSES) {
		uint32_t order = 0;

		while (PAGE_SIZE << order < bytes)
			order++;
		p = order <= ORDER_MOST ? page_alloc(order) : NULL;
		if (!p)
			return NULL;
		p->tag = 0;
		return page_to_virt(p);
	}
	spin_lock(&k->lock);
	if (!k->partial.next)
		list_init(&k->partial);
	if (list_empty(&k->partial)) {
		p = slab_make(c);
		if (!p) {
			spin_unlock(&k->lock);
			return NULL;
		}
		list_push_front(&k->partial, &p->link);
	}
	p = list_first(&k->partial, struct page, link);
	s = page_to_virt(p);
	o = s->free;
	s->free = o->next;
	s->used++;
	if (!s->free)
		list_remove(&p->link);
	spin_unlock(&k->lock);
	return o;
}

void *kmem_zalloc(size_t bytes)
{
	void *p = kmem_alloc(bytes);

	if (p)
		memset(p, 0, bytes);
	return p;
}

void kmem_free(void *ptr)
{
	struct page *p;
	struct class *k;
	struct slab *s;
	struct object *o = ptr;
	bool empty;

	if (!ptr)
		return;
	p = phys_to_page(virt_to_phys((void *)ALIGN_DOWN((uint64_t)ptr, PAGE_SIZE)));
	if (!p->tag) {
		page_put(p);
		return;
	}
	assert_kernel(p->tag <= CLASSES);
	k = &classes[p->tag - 1];
	s = page_to_virt(p);
	spin_lock(&k->lock);
	if (!s->free)
		list_push_front(&k->partial, &p->link);
	o->next = s->free;
	s->free = o;
	empty = --s->used == 0;
	if (empty)
		list_remove(&p->link);
	spin_unlock(&k->lock);
	if (empty)
		page_put(p);
}
