/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel functions that programs may call (BPF_PSEUDO_KFUNC_CALL), by name.
 *
 * An instruction names one by the id of its BTF_KIND_FUNC in the kernel's own BTF, which
 * libbpf has looked up for an `extern ... __ksym`; so its name comes from there. What
 * its arguments may be is written here, where the kernel derives it from the types and
 * the endings of the parameters' names (__sz, __ign, __uninit...).
 *
 * A kfunc's code is a vm_helper_fn as a helper's: five registers and the run.
 */
#ifndef SHMAP_VM_KFUNC_PROTO_H
#define SHMAP_VM_KFUNC_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/helper_proto.h"
#include "vm/interp.h"

enum kfunc_arg {
	KARG_NONE,    /* unused; must be last */
	KARG_IGNORED, /* anything: the kfunc probes it as an address, if it looks at all */
	KARG_SCALAR,
	KARG_CONST, /* a scalar that is known */
	KARG_CTX,   /* the unmodified context */
	KARG_MAP,   /* a map: struct map * */
	KARG_MEM,   /* memory to read and write; the next argument is its size */
	KARG_MEM_OR_NULL,
	KARG_SIZE,	    /* 0..known maximum */
	KARG_SIZE_CONST,    /* known */
	KARG_DYNPTR,	    /* a dynptr */
	KARG_DYNPTR_UNINIT, /* 16 bytes of the frame that become one */
	KARG_ITER_NEW,	    /* bytes of the frame that become an iterator */
	KARG_ITER,	    /* an iterator */
	KARG_ITER_DESTROY,  /* is none any more after the call */
	KARG_IRQ_SAVE,	    /* 8 bytes of the frame that become the saved flags */
	KARG_IRQ_RESTORE,
	KARG_WQ,       /* struct bpf_wq of a map value */
	KARG_CALLBACK, /* a static function of the program */
};

enum kfunc_ret {
	KRET_INTEGER,
	KRET_VOID,
	KRET_SLICE,    /* KARG_SIZE_CONST bytes of the dynptr, or NULL */
	KRET_ITER_INT, /* an int in the iterator; NULL at the end */
	KRET_CAST,     /* the first argument as a type of the kernel's BTF (KARG_CONST) */
};

enum kfunc_special {
	KFUNC_PLAIN,
	KFUNC_RCU_LOCK,
	KFUNC_RCU_UNLOCK,
	KFUNC_PREEMPT_DISABLE,
	KFUNC_PREEMPT_ENABLE,
	KFUNC_FROM_SKB,
	KFUNC_FROM_XDP,
	KFUNC_CLONE,
	KFUNC_SLICE,
	KFUNC_SLICE_RDWR,
};

/* Which iterator an iterator's kfunc is about. */
enum iter_kind {
	ITER_NONE,
	ITER_NUM,
	ITER_BITS,
};

struct kfunc_proto {
	const char *name;
	vm_helper_fn fn;
	enum kfunc_ret ret;
	enum kfunc_arg arg[5];
	uint32_t prog_types; /* enum helper_progs bits; 0: every type */
	enum kfunc_special special;
	enum iter_kind iter;
	bool sleepable; /* only sleepable programs may call it */
	bool in_lock;	/* may be called while a bpf_spin_lock is held */
};

/* Index in the table of the kfunc with that name, or -1: there is none here. */
int kfunc_find(const char *name);
/* That one; NULL past the end. */
const struct kfunc_proto *kfunc_proto_at(uint32_t index);
/* The name of the kernel's BTF function `id`, or NULL. */
const char *kfunc_name(uint32_t btf_id);

#endif
