// SPDX-License-Identifier: BSD-2-Clause
/*
 * PROG_TEST_RUN with random attributes, right and wrong: sizes, flags, pointers, contexts,
 * of each program type. What the kernel answers, to the bytes that it writes.
 */
#include <stddef.h>

#include "packets.h"

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };
#define ROOM 80000

#define LDX(size, d, s, o) INSN(BPF_LDX | BPF_MEM | size, d, s, o, 0)
#define STX(size, d, s, o) INSN(BPF_STX | BPF_MEM | size, d, s, o, 0)
#define ALU(op, d, s) INSN(BPF_ALU64 | op | BPF_X, d, s, 0, 0)
#define ADD(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define F(f) offsetof(struct __sk_buff, f)
#define K(f) offsetof(struct bpf_flow_keys, f)

/* Sums of fields; what may be written is. */
static const struct bpf_insn skb[] = {
	LDX(BPF_W, R0, R1, F(len)),
	LDX(BPF_W, R2, R1, F(mark)),
	ALU(BPF_ADD, R0, R2),
	LDX(BPF_W, R2, R1, F(cb[1])),
	ADD(R2, 1),
	STX(BPF_W, R1, R2, F(cb[1])),
	ALU(BPF_ADD, R0, R2),
	LDX(BPF_W, R2, R1, F(ingress_ifindex)),
	ALU(BPF_ADD, R0, R2),
	LDX(BPF_W, R2, R1, F(priority)),
	ALU(BPF_XOR, R0, R2),
	EXIT(),
};
static const struct bpf_insn tc[] = {
	LDX(BPF_W, R0, R1, F(wire_len)),
	LDX(BPF_DW, R2, R1, F(tstamp)),
	ADD(R2, 3),
	STX(BPF_DW, R1, R2, F(tstamp)),
	ALU(BPF_ADD, R0, R2),
	LDX(BPF_DW, R2, R1, F(hwtstamp)),
	ALU(BPF_ADD, R0, R2),
	STX(BPF_W, R1, R0, F(mark)),
	LDX(BPF_W, R2, R1, F(pkt_type)),
	ALU(BPF_ADD, R0, R2),
	EXIT(),
};
static const struct bpf_insn one[] = {MOV_IMM(R0, 1), EXIT()};
static const struct bpf_insn xdp[] = {
	LDX(BPF_W, R2, R1, 0),
	LDX(BPF_W, R3, R1, 4),
	LDX(BPF_W, R4, R1, 8),
	LDX(BPF_W, R5, R1, 12),
	ALU(BPF_SUB, R3, R2),
	ALU(BPF_SUB, R2, R4),
	ALU(BPF_ADD, R5, R3),
	INSN(BPF_ALU64 | BPF_MUL | BPF_K, R5, 0, 0, 1000),
	ALU(BPF_ADD, R5, R2),
	ALU(BPF_MOV, R0, R5),
	EXIT(),
};
static const struct bpf_insn sys[] = {
	LDX(BPF_W, R0, R1, 4),
	ADD(R0, 7),
	STX(BPF_W, R1, R0, 4),
	EXIT(),
};
static const struct bpf_insn raw[] = {
	LDX(BPF_DW, R0, R1, 8),
	LDX(BPF_DW, R2, R1, 0),
	ALU(BPF_ADD, R0, R2),
	EXIT(),
};
static const struct bpf_insn flow[] = {
	LDX(BPF_DW, R6, R1, F(flow_keys)),
	LDX(BPF_H, R0, R6, K(n_proto)),
	LDX(BPF_W, R2, R6, K(flags)),
	ALU(BPF_ADD, R0, R2),
	STX(BPF_H, R6, R0, K(nhoff)),
	ADD(R0, 20),
	STX(BPF_H, R6, R0, K(thoff)),
	STX(BPF_W, R6, R0, K(ipv4_src)),
	LDX(BPF_W, R2, R1, F(data)),
	LDX(BPF_W, R3, R1, F(data_end)),
	ALU(BPF_SUB, R3, R2),
	STX(BPF_W, R6, R3, K(ipv4_dst)),
	ALU(BPF_ADD, R0, R3),
	EXIT(),
};

