/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A make-believe process: enough of the PROC messages to exercise contexts.
 */
#include "tests/images/stub/stub.h"

uint64_t proc_message(const struct otr_msg *m, struct otr_msg *reply)
{
	return ENOSYS_NEG;
}

void proc_poll(void)
{
}
