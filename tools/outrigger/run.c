/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger run: becomes the proxy, a program of its own (tools/proxy/main.c). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/outrigger/command.h"

#define PROXY_NAME "outrigger-run"
#define OWN_FAILURE 125

int command_run(int argc, char **argv)
{
	char path[600];

	(void)argc;
	if (!command_beside("../lib/outrigger/" PROXY_NAME, path, sizeof(path)) &&
	    !command_beside(PROXY_NAME, path, sizeof(path))) {
		fprintf(stderr, "outrigger: there is no " PROXY_NAME " beside this program\n");
		return OWN_FAILURE;
	}
	execv(path, argv);
	fprintf(stderr, "outrigger: %s: %s\n", path, strerror(errno));
	return OWN_FAILURE;
}
