/* SPDX-License-Identifier: BSD-2-Clause */
/* A verified packet program gets the event source's pointers from the 32-bit
 * fields of its context; code that no path reaches does not matter. */
#include "prog.h"

static int load(struct vm_prog *p)
{
	static char text[4096];
	struct vm_log log = {.buf = text, .size = sizeof(text), .level = 1};
	int err = vm_verify(p, &log);

	if (err)
		fprintf(stderr, "%s", text);
	return err;
}

int main(void)
{
	/* returns byte 13 of a packet that has it, else -1; the kernel's layouts */
	static const struct {
		uint32_t type;
		int16_t data, data_end;
	} kinds[] = {{BPF_PROG_TYPE_XDP, 0, 4}, {BPF_PROG_TYPE_SCHED_CLS, 76, 80}};
	uint8_t pkt[64];
	uint32_t ctx[64] = {0}, len;
	size_t i;

	uaccess_init();
	for (i = 0; i < sizeof(pkt); i++)
		pkt[i] = (uint8_t)(i + 100);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct bpf_insn insns[] = {
			INSN(BPF_LDX | BPF_W | BPF_MEM, 2, 1, kinds[i].data, 0),
			INSN(BPF_LDX | BPF_W | BPF_MEM, 3, 1, kinds[i].data_end, 0),
			MOV64_X(4, 2),
			INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 14),
			MOV64_K(0, -1),
			INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 2, 0),
			INSN(BPF_LDX | BPF_B | BPF_MEM, 0, 2, 13, 0),
			EXIT(),
			/* never taken: its target is dead to the walk */
			INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 5),
			EXIT(),
			EXIT(),
		};
		struct vm_prog *p;

		p = prog_new(kinds[i].type, insns, sizeof(insns) / sizeof(insns[0]));
		REQUIRE(!load(p));
		for (len = 10; len < 20; len++) {
			struct vm_env env = {.pkt = pkt, .pkt_end = pkt + len};
			uint64_t ret = 0;

			CHECK_EQ(vm_run(p, ctx, &env, &ret), 0);
			CHECK_EQ(ret, len >= 14 ? 113 : (uint64_t)-1);
		}
		vm_prog_free(p);
	}
	return check_done();
}
