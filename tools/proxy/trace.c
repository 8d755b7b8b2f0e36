/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"
#include "tools/proxy/trace_format.h"

/* In memory that the program's processes share. */
struct total {
	_Atomic uint64_t calls, errors, ns, delegated;
};

static struct trace_options options;
static struct total *totals;    /* [TRACE_CALLS + 1]; the last: numbers out of range */
#define TOTALS (TRACE_CALLS + 1)
static int output = -1;
static pid_t root;

/* The call that this twin's thread is in. */
static __thread struct {
	uint32_t nr;
	uint64_t arg[6];
	struct trace_args args;
	bool told;                  /* by trace_enter() */
} now;

int trace_start(struct outrigger *o, const struct trace_options *wanted)
{
	int fd;

	options = *wanted;
	if (!options.lines && !options.summary)
		return 0;
	fd = options.output ? open(options.output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666) :
			      fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return outrigger_fail(o, -errno, "%s: %s", options.output ? options.output : "standard error",
				      strerror(errno));
	output = hide_fd(fd);
	root = getpid();
	totals = mmap(NULL, TOTALS * sizeof(*totals), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED)
		return outrigger_fail(o, -ENOMEM, "no memory to count calls");
	return 0;
}

uint64_t trace_flags(void)
{
	return (options.lines ? OTR_EXEC_TRACE : 0) | (options.summary ? OTR_EXEC_COUNT : 0);
}

void trace_before_close(void)
{
	if (output >= 0)
		output = fcntl(output, F_DUPFD_CLOEXEC, 0);
}

void trace_after_close(void)
{
	if (output >= 0)
		output = hide_fd(output);
}

/* ---- Lines ---- */

/* One write, so that lines of several threads do not mix. */
static void put(const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(output, text, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		bytes -= (size_t)n;
	}
}

static void put_json(struct json_object *j)
{
	const char *text = json_object_to_json_string_ext(j, JSON_C_TO_STRING_PLAIN);
	size_t bytes = strlen(text);
	char *line = malloc(bytes + 1);

	if (line) {
		memcpy(line, text, bytes);
		line[bytes] = '\n';
		put(line, bytes + 1);
		free(line);
	}
	json_object_put(j);
}

static size_t read_program(uint64_t at, void *to, size_t bytes)
{
	struct iovec here = { to, bytes }, there;
	size_t first = OTR_PAGE_SIZE - at % OTR_PAGE_SIZE;
	ssize_t n;

	if (at < OTR_USER_START || at >= OTR_USER_END)
		return 0;
	/* A page at a time: the second one may not be there. */
	there = (struct iovec){ (void *)at, bytes < first ? bytes : first };
	n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
	if (n == (ssize_t)first && bytes > first) {
		ssize_t more;

		here = (struct iovec){ (char *)to + first, bytes - first };
		there = (struct iovec){ (void *)(at + first), bytes - first };
		more = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
		n += more > 0 ? more : 0;
	}
	return n > 0 ? (size_t)n : 0;
}

static const char *name_of(uint32_t nr, char room[32])
{
	const char *name = trace_call_name(nr);

	if (name)
		return name;
	snprintf(room, 32, "syscall_%u", nr);
	return room;
}

