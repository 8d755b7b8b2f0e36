/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void send_all(struct server *s, const char *data, size_t bytes)
{
	while (bytes && !s->broken) {
		ssize_t n = write(s->out, data, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			s->broken = true;
			return;
		}
		data += n;
		bytes -= (size_t)n;
	}
}

void reply_bytes(struct server *s, const void *data, size_t bytes)
{
	s->frame_bytes = rsp_frame(data, bytes, s->frame);
	if (!s->frame_bytes)
		s->frame_bytes = rsp_frame("E07", 3, s->frame);         /* too long: E2BIG */
	send_all(s, s->frame, s->frame_bytes);
}

void reply(struct server *s, const char *text)
{
	reply_bytes(s, text, strlen(text));
}

void reply_error(struct server *s, int err)
{
	char text[8];

	snprintf(text, sizeof(text), "E%02x", err < 0 && err > -256 ? -err : EIO);
	reply(s, text);
}

void reply_result(struct server *s, int err)
{
	if (err)
		reply_error(s, err);
	else
		reply(s, "OK");
}

void put_thread(const struct server *s, char *to, size_t bytes, uint32_t tid)
{
	if (s->multiprocess)
		snprintf(to, bytes, "p%x.%x", s->t->pid, tid);
	else
		snprintf(to, bytes, "%x", tid);
}