static const struct {
	uint32_t type, attach, flags;
	const struct bpf_insn *insns;
	uint32_t cnt;
} progs[] = {
#define P(t, a, f, i)                                                                              \
	{                                                                                          \
		BPF_PROG_TYPE_##t, a, f, i, sizeof(i) / sizeof(i[0])                               \
	}
	P(SOCKET_FILTER, 0, 0, skb),
	P(SCHED_CLS, 0, 0, skb),
	P(SCHED_CLS, 0, 0, tc),
	P(SCHED_ACT, 0, 0, tc),
	P(CGROUP_SKB, BPF_CGROUP_INET_EGRESS, 0, one),
	P(LWT_IN, 0, 0, skb),
	P(LWT_XMIT, 0, 0, skb),
	P(XDP, 0, 0, xdp),
	P(XDP, 0, 0, xdp),
	P(XDP, BPF_XDP_CPUMAP, 0, xdp),
	P(SYSCALL, 0, BPF_F_SLEEPABLE, sys),
	P(RAW_TRACEPOINT, 0, 0, raw),
	P(FLOW_DISSECTOR, 0, 0, flow),
	P(KPROBE, 0, 0, one),
	P(TRACEPOINT, 0, 0, one),
	P(PERF_EVENT, 0, 0, one),
	P(SK_SKB, 0, 0, one),
	P(SOCK_OPS, 0, 0, one),
	P(SK_MSG, 0, 0, one),
	P(CGROUP_DEVICE, 0, 0, one),
	P(CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, 0, one),
};
#define PROGS (sizeof(progs) / sizeof(progs[0]))

static int fds[SIDES][PROGS];
static uint8_t data_in[ROOM];
static struct {
	uint8_t ctx_in[256], ctx_out[256], data[ROOM];
	int64_t ret;
	uint32_t retval, size, ctx_size;
} side[SIDES];

static uint32_t some_size(uint32_t fit)
{
	switch (rnd(6)) {
	case 0:
		return rnd(20);
	case 1:
		return fit + rnd(9) - 4;
	case 2:
		return 3400 + rnd(800);
	case 3:
		return rnd(3) ? rnd(ROOM - 200) : (uint32_t)rnd64();
	default:
		return fit;
	}
}

static uint64_t pointer(const void *p, uint32_t one_in)
{
	return rnd(one_in) ? (uintptr_t)p : rnd(2) ? 0 : 8;
}

/* Which fields of the context are set, and how it is cut. */
static void random_ctx(uint8_t *ctx, uint32_t type)
{
	static const uint16_t skb_fields[] = {8,   32,	36,  40,  48, 56, 152,
					      160, 164, 176, 184, 0,  16, 68};

	memset(ctx, 0, 256);
	if (type == BPF_PROG_TYPE_XDP) {
		uint32_t *w = (uint32_t *)ctx;

		w[0] = rnd(3) ? rnd(12) * 4 : rnd(260);
		w[1] = rnd(2) ? 64 : rnd(3600);
		w[2] = !rnd(20);
		w[3] = rnd(8) ? rnd(2) : rnd(3) * 7777;
		w[4] = !rnd(12);
		w[5] = !rnd(20);
	} else if (type == BPF_PROG_TYPE_SYSCALL || type == BPF_PROG_TYPE_RAW_TRACEPOINT) {
		rnd_bytes(ctx, 256);
	} else if (type == BPF_PROG_TYPE_FLOW_DISSECTOR) {
		ctx[K(flags)] = rnd(8);
		if (!rnd(10))
			ctx[rnd(56)] = 1;
	} else {
		for (uint32_t n = rnd(6); n; n--) {
			uint32_t at = skb_fields[rnd(rnd(6) ? 11 : 14)];

			ctx[at] = rnd(3) ? rnd(3) : (uint8_t)rnd64();
			ctx[at + 1] = rnd(3) ? 0 : (uint8_t)rnd64();
		}
	}
	/* this machine's other devices are not shmap's */
	if (type != BPF_PROG_TYPE_XDP && ctx[40] > 1)
		ctx[40] = ctx[41] = 0x77;
	if (!rnd(20))
		ctx[192 + rnd(60)] = 1; /* behind every structure */
}

static void run(enum side s, const union sys_attr *how, int prog, const uint8_t *ctx)
{
	union sys_attr a = *how;

	memset(&side[s], 0, sizeof(side[s]));
	memcpy(side[s].ctx_in, ctx, 256);
	a.test.prog_fd = fds[s][prog];
	if (a.test.data_out == 1)
		a.test.data_out = (uintptr_t)side[s].data;
	if (a.test.ctx_in == 1)
		a.test.ctx_in = (uintptr_t)side[s].ctx_in;
	if (a.test.ctx_out == 1)
		a.test.ctx_out = (uintptr_t)side[s].ctx_out;
	side[s].ret = side_bpf(s, BPF_PROG_TEST_RUN, &a);
	side[s].retval = a.test.retval;
	side[s].size = a.test.data_size_out;
	side[s].ctx_size = a.test.ctx_size_out;
}