static void line_text(bool over, int64_t result, uint64_t ns, const char *where)
{
	char text[6 * TRACE_ARG_BYTES + 512], value[256], room[32];
	int n = snprintf(text, sizeof(text), "%d %s(", gettid(), name_of(now.nr, room));
	uint32_t i;

	for (i = 0; i < now.args.count; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", i ? ", " : "", now.args.text[i]);
	if (over) {
		trace_format_result(value, sizeof(value), now.nr, result);
		n += snprintf(text + n, sizeof(text) - (size_t)n, ") = %s <%lu.%06lu> %s\n", value,
			      (unsigned long)(ns / 1000000000), (unsigned long)(ns % 1000000000 / 1000), where);
	} else {
		n += snprintf(text + n, sizeof(text) - (size_t)n, ") = ? %s\n", where);
	}
	put(text, (size_t)n);
}

static void line_json(bool over, int64_t result, uint64_t ns, const char *where)
{
	struct json_object *j = json_object_new_object(), *args = json_object_new_array();
	const char *error = over ? trace_error_name(result) : NULL;
	char room[32];
	uint32_t i;

	for (i = 0; i < now.args.count; i++)
		json_object_array_add(args, json_object_new_string(now.args.text[i]));
	json_object_object_add(j, "tid", json_object_new_int(gettid()));
	json_object_object_add(j, "call", json_object_new_string(name_of(now.nr, room)));
	json_object_object_add(j, "args", args);
	json_object_object_add(j, "result", over ? json_object_new_int64(result) : NULL);
	json_object_object_add(j, "error", error ? json_object_new_string(error) : NULL);
	json_object_object_add(j, "ns", over ? json_object_new_int64((int64_t)ns) : NULL);
	json_object_object_add(j, "where", json_object_new_string(where));
	put_json(j);
}

static void put_line(bool over, int64_t result, uint64_t ns, const char *where)
{
	(options.json ? line_json : line_text)(over, result, ns, where);
}

/* ---- Calls ---- */

static bool is_last(uint32_t nr)
{
	return nr == SYS_exit || nr == SYS_exit_group;
}

static void count(uint32_t nr, int64_t result, uint64_t ns, bool delegated)
{
	struct total *t = &totals[nr < TRACE_CALLS ? nr : TRACE_CALLS];

	atomic_fetch_add_explicit(&t->calls, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->ns, ns, memory_order_relaxed);
	if (trace_error_name(result))
		atomic_fetch_add_explicit(&t->errors, 1, memory_order_relaxed);
	if (delegated)
		atomic_fetch_add_explicit(&t->delegated, 1, memory_order_relaxed);
}

void trace_enter(uint32_t nr, const uint64_t arg[6])
{
	if (output < 0)
		return;
	now.nr = nr;
	now.told = true;
	memcpy(now.arg, arg, sizeof(now.arg));
	if (options.lines)
		trace_format_enter(&now.args, nr, arg, read_program);
	if (is_last(nr)) {
		count(nr, 0, 0, false);
		if (options.lines)
			put_line(false, 0, 0, "ported");
	}
}

void trace_leave(const uint64_t arg[6])
{
	static const char *const wheres[] = { "ported", "delegated", "refused" };
	int64_t result = (int64_t)arg[0];
	uint64_t where = arg[2] < 3 ? arg[2] : 0;

	if (output < 0)
		return;
	count((uint32_t)arg[3], result, arg[1], where == 1);
	if (!options.lines || !now.told || now.nr != (uint32_t)arg[3])
		return;
	now.told = false;
	trace_format_leave(&now.args, now.nr, now.arg, result, read_program);
	put_line(true, result, arg[1], wheres[where]);
}

/* ---- The end ---- */

static int by_time(const void *a, const void *b)
{
	uint64_t x = totals[*(const uint32_t *)a].ns, y = totals[*(const uint32_t *)b].ns;

	return x < y ? 1 : x > y ? -1 : 0;
}

static void summary_text(const uint32_t *order, uint32_t n)
{
	uint64_t all = 0, calls = 0, errors = 0, delegated = 0;
	char text[160], room[32];
	uint32_t i;
	int length;

	for (i = 0; i < n; i++)
		all += totals[order[i]].ns;
	length = snprintf(text, sizeof(text), "%% time     seconds  usecs/call     calls    errors delegated syscall\n");
	put(text, (size_t)length);
	for (i = 0; i < n; i++) {
		const struct total *t = &totals[order[i]];

		length = snprintf(text, sizeof(text), "%6.2f %11.6f %11lu %9lu %9lu %9lu %s\n",
				  all ? 100.0 * (double)t->ns / (double)all : 0, (double)t->ns / 1e9,
				  (unsigned long)(t->ns / t->calls / 1000), (unsigned long)t->calls,
				  (unsigned long)t->errors, (unsigned long)t->delegated, name_of(order[i], room));
		put(text, (size_t)length);
		calls += t->calls, errors += t->errors, delegated += t->delegated;
	}
	length = snprintf(text, sizeof(text), "100.00 %11.6f %11s %9lu %9lu %9lu total\n", (double)all / 1e9, "",
			  (unsigned long)calls, (unsigned long)errors, (unsigned long)delegated);
	put(text, (size_t)length);
}

static void summary_json(const uint32_t *order, uint32_t n)
{
	struct json_object *list = json_object_new_array();
	char room[32];
	uint32_t i;

	for (i = 0; i < n; i++) {
		const struct total *t = &totals[order[i]];
		struct json_object *j = json_object_new_object();

		json_object_object_add(j, "call", json_object_new_string(name_of(order[i], room)));
		json_object_object_add(j, "calls", json_object_new_int64((int64_t)t->calls));
		json_object_object_add(j, "errors", json_object_new_int64((int64_t)t->errors));
		json_object_object_add(j, "delegated", json_object_new_int64((int64_t)t->delegated));
		json_object_object_add(j, "ns", json_object_new_int64((int64_t)t->ns));
		json_object_array_add(list, j);
	}
	put_json(list);
}

static void summary(void)
{
	uint32_t order[TOTALS] = { 0 }, n = 0, nr;

	for (nr = 0; nr < TOTALS; nr++)
		if (totals[nr].calls)
			order[n++] = nr;
	qsort(order, n, sizeof(order[0]), by_time);
	(options.json ? summary_json : summary_text)(order, n);
}

void trace_end(int status)
{
	char text[96];
	int n;

	if (output < 0)
		return;
	if (options.lines && !options.json) {
		if (WIFSIGNALED(status))
			n = snprintf(text, sizeof(text), "%d +++ killed by SIG%s%s +++\n", getpid(),
				     sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "RT",
				     WCOREDUMP(status) ? " (core dumped)" : "");
		else
			n = snprintf(text, sizeof(text), "%d +++ exited with %d +++\n", getpid(), WEXITSTATUS(status));
		put(text, (size_t)n);
	}
	if (options.summary && getpid() == root)
		summary();
}
