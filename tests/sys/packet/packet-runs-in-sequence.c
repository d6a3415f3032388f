// SPDX-License-Identifier: BSD-2-Clause
/*
 * packet_run(): each packet of a sequence is seen by itself, from the place and with the
 * length that its program type has, and comes back as the program left it.
 */
#include <string.h>

#include "../prog/both.h"
#include "sys/packet_run.h"
#include "sys/prog.h"

#define ETH_LEN 14

static uint8_t bytes[5000];

static struct vm_prog *open_prog(uint32_t type, const struct bpf_insn *insns, uint32_t cnt)
{
	struct vm_prog *p;
	int fd = side_load(OURS, type, insns, cnt);

	REQUIRE(fd >= 0);
	REQUIRE(!sys_prog_open_fd(fd, &p));
	side_close(OURS, fd);
	return p;
}

/* R0 = len << 16 | the byte at 0 */
static void socket_filter(void)
{
	struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 7, 6, offsetof(struct __sk_buff, len), 0),
		INSN(BPF_ALU64 | BPF_LSH | BPF_K, 7, 0, 0, 16),
		INSN(BPF_ALU64 | BPF_OR | BPF_X, 0, 7, 0, 0),
		EXIT(),
	};
	struct vm_prog *p = open_prog(BPF_PROG_TYPE_SOCKET_FILTER, insns, 6);
	struct packet_run *r;
	uint32_t verdict, size;

	REQUIRE(!packet_run_begin(&r, p, 100));
	for (uint32_t i = ETH_LEN; i <= 100; i++) {
		struct packet_frame f = {bytes + i, i, i + 7, 0, 0};

		CHECK_EQ(packet_run(r, &f, &verdict), 0);
		CHECK_EQ(verdict, (i + 7) << 16 | bytes[i]);
		CHECK(!memcmp(packet_run_bytes(r, &size), bytes + i, i));
		CHECK_EQ(size, i);
	}
	CHECK_EQ(packet_run(r, &(struct packet_frame){bytes, 13, 0, 0, 0}, &verdict), -EINVAL);
	packet_run_end(r);
	sys_prog_put(p);
}

/* xdp: 14 bytes are there: the first becomes 0x77. R0 = whether. */
static void xdp(void)
{
	struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0),
		MOV_IMM(0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, ETH_LEN),
		INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 2, 0),
		INSN(BPF_ST | BPF_MEM | BPF_B, 2, 0, 0, 0x77),
		MOV_IMM(0, XDP_PASS),
		EXIT(),
	};
	struct vm_prog *p = open_prog(BPF_PROG_TYPE_XDP, insns, 9);
	struct packet_run *r;
	uint32_t verdict, size, i;
	const uint8_t *out;

	REQUIRE(!packet_run_begin(&r, p, sizeof(bytes)));
	for (i = ETH_LEN; i < sizeof(bytes); i += 501) {
		struct packet_frame f = {bytes, i, 0, 0, 0};

		CHECK_EQ(packet_run(r, &f, &verdict), 0);
		CHECK_EQ(verdict, XDP_PASS);
		out = packet_run_bytes(r, &size);
		CHECK(size == i && out[0] == 0x77 && !memcmp(out + 1, bytes + 1, i - 1));
	}
	packet_run_end(r);
	sys_prog_put(p);
}

int main(void)
{

	check_private_rundir();
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256 + 1);
	socket_filter();
	xdp();
	return check_done();
}