static void one_run(uint64_t seed)
{
	static uint32_t ok;
	union sys_attr how = {0};
	uint8_t ctx[256];
	uint32_t type, fit;
	int prog;

	rnd_seed(seed);
	prog = rnd(PROGS);
	type = progs[prog].type;
	fit = random_packet(data_in, 1500);
	random_ctx(ctx, type);
	if (type == BPF_PROG_TYPE_SYSCALL || type == BPF_PROG_TYPE_RAW_TRACEPOINT) {
		/* of data and times they know nothing */
		if (!rnd(8))
			how.test.data_in = 8;
		if (!rnd(12))
			how.test.data_size_in = 5;
		how.test.repeat = !rnd(12);
		how.test.ctx_in = rnd(8) ? 1 : 0;
		how.test.ctx_size_in = how.test.ctx_in ? (rnd(3) ? rnd(110) : rnd(257)) : 0;
		how.test.ctx_out = rnd(10) ? 0 : 1;
		how.test.ctx_size_out = how.test.ctx_out ? 64 : 0;
	} else {
		how.test.data_in = pointer(data_in, 20);
		how.test.data_size_in = some_size(fit);
		how.test.data_out = rnd(12) ? 1 : rnd(2) ? 0 : 8;
		how.test.data_size_out = rnd(3) ? 0 : some_size(fit);
		how.test.ctx_in = rnd(2);
		how.test.ctx_size_in = how.test.ctx_in ? (rnd(3) ? 192 : rnd(256)) : 0;
		how.test.ctx_out = rnd(2);
		how.test.ctx_size_out = how.test.ctx_out ? (rnd(3) ? 192 : rnd(256)) : 0;
		how.test.repeat = rnd(3) ? 0 : rnd(5);
	}
	if (!rnd(15))
		how.test.ctx_size_in = rnd(9);
	/* never XDP's live frames: they would be sent */
	how.test.flags = rnd(5) ? 0 : rnd(2) ? 4 : (rnd(16) & ~2u);
	how.test.cpu = rnd(12) ? 0 : rnd(2) ? 1 : 99999;
	how.test.batch_size = !rnd(25);
	for (enum side s = OURS; s < SIDES; s++)
		run(s, &how, prog, ctx);
	ok += !side[KERNEL].ret;
	if (!memcmp(&side[OURS], &side[KERNEL], sizeof(side[0])))
		return;
	fprintf(stderr,
		"seed %llu: type %u, ret %lld %lld (kernel), retval %x %x, size %u %u, ctx %u %u\n"
		"  data_in %u, out %llx (%u), ctx in %llx (%u), out %llx (%u), flags %u cpu %u\n",
		(unsigned long long)seed, type, (long long)side[0].ret, (long long)side[1].ret,
		side[0].retval, side[1].retval, side[0].size, side[1].size, side[0].ctx_size,
		side[1].ctx_size, how.test.data_size_in, (unsigned long long)how.test.data_out,
		how.test.data_size_out, (unsigned long long)how.test.ctx_in, how.test.ctx_size_in,
		(unsigned long long)how.test.ctx_out, how.test.ctx_size_out, how.test.flags,
		how.test.cpu);
	for (uint32_t i = 0; i < sizeof(side[0]); i++)
		if (((uint8_t *)&side[0])[i] != ((uint8_t *)&side[1])[i]) {
			fprintf(stderr, "  byte %u: %02x %02x\n", i, ((uint8_t *)&side[0])[i],
				((uint8_t *)&side[1])[i]);
			break;
		}
	check_failures++;
}

int main(int argc, char **argv)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t last = argc > 1 ? first : ops ? strtoull(ops, NULL, 0) : 30000;
	uint32_t i;

	both_init();
	if (!have_kernel)
		SKIP("there is no kernel to compare with");
	for (enum side s = OURS; s < SIDES; s++)
		for (i = 0; i < PROGS; i++) {
			union sys_attr a;

			prog_attr_init(&a, progs[i].type, progs[i].insns, progs[i].cnt);
			a.prog_load.expected_attach_type = progs[i].attach;
			a.prog_load.prog_flags = progs[i].flags;
			fds[s][i] = side_bpf(s, BPF_PROG_LOAD, &a);
			if (fds[s][i] < 0)
				fprintf(stderr, "%s: type %u: %d\n", side_name[s], progs[i].type,
					fds[s][i]);
			REQUIRE(fds[s][i] >= 0);
		}
	for (uint64_t seed = first; seed <= last && check_failures < 12; seed++)
		one_run(seed);
	return check_done();
}
