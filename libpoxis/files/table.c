/* SPDX-License-Identifier: BSD-2-Clause */
#include "libpoxis/files/files.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "libpoxis/files/local.h"
#include "libpoxis/process.h"

#define FILES_FIRST 32u
#define FILES_MOST  65536u      /* a descriptor above stays Linux's */

static struct file_entry *find(struct file_table *t, uint64_t fd)
{
	struct file_entry *e = fd < t->size ? &t->entry[fd] : NULL;

	return e && e->end ? e : NULL;
}

/* ---- Looking up ---- */

bool files_get(struct files *f, uint64_t fd, struct files_use *use)
{
	struct process *p = current_thread()->process;
	struct file_entry *e;
	bool changing;

	fd = (uint32_t)fd;
	/* Nobody else can close it then. */
	if (likely(load_relaxed(&p->thread_count) == 1)) {
		e = find(&f->table, fd);
		if (!e || local_is_remote(e->end->object))
			return false;
		*use = (struct files_use){ .end = e->end };
		return true;
	}
	for (;;) {
		spin_lock(&f->lock);
		e = find(&f->table, fd);
		if (!e || local_is_remote(e->end->object)) {
			spin_unlock(&f->lock);
			return false;
		}
		changing = e->changing;
		if (!changing) {
			*use = (struct files_use){ .end = local_end_get(e->end), .counted = true };
			spin_unlock(&f->lock);
			return true;
		}
		spin_unlock(&f->lock);
		mutex_lock(&f->mutex);
		mutex_unlock(&f->mutex);
	}
}

void files_put(const struct files_use *use)
{
	if (use->counted)
		local_end_put(use->end);
}

bool files_is(struct files *f, uint64_t fd, const struct local_end *end)
{
	struct file_entry *e;
	bool same;

	spin_lock(&f->lock);
	e = find(&f->table, (uint32_t)fd);
	same = e && e->end == end && !e->changing;
	spin_unlock(&f->lock);
	return same;
}

bool files_look(struct files *f, uint64_t fd, struct local **object, uint32_t *changes)
{
	struct file_entry *e;
	bool settled;

	*object = NULL;
	spin_lock(&f->lock);
	e = find(&f->table, (uint32_t)fd);
	settled = !e || !e->changing;
	*changes = f->changes;
	if (e && settled) {
		*object = e->end->object;
		local_get(*object);
	}
	spin_unlock(&f->lock);
	return settled;
}

struct local_end *files_peek(struct files *f, uint64_t fd)
{
	struct file_entry *e = find(&f->table, (uint32_t)fd);

	return e ? e->end : NULL;
}

/* ---- Changing; the mutex is held ---- */

int files_room(struct files *f, uint32_t fd)
{
	struct file_table *t = &f->table;
	struct file_entry *old = t->entry, *new;
	uint32_t size = MAX(t->size, FILES_FIRST);

	if (fd >= FILES_MOST)
		return -EINVAL;
	if (fd < t->size)
		return 0;
	while (size <= fd)
		size *= 2;
	new = kmem_zalloc(size * sizeof(*new));
	if (!new)
		return -ENOMEM;
	spin_lock(&f->lock);
	memcpy(new, old, t->size * sizeof(*new));
	t->entry = new;
	store_relaxed(&t->size, size);
	spin_unlock(&f->lock);
	kmem_free(old);
	return 0;
}

struct local_end *files_set(struct files *f, uint32_t fd, struct local_end *end, bool cloexec)
{
	struct file_entry *e = &f->table.entry[fd];
	struct local_end *old;

	spin_lock(&f->lock);
	old = e->end;
	*e = (struct file_entry){ .end = end, .cloexec = cloexec };
	f->changes++;
	store_relaxed(&f->table.count, f->table.count + !old);
	spin_unlock(&f->lock);
	return old;
}

/* Under the lock. */
static struct local_end *clear(struct files *f, struct file_entry *e)
{
	struct local_end *old = e->end;

	*e = (struct file_entry){ 0 };
	f->changes++;
	store_relaxed(&f->table.count, f->table.count - 1);
	return old;
}

struct local_end *files_clear(struct files *f, uint32_t fd)
{
	struct local_end *old = NULL;
	struct file_entry *e;

	spin_lock(&f->lock);
	e = find(&f->table, fd);
	if (e)
		old = clear(f, e);
	spin_unlock(&f->lock);
	return old;
}

static void mark(struct files *f, uint64_t first, uint64_t last, void (*set)(struct file_entry *, bool), bool to)
{
	spin_lock(&f->lock);
	f->changes++;
	for (uint64_t fd = first; fd <= last && fd < f->table.size; fd++)
		if (f->table.entry[fd].end)
			set(&f->table.entry[fd], to);
	spin_unlock(&f->lock);
}

static void set_changing(struct file_entry *e, bool to)
{
	e->changing = to;
}

static void set_cloexec(struct file_entry *e, bool to)
{
	e->cloexec = to;
}

void files_changing(struct files *f, uint64_t first, uint64_t last, bool changing)
{
	mark(f, first, last, set_changing, changing);
}

void files_cloexec(struct files *f, uint64_t first, uint64_t last, bool cloexec)
{
	mark(f, first, last, set_cloexec, cloexec);
}

/* All, or those that execve closes. */
static void clear_some(struct files *f, uint64_t first, uint64_t last, bool cloexec_only)
{
	for (uint64_t fd = first; fd <= last && fd < f->table.size; fd++) {
		struct file_entry *e = &f->table.entry[fd];
		struct local_end *old = NULL;

		spin_lock(&f->lock);
		if (e->end && (!cloexec_only || e->cloexec))
			old = clear(f, e);
		spin_unlock(&f->lock);
		if (old)
			local_end_put(old);
	}
}

void files_clear_range(struct files *f, uint64_t first, uint64_t last)
{
	clear_some(f, first, last, false);
}

/* ---- Processes ---- */

int files_copy(struct files *f, struct file_table **copy)
{
	struct file_table *to;

	*copy = NULL;
	if (!f->table.count && !f->table.estranged)
		return 0;
	to = kmem_alloc(sizeof(*to));
	if (!to)
		return -ENOMEM;
	*to = f->table;
	if (to->size)
		to->entry = kmem_alloc(to->size * sizeof(*to->entry));
	if (to->size && !to->entry) {
		kmem_free(to);
		return -ENOMEM;
	}
	spin_lock(&f->lock);
	memcpy(to->entry, f->table.entry, to->size * sizeof(*to->entry));
	for (uint32_t i = 0; i < to->size; i++)
		if (to->entry[i].end)
			local_end_get(to->entry[i].end);
	spin_unlock(&f->lock);
	*copy = to;
	return 0;
}

static void free_entries(struct file_table *t)
{
	for (uint32_t i = 0; i < t->size; i++)
		if (t->entry[i].end)
			local_end_put(t->entry[i].end);
	kmem_free(t->entry);
}

void files_free_copy(struct file_table *copy)
{
	if (copy)
		free_entries(copy);
	kmem_free(copy);
}

void files_adopt(struct files *f, struct file_table *copy)
{
	if (copy)
		f->table = *copy;
	kmem_free(copy);
}

void files_exec(struct files *f)
{
	if (!files_any(f))
		return;
	mutex_lock(&f->mutex);
	clear_some(f, 0, UINT32_MAX, true);
	mutex_unlock(&f->mutex);
}

void files_release(struct files *f)
{
	struct file_table t;

	spin_lock(&f->lock);
	t = f->table;
	f->table = (struct file_table){ 0 };
	f->changes++;
	spin_unlock(&f->lock);
	free_entries(&t);
}
