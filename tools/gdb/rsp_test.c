/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets as gdb and as an enemy send them; registers there and back; signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/gdb/registers.h"
#include "tools/gdb/rsp.h"
#include "tools/gdb/signals.h"

static struct rsp r;

static int fresh(void **state)
{
	memset(&r, 0, sizeof(r));
	return 0;
}

static void feed(const char *data, size_t bytes)
{
	while (bytes) {
		size_t room;
		char *to = rsp_room(&r, &room);

		assert_true(room > 0);
		if (room > bytes)
			room = bytes;
		memcpy(to, data, room);
		rsp_came(&r, room);
		data += room;
		bytes -= room;
		if (bytes)
			assert_int_equal(rsp_next(&r), RSP_NOTHING);
	}
}

static void say(const char *text)
{
	feed(text, strlen(text));
}

static void packets(void **state)
{
	say("+$g#67");
	assert_int_equal(rsp_next(&r), RSP_PACKET);
	assert_string_equal(r.packet, "g");
	assert_int_equal(rsp_next(&r), RSP_NOTHING);
	say("noise$m10,2#5");
	assert_int_equal(rsp_next(&r), RSP_NOTHING);
	say("c\x03-");
	assert_int_equal(rsp_next(&r), RSP_BROKEN);
	assert_int_equal(rsp_next(&r), RSP_INTERRUPT);
	assert_int_equal(rsp_next(&r), RSP_AGAIN);
	say("$#00");
	assert_int_equal(rsp_next(&r), RSP_PACKET);
	assert_int_equal(r.packet_bytes, 0);
	say("$g#xy$g#67");
	assert_int_equal(rsp_next(&r), RSP_BROKEN);
	assert_int_equal(rsp_next(&r), RSP_PACKET);
}

static void escapes(void **state)
{
	static const char special[] = { 'X', '$', '#', '}', '*', 0, 3, '+' };
	char frame[RSP_MOST];
	size_t n = rsp_frame(special, sizeof(special), frame);

	assert_int_equal(n, sizeof(special) + 4 + 4);
	feed(frame, n);
	assert_int_equal(rsp_next(&r), RSP_PACKET);
	assert_int_equal(r.packet_bytes, sizeof(special));
	assert_memory_equal(r.packet, special, sizeof(special));
	say("$a}#de");                  /* nothing behind the escape */
	assert_int_equal(rsp_next(&r), RSP_BROKEN);
}

static void too_long(void **state)
{
	size_t most = 5 * RSP_MOST, i;
	char *big = malloc(most);

	memset(big, 'a', most);
	assert_int_equal(rsp_frame(big, RSP_MOST, r.in), 0);
	memset(&r, 0, sizeof(r));
	big[0] = '$';
	for (i = 0; i < most; i += 1000)
		feed(big + i, 1000 < most - i ? 1000 : most - i), assert_int_equal(rsp_next(&r), RSP_NOTHING);
	say("#00$g#67");
	assert_int_equal(rsp_next(&r), RSP_BROKEN);
	assert_int_equal(rsp_next(&r), RSP_PACKET);
	assert_string_equal(r.packet, "g");
	free(big);
}

static void noise(void **state)
{
	static const char likely[] = "$#}+-\x03gmX0123,:;vCont";
	unsigned int seed = 1;
	size_t i, j;

	for (i = 0; i < 20000; i++) {
		char data[64];

		for (j = 0; j < sizeof(data); j++)
			data[j] = rand_r(&seed) & 1 ? (char)rand_r(&seed) : likely[(size_t)rand_r(&seed) % sizeof(likely)];
		for (j = 0; j < sizeof(data); j++) {
			size_t room;

			*rsp_room(&r, &room) = data[j];
			assert_true(room > 0);
			rsp_came(&r, 1);
			while (rsp_next(&r) != RSP_NOTHING)
				assert_true(r.packet_bytes <= RSP_MOST);
		}
	}
}

