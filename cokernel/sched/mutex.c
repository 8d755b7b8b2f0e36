/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/sched/mutex.h"
#include "cokernel/sched/thread.h"

struct mutex_waiter {
	struct mutex_waiter *next;
	struct thread *thread;
	_Atomic bool granted;
};

void mutex_lock(struct mutex *m)
{
	struct mutex_waiter me = { .thread = current_thread() };

	spin_lock(&m->lock);
	if (!m->held) {
		m->held = true;
		spin_unlock(&m->lock);
		return;
	}
	/* It stays until it is granted. */
	if (m->last)
		m->last->next = &me;
	else
		m->first = &me;             /* cppcheck-suppress autoVariables */
	m->last = &me;                  /* cppcheck-suppress autoVariables */
	spin_unlock(&m->lock);
	while (!atomic_load(&me.granted))
		thread_park();
}

/* Hands it to the first who waits. */
void mutex_unlock(struct mutex *m)
{
	struct mutex_waiter *w;
	struct thread *t = NULL;

	spin_lock(&m->lock);
	w = m->first;
	if (w) {
		m->first = w->next;
		if (!m->first)
			m->last = NULL;
		t = w->thread;
		/* From here on w may be gone. */
		atomic_store(&w->granted, true);
		thread_unpark(t);
	} else {
		m->held = false;
	}
	spin_unlock(&m->lock);
}
