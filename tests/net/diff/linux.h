/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DIFF_LINUX_H
#define DIFF_LINUX_H

/* TCP_INFO's state of a socket, 0 if it has none. */
int diff_linux_state(int fd);
/* NewReno for it and for what it accepts, whatever the machine's default is. 0 or -1 and errno. */
int diff_linux_reno(int fd);

#endif
