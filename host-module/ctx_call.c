// SPDX-License-Identifier: GPL-2.0
/*
 * Delegated calls: slots and their twins. The protocol is in abi/call.h. A slot
 * lies in memory that the proxy maps too, so anybody may have written anything
 * into it: whatever it says, a twin waits, is woken, or is told to go on.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ctx.h"

#define STOP_TIMEOUT_MS 2000

/* ---- Slot pages ---- */

/* One more slot page for the context. Its slots are visible to doorbells. */
struct otr_slot_page *otr_slots_alloc(struct otr_context *c, struct otr_note *note)
{
	struct otr_partition *p = c->p;
	struct otr_slot_page *sp;
	int ret, i;

	if (c->slot_pages == OTR_CTX_SLOT_PAGES)
		return ERR_PTR(otr_refuse(note, -EAGAIN, "a program has at most %u threads",
					  OTR_CTX_SLOT_PAGES * OTR_SLOTS_PER_PAGE));
	sp = kzalloc(sizeof(*sp), GFP_KERNEL);
	if (!sp)
		return ERR_PTR(-ENOMEM);
	ret = otr_ctx_page_alloc(p, &sp->page);
	if (ret) {
		kfree(sp);
		return ERR_PTR(otr_refuse(note, ret, "%s has no room for more threads", p->name));
	}
	sp->ctx = c;
	sp->slot = otr_ctx_page(p, sp->page);
	for (i = 0; i < OTR_SLOTS_PER_PAGE; i++)
		init_waitqueue_head(&sp->twin[i].wait);
	spin_lock_irq(&p->slot_lock);
	p->slot_page[sp->page] = sp;
	p->slot_page_end = max(p->slot_page_end, sp->page + 1);
	spin_unlock_irq(&p->slot_lock);
	c->slots[c->slot_pages] = sp;
	smp_store_release(&c->slot_pages, c->slot_pages + 1);
	return sp;
}

/* The context is detached: nobody waits at its slots any more. */
void otr_slots_free(struct otr_context *c)
{
	struct otr_partition *p = c->p;
	u32 i, n = c->slot_pages;

	for (i = 0; i < n; i++) {
		spin_lock_irq(&p->slot_lock);
		p->slot_page[c->slots[i]->page] = NULL;
		spin_unlock_irq(&p->slot_lock);
		otr_ctx_page_free(p, c->slots[i]->page);
	}
	spin_lock_irq(&p->slot_lock);
	while (p->slot_page_end && !p->slot_page[p->slot_page_end - 1])
		p->slot_page_end--;
	c->slot_pages = 0;
	spin_unlock_irq(&p->slot_lock);
	for (i = 0; i < n; i++)
		kfree(c->slots[i]);
}

void otr_slots_wake(struct otr_context *c)
{
	unsigned long flags;
	u32 i, j;

	spin_lock_irqsave(&c->p->slot_lock, flags);
	for (i = 0; i < c->slot_pages; i++)
		for (j = 0; j < OTR_SLOTS_PER_PAGE; j++)
			wake_up(&c->slots[i]->twin[j].wait);
	spin_unlock_irqrestore(&c->p->slot_lock, flags);
}

/* Doorbell interrupt: wakes the twins whose bits are set. */
void otr_ctx_wakes(struct otr_partition *p)
{
	u64 *word = p->sh.wake_c2h->word, bits;
	struct otr_slot_page *sp;
	u32 w, slot;

	spin_lock(&p->slot_lock);
	for (w = 0; w < DIV_ROUND_UP(p->slot_page_end * OTR_SLOTS_PER_PAGE, 64); w++) {
		if (!READ_ONCE(word[w]))
			continue;
		bits = xchg(&word[w], 0);
		while (bits) {
			slot = w * 64 + __ffs64(bits);
			bits &= bits - 1;
			if (slot / OTR_SLOTS_PER_PAGE >= p->slot_page_end)
				break;
			sp = p->slot_page[slot / OTR_SLOTS_PER_PAGE];
			if (sp)
				wake_up(&sp->twin[slot % OTR_SLOTS_PER_PAGE].wait);
		}
	}
	spin_unlock(&p->slot_lock);
}

