/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the `outrigger` command share. */
#ifndef OUTRIGGER_COMMAND_H
#define OUTRIGGER_COMMAND_H

#include "loader/outrigger.h"

int command_run(int argc, char **argv);

#endif
