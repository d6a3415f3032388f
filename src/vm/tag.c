/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program tag: the first eight bytes of the SHA-256 digest (FIPS 180-4) of
 * the instructions, with the map references in 16-byte loads zeroed. (Linux
 * before 6.18 took SHA-1; 6.18 is the reference.)
 */
#include <sha2.h>
#include <string.h>

#include "vm/vm.h"

void vm_prog_tag(const struct vm_prog *p, uint8_t tag[8])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX ctx;
	struct bpf_insn insn;
	bool map = false;
	uint32_t i;

	SHA256Init(&ctx);
	for (i = 0; i < p->insn_cnt; i++) {
		insn = p->insns[i];
		if (map) { /* second half of a map's load */
			insn.imm = 0;
			map = false;
		} else if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) &&
			   (insn.src_reg == BPF_PSEUDO_MAP_FD ||
			    insn.src_reg == BPF_PSEUDO_MAP_VALUE)) {
			insn.imm = 0;
			map = true;
		}
		SHA256Update(&ctx, (const uint8_t *)&insn, sizeof(insn));
	}
	SHA256Final(digest, &ctx);
	memcpy(tag, digest, 8);
}
