/* SPDX-License-Identifier: BSD-2-Clause */
/* An event runs only programs of its type that stay within the context that it
 * has, whatever a link's file says. */
#include <string.h>

#include "check.h"
#include "event/targets.h"
#include "vm/vm.h"

static int fits(enum link_event event, const char *name, uint32_t type, int16_t off)
{
	struct bpf_insn insns[] = {
		{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 0, .src_reg = 1, .off = off},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct vm_prog *p = calloc(1, sizeof(*p));
	struct target t;
	char why[128];
	int err;

	REQUIRE(p);
	p->type = type;
	p->insns = malloc(sizeof(insns));
	REQUIRE(p->insns);
	memcpy(p->insns, insns, sizeof(insns));
	p->insn_cnt = 2;
	REQUIRE(!vm_verify(p, NULL));
	REQUIRE(!target_parse(event, name, &t, why, sizeof(why)));
	err = target_set_prog(&t, p);
	vm_prog_free(p);
	return err;
}

int main(void)
{
	const uint32_t tp = BPF_PROG_TYPE_TRACEPOINT, raw = BPF_PROG_TYPE_RAW_TRACEPOINT;

	CHECK_EQ(fits(LINK_TRACEPOINT, "raw_syscalls/sys_enter", tp, 60), 0);
	CHECK_EQ(fits(LINK_TRACEPOINT, "raw_syscalls/sys_enter", tp, 64), -EINVAL);
	CHECK_EQ(fits(LINK_TRACEPOINT, "raw_syscalls/sys_enter", tp, 8000), -EINVAL);
	CHECK_EQ(fits(LINK_TRACEPOINT, "syscalls/sys_exit_openat", tp, 20), 0);
	CHECK_EQ(fits(LINK_TRACEPOINT, "syscalls/sys_exit_openat", tp, 24), -EINVAL);
	CHECK_EQ(fits(LINK_RAW_TRACEPOINT, "sys_enter", raw, 12), 0);
	CHECK_EQ(fits(LINK_RAW_TRACEPOINT, "sys_enter", raw, 16), -EINVAL);
	/* of another type */
	CHECK_EQ(fits(LINK_RAW_TRACEPOINT, "sys_enter", BPF_PROG_TYPE_XDP, 0), -EINVAL);
	CHECK_EQ(fits(LINK_RAW_TRACEPOINT, "sys_enter", BPF_PROG_TYPE_SYSCALL, 0), -EINVAL);
	CHECK_EQ(fits(LINK_TRACEPOINT, "raw_syscalls/sys_enter", BPF_PROG_TYPE_SOCKET_FILTER, 0),
		 -EINVAL);
	return check_done();
}
