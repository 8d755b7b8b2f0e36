/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/registers.h"

#include <cpuid.h>
#include <string.h>

/* The legacy area (SDM 1, table 10-2) and what follows it. */
#define FX_FCW 0u
#define FX_FSW 2u
#define FX_FTW 4u               /* one bit a register: not empty */
#define FX_FOP 6u
#define FX_FIP 8u
#define FX_FDP 16u
#define FX_MXCSR 24u
#define FX_ST 32u
#define FX_XMM 160u
#define XSAVE_BV 512u
#define X87 1ull
#define SSE 2ull
#define AVX 4ull
#define FCW_INITIAL 0x37f
#define MXCSR_INITIAL 0x1f80

enum {
	ST0 = 24, FCTRL = 32, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP, XMM0 = 40, MXCSR = 56,
	ORIG_RAX = 57, FS_BASE, GS_BASE, YMM0H = 60, ALL = 76,
};

#define REG(name) offsetof(struct otr_user_regs, name)
/* rax to gs, in gdb's order. */
static const size_t general[24] = {
	REG(rax), REG(rbx), REG(rcx), REG(rdx), REG(rsi), REG(rdi), REG(rbp), REG(rsp), REG(r8), REG(r9),
	REG(r10), REG(r11), REG(r12), REG(r13), REG(r14), REG(r15), REG(rip), REG(rflags), REG(cs), REG(ss),
	REG(ds), REG(es), REG(fs), REG(gs),
};

#define R64(n) "<reg name=\"" n "\" bitsize=\"64\" type=\"int64\"/>"
#define R32(n, t, g) "<reg name=\"" n "\" bitsize=\"32\" type=\"" t "\"" g "/>"
#define ST(n) "<reg name=\"st" n "\" bitsize=\"80\" type=\"i387_ext\"/>"
#define XMM(n) "<reg name=\"xmm" n "\" bitsize=\"128\" type=\"vec128\"/>"
#define YMM(n) "<reg name=\"ymm" n "h\" bitsize=\"128\" type=\"uint128\"/>"
#define FLOAT " group=\"float\""
#define SIXTEEN(M) M("0") M("1") M("2") M("3") M("4") M("5") M("6") M("7") M("8") M("9") M("10") M("11") \
	M("12") M("13") M("14") M("15")
#define XML_COMMON \
	"<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>" \
	"<architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>" \
	"<feature name=\"org.gnu.gdb.i386.core\">" \
	"<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/>" \
	"<field name=\"\" start=\"1\" end=\"1\"/><field name=\"PF\" start=\"2\" end=\"2\"/>" \
	"<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>" \
	"<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>" \
	"<field name=\"IF\" start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/>" \
	"<field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"NT\" start=\"14\" end=\"14\"/>" \
	"<field name=\"RF\" start=\"16\" end=\"16\"/><field name=\"VM\" start=\"17\" end=\"17\"/>" \
	"<field name=\"AC\" start=\"18\" end=\"18\"/><field name=\"VIF\" start=\"19\" end=\"19\"/>" \
	"<field name=\"VIP\" start=\"20\" end=\"20\"/><field name=\"ID\" start=\"21\" end=\"21\"/></flags>" \
	R64("rax") R64("rbx") R64("rcx") R64("rdx") R64("rsi") R64("rdi") \
	"<reg name=\"rbp\" bitsize=\"64\" type=\"data_ptr\"/><reg name=\"rsp\" bitsize=\"64\" type=\"data_ptr\"/>" \
	R64("r8") R64("r9") R64("r10") R64("r11") R64("r12") R64("r13") R64("r14") R64("r15") \
	"<reg name=\"rip\" bitsize=\"64\" type=\"code_ptr\"/>" \
	R32("eflags", "i386_eflags", "") R32("cs", "int32", "") R32("ss", "int32", "") R32("ds", "int32", "") \
	R32("es", "int32", "") R32("fs", "int32", "") R32("gs", "int32", "") \
	ST("0") ST("1") ST("2") ST("3") ST("4") ST("5") ST("6") ST("7") \
	R32("fctrl", "int", FLOAT) R32("fstat", "int", FLOAT) R32("ftag", "int", FLOAT) \
	R32("fiseg", "int", FLOAT) R32("fioff", "int", FLOAT) R32("foseg", "int", FLOAT) \
	R32("fooff", "int", FLOAT) R32("fop", "int", FLOAT) \
	"</feature><feature name=\"org.gnu.gdb.i386.sse\">" \
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>" \
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>" \
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>" \
	"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>" \
	"<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>" \
	"<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>" \
	"<field name=\"uint128\" type=\"uint128\"/></union>" \
	"<flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>" \
	"<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>" \
	"<field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" end=\"4\"/>" \
	"<field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" end=\"6\"/>" \
	"<field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" end=\"8\"/>" \
	"<field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" end=\"10\"/>" \
	"<field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" end=\"12\"/>" \
	"<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>" \
	SIXTEEN(XMM) R32("mxcsr", "i386_mxcsr", " group=\"vector\"") \
	"</feature><feature name=\"org.gnu.gdb.i386.linux\"><reg name=\"orig_rax\" bitsize=\"64\" type=\"int\" " \
	"group=\"system\"/></feature><feature name=\"org.gnu.gdb.i386.segments\">" \
	"<reg name=\"fs_base\" bitsize=\"64\" type=\"int\"/><reg name=\"gs_base\" bitsize=\"64\" type=\"int\"/>" \
	"</feature>"

