// SPDX-License-Identifier: BSD-2-Clause
/*
 * PROG_TEST_RUN: results, sizes and refusals for packet and syscall programs,
 * each asked of the kernel too.
 */
#include <stddef.h>

#include "both.h"

#define PKT 64

#define SKB_WORDS (sizeof(struct __sk_buff) / 4)
#define SIZES 24

static uint8_t pkt[1 << 17], out[1 << 17];

/* Answers that are compared between the sides. */
static struct {
	int64_t ret;
	uint32_t words[SKB_WORDS];
} skb_answer[SIDES][SKB_WORDS];
static int64_t size_answer[SIDES][2][SIZES];

static void attr_init(union sys_attr *a, int fd)
{
	memset(a, 0, sizeof(*a));
	a->test.prog_fd = fd;
	a->test.data_in = (uintptr_t)pkt;
	a->test.data_size_in = PKT;
}

static long run(enum side side, union sys_attr *a)
{
	return side_bpf(side, BPF_PROG_TEST_RUN, a);
}

#define EXPECT(want) CHECK_EQ(run(side, &a), want)

static void common_rules(enum side side, int fd)
{
	uint32_t ctx[64] = {0};
	union sys_attr a;

	attr_init(&a, fd);
	EXPECT(0);
	attr_init(&a, 999);
	EXPECT(-EBADF);
	attr_init(&a, 1);
	EXPECT(-EINVAL);
	attr_init(&a, 999);
	a.test.ctx_size_in = 8;
	EXPECT(-EINVAL);
	attr_init(&a, 999);
	a.test.ctx_in = (uintptr_t)ctx;
	EXPECT(-EINVAL);
	attr_init(&a, 999);
	a.test.ctx_size_out = 8;
	EXPECT(-EINVAL);
	attr_init(&a, 999);
	a.test.ctx_out = (uintptr_t)ctx;
	EXPECT(-EINVAL);
	attr_init(&a, fd);
	a.test.batch_size = 1;
	EXPECT(-EINVAL);
	attr_init(&a, fd);
	a.test.flags = 8;
	EXPECT(-EINVAL);
	attr_init(&a, fd);
	a.test.data_in = 8;
	EXPECT(-EFAULT);
	attr_init(&a, fd);
	a.test.data_out = 8;
	EXPECT(-EFAULT);
	attr_init(&a, fd);
	a.test.data_size_in = 13;
	EXPECT(-EINVAL);
	attr_init(&a, fd);
	a.test.data_size_in = 0;
	a.test.data_in = 0;
	EXPECT(-EINVAL);
	attr_init(&a, fd);
	a.test.data_size_in = 14;
	EXPECT(0);
	CHECK_EQ(a.test.data_size_out, 14);
}

static void output_rules(enum side side, int fd, uint32_t retval, bool l2)
{
	union sys_attr a;
	uint32_t i;

	for (i = 0; i < PKT; i++)
		pkt[i] = i;
	attr_init(&a, fd);
	a.test.data_out = (uintptr_t)out;
	memset(out, 0xee, sizeof(out));
	EXPECT(0);
	CHECK_EQ(a.test.retval, retval);
	CHECK_EQ(a.test.data_size_out, PKT);
	/* a socket filter's packet comes back without its link header */
	CHECK(!memcmp(out + 14, pkt + 14, PKT - 14) && out[PKT] == 0xee);
	CHECK_EQ(out[13], l2 ? pkt[13] : 0);
	attr_init(&a, fd);
	a.test.data_out = (uintptr_t)out;
	a.test.data_size_out = 20;
	memset(out, 0xee, sizeof(out));
	EXPECT(-ENOSPC);
	CHECK_EQ(a.test.data_size_out, PKT);
	CHECK(!memcmp(out + 14, pkt + 14, 20 - 14) && out[20] == 0xee);
	CHECK_EQ(a.test.retval, retval);
	attr_init(&a, fd);
	a.test.repeat = 1000;
	EXPECT(0);
	CHECK_EQ(a.test.retval, retval);
}

static int load(enum side side, uint32_t type, const struct bpf_insn *insns, uint32_t cnt,
		uint32_t flags, uint32_t attach)
{
	union sys_attr a;
	int fd;

	prog_attr_init(&a, type, insns, cnt);
	a.prog_load.prog_flags = flags;
	a.prog_load.expected_attach_type = attach;
	fd = side_bpf(side, BPF_PROG_LOAD, &a);
	REQUIRE(fd >= 0);
	return fd;
}

