/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/ipc/control.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/hotplug.h"
#include "cokernel/core/log.h"
#include "cokernel/core/misbehave.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm.h"
#include "cokernel/mm/phys.h"
#include "libpoxis/debug.h"
#include "libpoxis/process.h"
#include "libpoxis/vfork.h"

void control_reply(uint32_t cookie, int64_t status, uint64_t result)
{
	host_send(&(struct otr_msg){
		.type = OTR_MSG_REPLY, .cookie = cookie, .arg = { (uint64_t)status, result },
	});
}

/* With the process referenced; NULL becomes -ESRCH. */
static int with_process(const struct otr_msg *m, struct process **p)
{
	*p = process_find((uint32_t)m->arg[0]);
	return *p ? 0 : -ESRCH;
}

static int64_t proc_create(const struct otr_msg *m, uint64_t *root)
{
	struct process *p;
	int err = process_create(&(struct process_setup){
		.context = (uint32_t)m->arg[0],
		.private_page = host_context_page(m->arg[1]),
		.mailbox = host_context_page(m->arg[2]),
		.slot_page = m->arg[3],
		.pid = (uint32_t)m->arg[4],
		.uid = (uint32_t)(m->arg[4] >> 32),
	}, &p);

	if (!err)
		*root = p->mm->root.v;
	return err;
}

static int64_t proc_fault(const struct otr_msg *m, uint64_t *result)
{
	uint32_t fetch;
	struct process *p;
	int64_t err = with_process(m, &p);

	if (err)
		return err;
	if (m->arg[1] < OTR_USER_START || m->arg[1] >= OTR_USER_END)
		err = -EFAULT;
	else
		err = vfork_fault(p, m->arg[1], m->arg[2] ? MM_WRITE : MM_READ, &fetch);
	if (err == -EINPROGRESS && fetch == MM_FETCH_GRANT) {
		err = -EFAULT;      /* the proxy has it itself */
	} else if (err == -EINPROGRESS) {
		*result = 1 + (uint64_t)fetch;
		err = 0;
	}
	process_put(p);
	return err;
}

/* A page that only the host has as well. */
static int64_t proc_debug(const struct otr_msg *m, uint64_t *result)
{
	const uint64_t arg[3] = { m->arg[3], m->arg[4], m->arg[5] };
	struct process *p;
	int64_t ret = with_process(m, &p);

	if (ret)
		return ret;
	ret = debug_request(p, m->arg[1], arg, host_context_page(m->arg[2]));
	process_put(p);
	*result = ret > 0 ? (uint64_t)ret : 0;
	return ret < 0 ? ret : 0;
}

bool control_message_now(const struct otr_msg *m)
{
	int64_t err = 0;
	uint64_t result = 0;
	struct process *p;

	switch (m->type) {
	case OTR_MSG_NOP:
		break;
	case OTR_MSG_PROC_CREATE:
		err = proc_create(m, &result);
		break;
	case OTR_MSG_PROC_FAULT:
		err = proc_fault(m, &result);
		break;
	case OTR_MSG_DEBUG:
		err = proc_debug(m, &result);
		break;
	case OTR_MSG_GRANT:
		err = with_process(m, &p);
		if (err)
			break;
		err = mm_grant(p->mm, m->arg[1], m->arg[2], m->arg + 3);
		process_put(p);
		break;
	case OTR_MSG_REVOKE:
		err = with_process(m, &p);
		if (err)
			break;
		mm_revoke(p->mm, m->arg[1], m->arg[2]);
		process_put(p);
		break;
	case OTR_MSG_PROC_START:
	case OTR_MSG_PROC_KILL:
	case OTR_MSG_PROC_STOP:
	case OTR_MSG_PROC_CONT:
	case OTR_MSG_PROC_SLOTS:
	case OTR_MSG_PROC_TWIN:
		err = with_process(m, &p);
		if (err)
			break;
		if (m->type == OTR_MSG_PROC_START && process_fork_token(p)) {
			process_put(p);
			return false;
		}
		if (m->type == OTR_MSG_PROC_START)
			err = process_start(p, 0);
		else if (m->type == OTR_MSG_PROC_KILL)
			process_kill(p, (int)(m->arg[1] & 0x7f));
		else if (m->type == OTR_MSG_PROC_STOP)
			process_stop(p);
		else if (m->type == OTR_MSG_PROC_CONT)
			process_continue(p);
		else if (m->type == OTR_MSG_PROC_SLOTS)
			err = process_add_slots(p, m->arg[1]);
		else
			err = process_add_twin(p, (uint32_t)m->arg[1], (uint32_t)m->arg[2]);
		process_put(p);
		break;
	case OTR_MSG_PROC_REAP:
	case OTR_MSG_SHUTDOWN:
	case OTR_MSG_MEM_ADD:
	case OTR_MSG_MEM_REMOVE:
	case OTR_MSG_CPU_ADD:
	case OTR_MSG_CPU_REMOVE:
	case OTR_MSG_TEST:
		return false;
	default:
		err = -ENOSYS;
	}
	control_reply(m->cookie, err, result);
	return true;
}

void control_message_later(const struct otr_msg *m)
{
	struct process *p;
	int64_t err;

	switch (m->type) {
	case OTR_MSG_PROC_START:
		err = with_process(m, &p);
		if (!err) {
			err = process_start(p, process_fork_token(p));
			process_put(p);
		}
		break;
	case OTR_MSG_PROC_REAP:
		err = process_reap((uint32_t)m->arg[0]);
		break;
	case OTR_MSG_MEM_ADD:
		err = hotplug_memory_add(PADDR(m->arg[0]), m->arg[1], (uint32_t)m->arg[2]);
		break;
	case OTR_MSG_MEM_REMOVE:
		err = hotplug_memory_remove(PADDR(m->arg[0]), m->arg[1]);
		break;
	case OTR_MSG_CPU_ADD:
		err = hotplug_cpu_add((uint32_t)m->arg[0], (uint32_t)m->arg[1],
				      (uint32_t)m->arg[2], (uint32_t)m->arg[3]);
		break;
	case OTR_MSG_CPU_REMOVE:
		err = hotplug_cpu_remove((uint32_t)m->arg[0]);
		break;
	case OTR_MSG_SHUTDOWN:
		err = hotplug_shutdown(m->cookie);
		break;
	case OTR_MSG_TEST:
		err = misbehave((uint32_t)m->arg[0]);
		break;
	default:
		err = -ENOSYS;
	}
	control_reply(m->cookie, err, 0);
}