static const char xml_sse[] = XML_COMMON "</target>";
static const char xml_avx[] = XML_COMMON "<feature name=\"org.gnu.gdb.i386.avx\">" SIXTEEN(YMM) "</feature></target>";

/* Where the upper halves of the ymm registers lie (CPUID.D, 2); 0: they are not there. */
static uint32_t avx_at(const struct otr_thread_state *s)
{
	uint32_t a, at, c, d;

	if (!(s->xcr0 & AVX) || !__get_cpuid_count(0xd, 2, &a, &at, &c, &d))
		return 0;
	return at >= XSAVE_BV + 64 && at + 256 <= s->fpu_bytes && s->fpu_bytes <= OTR_THREAD_FPU ? at : 0;
}

const char *registers_xml(const struct otr_thread_state *s)
{
	return avx_at(s) ? xml_avx : xml_sse;
}

unsigned int registers_count(const struct otr_thread_state *s)
{
	return avx_at(s) ? ALL : YMM0H;
}

static void put16(uint8_t *at, uint16_t v)
{
	memcpy(at, &v, sizeof(v));
}

void registers_complete(struct otr_thread_state *s)
{
	const uint32_t mxcsr = MXCSR_INITIAL;
	uint64_t has;

	if (!s->xcr0)
		return;
	memcpy(&has, s->fpu + XSAVE_BV, sizeof(has));
	if (!(has & X87)) {
		memset(s->fpu, 0, FX_MXCSR);
		memset(s->fpu + FX_ST, 0, FX_XMM - FX_ST);
		put16(s->fpu + FX_FCW, FCW_INITIAL);
	}
	if (!(has & SSE)) {
		memset(s->fpu + FX_XMM, 0, 256);
		if (!(has & AVX))
			memcpy(s->fpu + FX_MXCSR, &mxcsr, sizeof(mxcsr));
	}
	if (!(has & AVX) && avx_at(s))
		memset(s->fpu + avx_at(s), 0, 256);
	has |= X87 | SSE | (avx_at(s) ? AVX : 0);
	memcpy(s->fpu + XSAVE_BV, &has, sizeof(has));
}