/* The context's slot of that number, or NULL. */
static struct otr_slot_page *slot_of(struct otr_context *c, u32 slot, u32 *place)
{
	u32 i, n = smp_load_acquire(&c->slot_pages);

	*place = slot % OTR_SLOTS_PER_PAGE;
	for (i = 0; i < n; i++)
		if (c->slots[i]->page == slot / OTR_SLOTS_PER_PAGE)
			return c->slots[i];
	return NULL;
}

/* ---- Twins ---- */

/* Claims a free slot; slot_lock inside. */
static bool claim(struct otr_context *c, struct otr_slot_page **sp, u32 *place)
{
	u32 i, j;

	spin_lock_irq(&c->p->slot_lock);
	for (i = 0; i < c->slot_pages; i++) {
		for (j = 0; j < OTR_SLOTS_PER_PAGE; j++) {
			struct otr_twin *t = &c->slots[i]->twin[j];

			if (t->used)
				continue;
			t->used = true;
			t->task = current;
			*sp = c->slots[i];
			*place = j;
			spin_unlock_irq(&c->p->slot_lock);
			return true;
		}
	}
	spin_unlock_irq(&c->p->slot_lock);
	return false;
}

static int more_slots(struct otr_context *c, struct otr_note *note)
{
	struct otr_msg msg = { .type = OTR_MSG_PROC_SLOTS };
	struct otr_slot_page *sp = otr_slots_alloc(c, note);
	int ret;

	if (IS_ERR(sp))
		return PTR_ERR(sp);
	msg.arg[0] = c->id;
	msg.arg[1] = sp->page;
	ret = otr_request(c->p, &msg, NULL, OTR_REQUEST_TIMEOUT_MS, true);
	return ret ? otr_refuse(note, ret, "the co-kernel takes no more threads (error %d)", ret) : 0;
}

static int twin(struct otr_context *c, struct otr_ioc_twin *req, struct otr_note *note)
{
	struct otr_msg msg = { .type = OTR_MSG_PROC_TWIN };
	struct otr_slot_page *sp;
	u32 place;
	int ret;

	if (c->detached || otr_ctx_over(c))
		return otr_refuse(note, -ESRCH, "the program is over");
	mutex_lock(&c->twin_lock);
	ret = 0;
	if (!claim(c, &sp, &place)) {
		ret = more_slots(c, note);
		if (!ret && !claim(c, &sp, &place))
			ret = -EAGAIN;
	}
	mutex_unlock(&c->twin_lock);
	if (ret)
		return ret;
	req->slot = sp->page * OTR_SLOTS_PER_PAGE + place;
	req->page = sp->page;
	WRITE_ONCE(sp->slot[place].tid, task_pid_vnr(current));
	msg.arg[0] = c->id;
	msg.arg[1] = req->slot;
	msg.arg[2] = task_pid_vnr(current);
	ret = otr_request(c->p, &msg, NULL, OTR_REQUEST_TIMEOUT_MS, true);
	return ret ? otr_refuse(note, ret, "the co-kernel takes no twin (error %d)", ret) : 0;
}

int otr_ctx_twin(struct file *file, struct otr_ioc_twin *req, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(file, note);
	int ret;

	if (IS_ERR(c))
		return PTR_ERR(c);
	ret = twin(c, req, note);
	otr_ctx_leave(c);
	return ret;
}

/* ---- Waiting and waking ---- */

static int wait_posted(struct otr_context *c, struct otr_slot *slot, struct otr_twin *t)
{
	DEFINE_WAIT(entry);
	int ret = 0;

	for (;;) {
		prepare_to_wait(&t->wait, &entry, TASK_INTERRUPTIBLE);
		/* full barrier: pairs with the caller's xchg of POSTED */
		if (cmpxchg(&slot->state, 0, OTR_SLOT_WORKER_SLEEPS) & OTR_SLOT_POSTED)
			break;
		if (otr_ctx_over(c)) {
			ret = 1;
			break;
		}
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		schedule();
	}
	finish_wait(&t->wait, &entry);
	/* If the call came in between, it is not lost: the next wait finds it. */
	if (ret)
		cmpxchg(&slot->state, OTR_SLOT_WORKER_SLEEPS, 0);
	return ret;
}