#define SKB_LEN INSN(BPF_LDX | BPF_MEM | BPF_W, 0, 1, offsetof(struct __sk_buff, len), 0), EXIT()

static void filter(enum side side)
{
	struct bpf_insn insns[] = {SKB_LEN};
	int fd = load(side, BPF_PROG_TYPE_SOCKET_FILTER, insns, 2, 0, 0);
	union sys_attr a;

	common_rules(side, fd);
	output_rules(side, fd, PKT - 14, false);
	attr_init(&a, fd);
	a.test.cpu = 1;
	EXPECT(-EINVAL);
	side_close(side, fd);
}

/* The fields of the context that may be given, and what comes back. */
static void skb_context(enum side side, int fd)
{
	uint8_t bytes[sizeof(struct __sk_buff) + 16], res[sizeof(struct __sk_buff)];
	struct __sk_buff *skb = (void *)bytes, *got = (void *)res;
	union sys_attr a;
	uint32_t i;

	for (i = 0; i < sizeof(struct __sk_buff); i += 4) {
		memset(bytes, 0, sizeof(bytes));
		bytes[i] = 1;
		attr_init(&a, fd);
		a.test.ctx_in = (uintptr_t)bytes;
		a.test.ctx_size_in = sizeof(*skb);
		a.test.ctx_out = (uintptr_t)res;
		a.test.ctx_size_out = sizeof(*skb);
		memset(res, 0xee, sizeof(res));
		skb_answer[side][i / 4].ret = run(side, &a);
		memcpy(skb_answer[side][i / 4].words, res, sizeof(res));
	}
	memset(bytes, 0, sizeof(bytes));
	skb->mark = 7;
	skb->priority = 8;
	skb->cb[0] = 9;
	skb->cb[4] = 10;
	attr_init(&a, fd);
	a.test.ctx_in = (uintptr_t)bytes;
	a.test.ctx_size_in = sizeof(bytes);
	a.test.ctx_out = (uintptr_t)res;
	a.test.ctx_size_out = sizeof(res);
	EXPECT(0);
	CHECK_EQ(a.test.ctx_size_out, sizeof(struct __sk_buff));
	CHECK_EQ(got->mark, 7);
	CHECK_EQ(got->priority, 8);
	CHECK_EQ(got->cb[4], 10);
	CHECK_EQ(a.test.retval, 7 + 9);
	bytes[sizeof(bytes) - 1] = 1;
	EXPECT(-E2BIG);
	bytes[sizeof(bytes) - 1] = 0;
	a.test.ctx_size_out = 8;
	EXPECT(-ENOSPC);
	CHECK_EQ(a.test.ctx_size_out, sizeof(struct __sk_buff));
	a.test.ctx_size_out = 8;
	a.test.ctx_size_in = 8;
	EXPECT(-ENOSPC);
	a.test.ctx_in = 8;
	EXPECT(-EFAULT);
}

static void classifier(enum side side)
{
	struct bpf_insn len[] = {SKB_LEN};
	struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 0, 1, offsetof(struct __sk_buff, mark), 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct __sk_buff, cb), 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 2, 0, 0),
		EXIT(),
	};
	int fd = load(side, BPF_PROG_TYPE_SCHED_CLS, len, 2, 0, 0);

	common_rules(side, fd);
	output_rules(side, fd, PKT, true);
	side_close(side, fd);
	fd = load(side, BPF_PROG_TYPE_SCHED_CLS, insns, 4, 0, 0);
	skb_context(side, fd);
	side_close(side, fd);
}

/* Packet data seen and changed by the program. */
static void xdp_data(enum side side)
{
	struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, data), 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct xdp_md, data_end), 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 14),
		MOV_IMM(0, 0),
		INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 3, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_B, 0, 2, 12, 0),
		INSN(BPF_ST | BPF_MEM | BPF_B, 2, 0, 13, 0x77),
		INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0),
		EXIT(),
	};
	int fd = load(side, BPF_PROG_TYPE_XDP, insns, 10, 0, 0);
	union sys_attr a;

	pkt[12] = 0x5a;
	attr_init(&a, fd);
	a.test.data_out = (uintptr_t)out;
	EXPECT(0);
	CHECK_EQ(a.test.retval, 0x5a);
	CHECK_EQ(out[13], 0x77);
	CHECK_EQ(out[12], 0x5a);
	CHECK(pkt[13] != 0x77);
	side_close(side, fd);
}

