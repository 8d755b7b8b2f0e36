/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether an instance's TCP agrees with itself: counts with lists, the scoreboard with the sequence space. */
#ifndef AUDIT_H
#define AUDIT_H

struct net_stack;

/* Prints what does not and aborts. */
void audit_tcp(struct net_stack *ns);

#endif