int otr_ctx_wait(struct file *file, struct otr_ioc_wait *req, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(file, note);
	struct otr_slot_page *sp;
	u32 place;
	int ret = 1;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (c->detached || otr_ctx_over(c))
		goto over;
	sp = slot_of(c, req->slot, &place);
	if (!sp || READ_ONCE(sp->twin[place].task) != current) {
		ret = otr_refuse(note, -EINVAL, "slot %u is not this thread's", req->slot);
		goto leave;
	}
	ret = wait_posted(c, &sp->slot[place], &sp->twin[place]);
	if (!ret)
		otr_zap_apply(c);
over:
	/* A call posted before the end is still to be executed first. */
	if (ret == 1)
		req->status = READ_ONCE(c->exited) ? c->status : SIGKILL;
leave:
	otr_ctx_leave(c);
	return ret;
}

int otr_ctx_kick(struct file *file, u32 slot, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(file, note);
	struct otr_slot_page *sp;
	u32 place;
	int ret = 0;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (c->detached || otr_ctx_over(c))
		goto leave;	/* nobody sleeps there any more */
	sp = slot_of(c, slot, &place);
	if (sp)
		otr_wake_send(c->p, slot, READ_ONCE(sp->slot[place].cpu));
	else
		ret = otr_refuse(note, -EINVAL, "slot %u is not this program's", slot);
leave:
	otr_ctx_leave(c);
	return ret;
}

int otr_ctx_zap(struct file *file, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(file, note);

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (!c->detached)
		otr_zap_apply(c);
	otr_ctx_leave(c);
	return 0;
}

/* ---- Start and stop ---- */

static int request_simple(struct otr_context *c, u16 type, u32 timeout_ms)
{
	struct otr_msg msg = { .type = type, .arg = { c->id } };

	return otr_request(c->p, &msg, NULL, timeout_ms, true);
}

int otr_ctx_start(struct file *file, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(file, note);
	int ret;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (c->detached || otr_ctx_over(c))
		ret = otr_refuse(note, -ESRCH, "the program is over");
	else
		ret = request_simple(c, OTR_MSG_PROC_START, OTR_REQUEST_TIMEOUT_MS);
	otr_ctx_leave(c);
	return ret;
}

int otr_ctx_stop(struct file *file, bool stop, struct otr_note *note)
{
	struct otr_context *c = otr_ctx_enter(file, note);
	int ret = 0;

	if (IS_ERR(c))
		return PTR_ERR(c);
	if (!c->detached && !otr_ctx_over(c))
		ret = request_simple(c, stop ? OTR_MSG_PROC_STOP : OTR_MSG_PROC_CONT,
				     STOP_TIMEOUT_MS);
	otr_ctx_leave(c);
	return ret;
}

/* Linux sets the core bit of a wait status only for core files of its own. A fatal
 * signal marks the process; the status that its parent will see is replaced before
 * this thread, which has not died yet, lets it be reaped. */
int otr_ctx_die(struct file *file, const struct otr_ioc_die *req, struct otr_note *note)
{
	struct otr_context *c;
	u32 signal = req->status & 0x7f;

	if (req->status & ~0xffu || !signal || signal > _NSIG)
		return otr_refuse(note, -EINVAL, "%#x is no status of a killed process", req->status);
	c = otr_ctx_enter(file, note);
	if (IS_ERR(c))
		return PTR_ERR(c);
	otr_ctx_leave(c);
	send_sig(SIGKILL, current, 1);
	spin_lock_irq(&current->sighand->siglock);
	if (current->signal->flags & SIGNAL_GROUP_EXIT)
		current->signal->group_exit_code = req->status;
	spin_unlock_irq(&current->sighand->siglock);
	return 0;
}

/* The proxy was stopped or continued. */
void otr_ctx_stop_work(struct work_struct *work)
{
	struct otr_context *c = container_of(work, struct otr_context, stop_work);
	bool stop = READ_ONCE(c->stop_wanted);

	if (stop == c->stop_sent || otr_ctx_over(c))
		return;
	if (!request_simple(c, stop ? OTR_MSG_PROC_STOP : OTR_MSG_PROC_CONT, STOP_TIMEOUT_MS))
		c->stop_sent = stop;
}