static void xdp(enum side side)
{
	struct bpf_insn insns[] = {MOV_IMM(0, 2), EXIT()};
	int fd = load(side, BPF_PROG_TYPE_XDP, insns, 2, 0, 0);
	struct xdp_md md = {0}, res = {0};
	union sys_attr a;

	common_rules(side, fd);
	output_rules(side, fd, 2, true);
	attr_init(&a, fd);
	a.test.ctx_in = (uintptr_t)&md;
	a.test.ctx_size_in = sizeof(md);
	a.test.ctx_out = (uintptr_t)&res;
	a.test.ctx_size_out = sizeof(res);
	md.data_end = PKT;
	EXPECT(0);
	CHECK_EQ(a.test.ctx_size_out, sizeof(res));
	CHECK_EQ(res.data, 0);
	CHECK_EQ(res.data_end, PKT);
	md.data = 16;
	EXPECT(0);
	CHECK_EQ(res.data, 16);
	CHECK_EQ(res.data_end, PKT);
	md.data_end = PKT + 1;
	EXPECT(-EINVAL);
	md.data_end = 8;
	EXPECT(-EINVAL);
	md.data_end = PKT;
	md.data = 3;
	EXPECT(-EINVAL);
	md.data = 0;
	md.data_meta = 4;
	EXPECT(-EINVAL);
	md.data_meta = 0;
	md.egress_ifindex = 1;
	EXPECT(-EINVAL);
	md.egress_ifindex = 0;
	md.rx_queue_index = 1;
	EXPECT(-EINVAL);
	md.rx_queue_index = 0;
	md.ingress_ifindex = 12345;
	EXPECT(-ENODEV);
	md.ingress_ifindex = 1;
	EXPECT(0);
	CHECK_EQ(res.ingress_ifindex, 1);
	md.rx_queue_index = 1;
	EXPECT(-EINVAL);
	side_close(side, fd);
	fd = load(side, BPF_PROG_TYPE_XDP, insns, 2, 0, BPF_XDP_DEVMAP);
	attr_init(&a, fd);
	EXPECT(-EINVAL);
	side_close(side, fd);
}

static void syscall_prog(enum side side)
{
	struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
		INSN(BPF_ST | BPF_MEM | BPF_DW, 1, 0, 8, 42),
		EXIT(),
	};
	int fd = load(side, BPF_PROG_TYPE_SYSCALL, insns, 3, BPF_F_SLEEPABLE, 0);
	uint64_t ctx[4] = {5, 6, 7, 8};
	union sys_attr a = {0};

	a.test.prog_fd = fd;
	a.test.ctx_in = (uintptr_t)ctx;
	a.test.ctx_size_in = 16;
	EXPECT(0);
	CHECK_EQ(a.test.retval, 5);
	CHECK_EQ(ctx[1], 42);
	CHECK_EQ(ctx[2], 7);
	a.test.ctx_size_in = 8;
	EXPECT(-EINVAL);
	a.test.ctx_size_in = 65536;
	EXPECT(-EINVAL);
	a.test.ctx_size_in = 16;
	a.test.ctx_in = 8;
	EXPECT(-EFAULT);
	a.test.ctx_in = (uintptr_t)ctx;
	a.test.repeat = 1;
	EXPECT(-EINVAL);
	a.test.repeat = 0;
	a.test.flags = 1;
	EXPECT(-EINVAL);
	a.test.flags = 0;
	a.test.data_in = (uintptr_t)pkt;
	EXPECT(-EINVAL);
	a.test.data_in = 0;
	a.test.cpu = 1;
	EXPECT(0);
	side_close(side, fd);
}

static void raw_tracepoint(enum side side)
{
	struct bpf_insn insns[] = {INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 8, 0), EXIT()};
	int fd = load(side, BPF_PROG_TYPE_RAW_TRACEPOINT, insns, 2, 0, 0);
	uint64_t ctx[13] = {5, 6};
	union sys_attr a = {0};

	a.test.prog_fd = fd;
	a.test.ctx_in = (uintptr_t)ctx;
	a.test.ctx_size_in = 16;
	EXPECT(0);
	CHECK_EQ(a.test.retval, 6);
	a.test.ctx_size_in = 8;
	EXPECT(-EINVAL);
	a.test.ctx_size_in = 96;
	EXPECT(0);
	a.test.ctx_size_in = 104;
	EXPECT(-EINVAL);
	a.test.ctx_size_in = 16;
	a.test.cpu = 1;
	EXPECT(-EINVAL);
	a.test.flags = BPF_F_TEST_RUN_ON_CPU;
	a.test.cpu = 0;
	EXPECT(0);
	a.test.cpu = 70000;
	EXPECT(-ENXIO);
	a.test.cpu = 0;
	a.test.repeat = 1;
	EXPECT(-EINVAL);
	side_close(side, fd);
}

