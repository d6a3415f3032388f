/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dynptrs: 16 bytes of a program's frame that stand for memory of a size that is known
 * when the program runs. The program cannot write them; the verifier knows which of
 * its frame's bytes are one (verifier_dynptr.c).
 */
#ifndef SHMAP_VM_DYNPTR_H
#define SHMAP_VM_DYNPTR_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/bpf.h>

enum dynptr_kind {
	DYNPTR_NONE,
	DYNPTR_LOCAL,	/* a map value */
	DYNPTR_RINGBUF, /* a reserved record */
	DYNPTR_SKB,	/* the packet of the run, which helpers may move */
	DYNPTR_XDP,
};

#define DYNPTR_SIZE_MAX ((1U << 24) - 1)

struct dynptr {
	uint8_t *data; /* NULL: nothing there. Packets: not NULL */
	uint32_t size;
	uint32_t offset : 24; /* packets: from the packet's beginning */
	uint32_t kind : 4;    /* enum dynptr_kind */
	uint32_t rdonly : 1;
};

_Static_assert(sizeof(struct dynptr) == sizeof(struct bpf_dynptr), "as programs know it");

#endif
