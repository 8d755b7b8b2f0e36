/* SPDX-License-Identifier: BSD-2-Clause */
/* What the host's messages do. */
#ifndef COKERNEL_IPC_CONTROL_H
#define COKERNEL_IPC_CONTROL_H

#include "abi/chan.h"
#include "cokernel/lib/types.h"

/* In the doorbell interrupt: handles what is short; false: it must wait for
 * the worker. */
bool control_message_now(const struct otr_msg *m);
/* In the worker thread. */
void control_message_later(const struct otr_msg *m);
void control_reply(uint32_t cookie, int64_t status, uint64_t result);

#endif