/* BPF_F_TEST_RUN_ON_CPU: the program sees the CPU that was asked for. */
static void on_cpu(enum side side)
{
	struct bpf_insn insns[] = {INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_smp_processor_id),
				   EXIT()};
	int fd = load(side, BPF_PROG_TYPE_RAW_TRACEPOINT, insns, 2, 0, 0);
	uint32_t cpu, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	union sys_attr a = {0};

	a.test.prog_fd = fd;
	a.test.flags = BPF_F_TEST_RUN_ON_CPU;
	for (cpu = 0; cpu < cpus; cpu++) {
		a.test.cpu = cpu;
		EXPECT(0);
		CHECK_EQ(a.test.retval, cpu);
	}
	side_close(side, fd);
}

static void untestable(enum side side)
{
	static const uint32_t types[] = {BPF_PROG_TYPE_KPROBE, BPF_PROG_TYPE_TRACEPOINT,
					 BPF_PROG_TYPE_PERF_EVENT};
	union sys_attr a;
	uint32_t i;
	int fd;

	for (i = 0; i < 3; i++) {
		fd = load(side, types[i], return_0, 2, 0, 0);
		attr_init(&a, fd);
		EXPECT(-ENOTSUPP);
		side_close(side, fd);
	}
}

/* The largest packets: one byte on either side of each limit. */
static void sizes(enum side side)
{
	static const uint32_t types[] = {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_XDP};
	static const uint32_t size[SIZES] = {14,    15,	   63,	  1514,	  3519,	  3520,
					     3521,  3711,  3712,  3713,	  4095,	  4096,
					     4097,  8192,  65535, 65536,  73000,  73151,
					     73152, 73153, 80000, 100000, 131071, 131072};
	struct bpf_insn reach[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, offsetof(struct xdp_md, data), 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 0, 1, offsetof(struct xdp_md, data_end), 0),
		INSN(BPF_ALU64 | BPF_SUB | BPF_X, 0, 2, 0, 0),
		EXIT(),
	};
	union sys_attr a;
	uint32_t i, j;
	int fd;

	for (i = 0; i < 2; i++) {
		fd = types[i] == BPF_PROG_TYPE_XDP ? load(side, types[i], reach, 4, 0, 0)
						   : load(side, types[i], return_0, 2, 0, 0);
		for (j = 0; j < SIZES; j++) {
			attr_init(&a, fd);
			a.test.data_size_in = size[j];
			a.test.data_out = (uintptr_t)out;
			memset(out, 0xee, size[j]);
			size_answer[side][i][j] = run(side, &a);
			if (size_answer[side][i][j])
				continue;
			/* the bytes that the program can reach */
			size_answer[side][i][j] = a.test.retval;
			CHECK_EQ(a.test.data_size_out, size[j]);
			CHECK(!memcmp(out + 14, pkt + 14, size[j] - 14));
		}
		side_close(side, fd);
	}
}

static void compare(void)
{
	uint32_t i, j;

	for (i = 0; i < SKB_WORDS; i++) {
		CHECK_EQ(skb_answer[OURS][i].ret, skb_answer[KERNEL][i].ret);
		if (memcmp(&skb_answer[OURS][i], &skb_answer[KERNEL][i],
			   sizeof(skb_answer[0][0]))) {
			fprintf(stderr, "context word %u set: the answers differ\n", i);
			check_failures++;
		}
	}
	for (i = 0; i < 2; i++)
		for (j = 0; j < SIZES; j++)
			CHECK_EQ(size_answer[OURS][i][j], size_answer[KERNEL][i][j]);
}

int main(void)
{
	int side;

	both_init();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		filter(side);
		classifier(side);
		xdp(side);
		xdp_data(side);
		syscall_prog(side);
		raw_tracepoint(side);
		on_cpu(side);
		untestable(side);
		sizes(side);
	}
	if (have_kernel)
		compare();
	return check_done();
}