/* Two bits a register, by place: valid, zero, special, empty (SDM 1, 8.1.7). */
static uint16_t full_tags(const struct otr_thread_state *s)
{
	unsigned int top = s->fpu[FX_FSW + 1] >> 3 & 7, i;
	uint16_t tags = 0;

	for (i = 0; i < 8; i++) {
		const uint8_t *st = s->fpu + FX_ST + ((i + 8 - top) & 7) * 16;
		uint64_t mantissa;
		uint16_t exponent, tag;

		memcpy(&mantissa, st, 8);
		memcpy(&exponent, st + 8, 2);
		exponent &= 0x7fff;
		tag = !(s->fpu[FX_FTW] >> i & 1) ? 3 : !exponent && !mantissa ? 1 :
		      exponent && exponent != 0x7fff && mantissa >> 63 ? 0 : 2;
		tags = (uint16_t)(tags | tag << (2 * i));
	}
	return tags;
}

static uint8_t short_tags(uint32_t tags)
{
	uint8_t bits = 0;
	unsigned int i;

	for (i = 0; i < 8; i++)
		if ((tags >> (2 * i) & 3) != 3)
			bits = (uint8_t)(bits | 1u << i);
	return bits;
}

struct place {
	size_t at;              /* in struct otr_thread_state */
	size_t bytes;           /* there */
	size_t shown;           /* for gdb; the rest is 0 */
};

static struct place place_of(const struct otr_thread_state *s, unsigned int n)
{
	const size_t regs = offsetof(struct otr_thread_state, regs), fpu = offsetof(struct otr_thread_state, fpu);
	uint32_t avx = avx_at(s);

	if (n < 17)
		return (struct place){ regs + general[n], 8, 8 };
	if (n < ST0)
		return (struct place){ regs + general[n], 4, 4 };
	if (n < FCTRL)
		return (struct place){ fpu + FX_ST + (n - ST0) * 16, 10, 10 };
	switch (n) {
	case FCTRL: return (struct place){ fpu + FX_FCW, 2, 4 };
	case FSTAT: return (struct place){ fpu + FX_FSW, 2, 4 };
	case FISEG: return (struct place){ fpu + FX_FIP + 4, 2, 4 };
	case FIOFF: return (struct place){ fpu + FX_FIP, 4, 4 };
	case FOSEG: return (struct place){ fpu + FX_FDP + 4, 2, 4 };
	case FOOFF: return (struct place){ fpu + FX_FDP, 4, 4 };
	case FOP: return (struct place){ fpu + FX_FOP, 2, 4 };
	case MXCSR: return (struct place){ fpu + FX_MXCSR, 4, 4 };
	case ORIG_RAX: return (struct place){ regs + REG(orig_rax), 8, 8 };
	case FS_BASE: return (struct place){ regs + REG(fs_base), 8, 8 };
	case GS_BASE: return (struct place){ regs + REG(gs_base), 8, 8 };
	default: break;
	}
	if (n >= XMM0 && n < MXCSR)
		return (struct place){ fpu + FX_XMM + (n - XMM0) * 16, 16, 16 };
	if (avx && n >= YMM0H && n < ALL)
		return (struct place){ fpu + avx + (n - YMM0H) * 16, 16, 16 };
	return (struct place){ 0 };
}

size_t register_get(const struct otr_thread_state *s, unsigned int n, void *to)
{
	struct place p = place_of(s, n);
	uint32_t tags;

	if (n == FTAG) {
		tags = full_tags(s);
		memcpy(to, &tags, sizeof(tags));
		return sizeof(tags);
	}
	memset(to, 0, p.shown);
	memcpy(to, (const char *)s + p.at, p.bytes);
	return p.shown;
}

size_t register_set(struct otr_thread_state *s, unsigned int n, const void *from)
{
	struct place p = place_of(s, n);
	uint32_t tags;

	if (n == FTAG) {
		memcpy(&tags, from, sizeof(tags));
		s->fpu[FX_FTW] = short_tags(tags);
		return sizeof(tags);
	}
	memcpy((char *)s + p.at, from, p.bytes);
	return p.shown;
}

uint32_t register_part(unsigned int n)
{
	return n < ST0 || (n >= ORIG_RAX && n <= GS_BASE) ? OTR_SET_REGS : OTR_SET_FPU;
}
