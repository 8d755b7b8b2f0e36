/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_path(struct outrigger *o, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, ret;

	if (strlen(path) >= sizeof(a.sun_path))
		return outrigger_fail(o, -ENAMETOOLONG, "%s is too long for a socket", path);
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mask = umask(077);
	ret = fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1) ? -errno : 0;
	umask(mask);
	if (ret && fd >= 0)
		close(fd);
	return ret ? outrigger_fail(o, ret, "%s: %s", path, strerror(-ret)) : fd;
}

static int listen_port(struct outrigger *o, const char *address, char *target, size_t bytes)
{
	const char *colon = strrchr(address, ':'), *port = colon ? colon + 1 : address;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(at);
	char host[64] = "", *end;
	unsigned long number = strtoul(port, &end, 10);
	int fd, ret, one = 1;

	if (colon && (size_t)(colon - address) < sizeof(host))
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	if (!*port || *end || number > 65535 || (colon && colon != address && strcmp(host, "localhost") &&
						 !inet_aton(host, &at.sin_addr)))
		return outrigger_fail(o, -EINVAL, "%s is no address: a path with a '/', a port, or localhost or an "
				      "IPv4 address with a port", address);
	at.sin_port = htons((uint16_t)number);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ret = fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 1) ||
	      getsockname(fd, (struct sockaddr *)&at, &length) ? -errno : 0;
	if (ret && fd >= 0)
		close(fd);
	snprintf(target, bytes, "%s:%u", *host ? host : "localhost", ntohs(at.sin_port));
	return ret ? outrigger_fail(o, ret, "%s: %s", address, strerror(-ret)) : fd;
}

int gdb_listen(struct outrigger *o, const char *address, char *target, size_t bytes)
{
	snprintf(target, bytes, "%s", address);
	return strchr(address, '/') ? listen_path(o, address) : listen_port(o, address, target, bytes);
}

int gdb_accept(int listener, const char *address, int over)
{
	struct pollfd f[2] = { { .fd = listener, .events = POLLIN }, { .fd = over, .events = POLLIN } };
	int fd;

	do {
		fd = poll(f, 2, -1) < 0 ? -errno : f[1].revents ? -ESRCH : 0;
		if (!fd) {
			fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			fd = fd < 0 ? -errno : fd;
		}
	} while (fd == -EINTR);
	close(listener);
	if (strchr(address, '/'))
		unlink(address);
	return fd;
}