static void words(void **state)
{
	const char *at = "1fF,xyz";
	int64_t pid, tid;
	uint8_t bytes[2];
	uint64_t v;

	assert_true(rsp_hex(&at, &v) && v == 0x1ff && rsp_char(&at, ',') && !rsp_hex(&at, &v));
	at = "ffffffffffffffff";
	assert_true(rsp_hex(&at, &v) && v == UINT64_MAX);
	at = "10000000000000000";
	assert_false(rsp_hex(&at, &v));
	at = "p2.3;";
	assert_true(rsp_thread(&at, &pid, &tid) && pid == 2 && tid == 3 && *at == ';');
	at = "-1";
	assert_true(rsp_thread(&at, &pid, &tid) && tid == -1);
	at = "p1.-1";
	assert_true(rsp_thread(&at, &pid, &tid) && pid == 1 && tid == -1);
	at = "pff";
	assert_true(rsp_thread(&at, &pid, &tid) && pid == 255 && tid == -1);
	at = "p.1";
	assert_false(rsp_thread(&at, &pid, &tid));
	at = "ffffffff";
	assert_false(rsp_thread(&at, &pid, &tid));
	at = "a1b";
	assert_false(rsp_bytes(&at, bytes, 2));
	at = "A1b2";
	assert_true(rsp_bytes(&at, bytes, 2) && bytes[0] == 0xa1 && bytes[1] == 0xb2 && !*at);
}

static void registers(void **state)
{
	struct otr_thread_state s = { .fpu_bytes = 832, .xcr0 = 7 };
	uint8_t value[REGISTER_BYTES_MOST], back[REGISTER_BYTES_MOST];
	unsigned int n, i;
	size_t total = 0;

	registers_complete(&s);
	assert_int_equal(register_get(&s, 32, value), 4);       /* fctrl */
	assert_int_equal(value[0] | value[1] << 8, 0x37f);
	assert_int_equal(register_get(&s, 34, value), 4);       /* ftag: all empty */
	assert_int_equal(value[0] | value[1] << 8, 0xffff);
	assert_int_equal(register_get(&s, 1000, value), 0);
	assert_int_equal(register_get(&s, registers_count(&s), value), 0);
	for (n = 0; n < registers_count(&s); n++) {
		size_t bytes = register_get(&s, n, value);

		total += bytes;
		assert_true(bytes == 4 || bytes == 8 || bytes == 10 || bytes == 16);
		if (n >= 32 && n < 40)
			continue;       /* 16 bits shown as 32 */
		for (i = 0; i < bytes; i++)
			value[i] = (uint8_t)(n * 16 + i);
		assert_int_equal(register_set(&s, n, value), bytes);
		register_get(&s, n, back);
		assert_memory_equal(value, back, bytes);
	}
	assert_true(total <= REGISTERS_BYTES_MOST);
	assert_int_equal(s.regs.rip & 0xff, 0);         /* register 16: 16 * 16 */
	assert_non_null(strstr(registers_xml(&s), "</target>"));
	s.xcr0 = 0;
	assert_null(strstr(registers_xml(&s), "avx"));
	assert_int_equal(registers_count(&s), 60);
}

static void signals(void **state)
{
	uint32_t i;

	for (i = 1; i <= 64; i++)
		if (i != 16)                    /* SIGSTKFLT: gdb has none */
			assert_int_equal(signal_from_gdb(signal_to_gdb(i)), i);
	assert_int_equal(signal_to_gdb(10), 30);
	assert_int_equal(signal_to_gdb(34), 46);
	assert_int_equal(signal_from_gdb(0), 0);
	assert_int_equal(signal_from_gdb(1u << 20), 0);
	assert_int_equal(signal_from_gdb(SIGNAL_UNKNOWN), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(packets, fresh), cmocka_unit_test_setup(escapes, fresh),
		cmocka_unit_test_setup(too_long, fresh), cmocka_unit_test_setup(noise, fresh),
		cmocka_unit_test(words), cmocka_unit_test(registers), cmocka_unit_test(signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
