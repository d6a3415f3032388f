/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each access of a context: every offset, 1 to 8 bytes, load, store of a register and store
 * of a constant, in socket filters, tc and xdp programs. The verdict is the kernel's; what
 * is refused here alone is listed, with its reason in docs/compat.md.
 */
#include "vt.h"

#include <stddef.h>
#include <stdio.h>

#include "check.h"

/* Fields that docs/compat.md names as not served. */
static bool not_served(uint32_t type, int off)
{
	return type == BPF_PROG_TYPE_SCHED_CLS &&
	       off >= (int)offsetof(struct __sk_buff, flow_keys) &&
	       off < (int)offsetof(struct __sk_buff, flow_keys) + 8;
}

static char log_ours[VT_LOG], log_kernel[VT_LOG];

int main(void)
{
	static const uint32_t types[] = {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_SCHED_CLS,
					 BPF_PROG_TYPE_XDP};
	static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	static const uint8_t ways[] = {BPF_LDX, BPF_STX, BPF_ST};
	long accepted = 0, refused = 0;

	if (!vt_kernel_works())
		SKIP("bpf(2) is not permitted here: no kernel to compare with");
	for (int t = 0; t < 3; t++)
		for (int off = -8; off < (t == 2 ? 40 : 208); off++)
			for (int s = 0; s < 4; s++)
				for (int w = 0; w < 3; w++) {
					const struct bpf_insn insns[] = {
						MOV(R2, 0),
						I(ways[w] | BPF_MEM | sizes[s], w ? R1 : R0,
						  w == 2 ? 0
						  : w	 ? R2
							 : R1,
						  off, 0),
						MOV(R0, 0),
						EXIT,
					};
					struct vt_prog p = {
						.type = types[t], .insns = insns, .cnt = 4};
					const int ours = vt_ours(&p, log_ours, 0);
					const int theirs = vt_kernel(&p, log_kernel, 0);

					if (theirs)
						refused++;
					else
						accepted++;
					if (ours == theirs || (ours && not_served(types[t], off)))
						continue;
					fprintf(stderr,
						"type %u, off %d, %d bytes, %s: here %d, kernel "
						"%d\n",
						types[t], off, 1 << s,
						w == 2 ? "st"
						: w    ? "stx"
						       : "ldx",
						ours, theirs);
					check_failures++;
				}
	printf("%ld accesses that the kernel allows, %ld that it refuses\n", accepted, refused);
	return check_done();
}
