/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include <bpf/btf.h>

#include "base/bits.h"
#include "btf/btf.h"
#include "vm/kfunc_proto.h"
#include "vm/kfuncs.h"

#define K(fn_, ret_, ...)                                                                          \
	.name = "bpf_" #fn_, .fn = kfunc_##fn_, .ret = KRET_##ret_, .arg = {__VA_ARGS__}
#define NOTHING(fn_, special_)                                                                     \
	.name = "bpf_" #fn_, .fn = kfunc_nothing, .ret = KRET_VOID, .special = KFUNC_##special_

/* clang-format off */
static const struct kfunc_proto protos[] = {
	{NOTHING(rcu_read_lock, RCU_LOCK)},
	{NOTHING(rcu_read_unlock, RCU_UNLOCK)},
	{NOTHING(preempt_disable, PREEMPT_DISABLE)},
	{NOTHING(preempt_enable, PREEMPT_ENABLE)},
	{.name = "bpf_local_irq_save", .fn = kfunc_nothing, .ret = KRET_VOID, .arg = {KARG_IRQ_SAVE}},
	{.name = "bpf_local_irq_restore", .fn = kfunc_nothing, .ret = KRET_VOID,
	 .arg = {KARG_IRQ_RESTORE}},

	{K(dynptr_from_skb, INTEGER, KARG_CTX, KARG_SCALAR, KARG_DYNPTR_UNINIT),
	 .special = KFUNC_FROM_SKB, .prog_types = HPROG_SOCKET_FILTER | HPROG_TC},
	{K(dynptr_from_xdp, INTEGER, KARG_CTX, KARG_SCALAR, KARG_DYNPTR_UNINIT),
	 .special = KFUNC_FROM_XDP, .prog_types = HPROG_XDP},
	{K(dynptr_slice, SLICE, KARG_DYNPTR, KARG_SCALAR, KARG_MEM_OR_NULL, KARG_SIZE_CONST),
	 .special = KFUNC_SLICE},
	{K(dynptr_slice_rdwr, SLICE, KARG_DYNPTR, KARG_SCALAR, KARG_MEM_OR_NULL, KARG_SIZE_CONST),
	 .special = KFUNC_SLICE_RDWR},
	{K(dynptr_adjust, INTEGER, KARG_DYNPTR, KARG_SCALAR, KARG_SCALAR)},
	{K(dynptr_is_null, INTEGER, KARG_DYNPTR)},
	{K(dynptr_is_rdonly, INTEGER, KARG_DYNPTR)},
	{K(dynptr_size, INTEGER, KARG_DYNPTR)},
	{K(dynptr_clone, INTEGER, KARG_DYNPTR, KARG_DYNPTR_UNINIT), .special = KFUNC_CLONE},
	{K(dynptr_copy, INTEGER, KARG_DYNPTR, KARG_SCALAR, KARG_DYNPTR, KARG_SCALAR, KARG_SCALAR)},
	{K(dynptr_memset, INTEGER, KARG_DYNPTR, KARG_SCALAR, KARG_SCALAR, KARG_SCALAR)},
	{K(probe_read_kernel_dynptr, INTEGER, KARG_DYNPTR, KARG_SCALAR, KARG_SCALAR, KARG_IGNORED)},
	{K(probe_read_user_dynptr, INTEGER, KARG_DYNPTR, KARG_SCALAR, KARG_SCALAR, KARG_IGNORED)},
	{K(probe_read_kernel_str_dynptr, INTEGER, KARG_DYNPTR, KARG_SCALAR, KARG_SCALAR,
	   KARG_IGNORED)},
	{K(probe_read_user_str_dynptr, INTEGER, KARG_DYNPTR, KARG_SCALAR, KARG_SCALAR,
	   KARG_IGNORED)},

	{K(iter_num_new, INTEGER, KARG_ITER_NEW, KARG_SCALAR, KARG_SCALAR), .iter = ITER_NUM,
	 .in_lock = true},
	{K(iter_num_next, ITER_INT, KARG_ITER), .iter = ITER_NUM, .in_lock = true},
	{K(iter_num_destroy, VOID, KARG_ITER_DESTROY), .iter = ITER_NUM, .in_lock = true},
	{K(iter_bits_new, INTEGER, KARG_ITER_NEW, KARG_IGNORED, KARG_SCALAR), .iter = ITER_BITS},
	{K(iter_bits_next, ITER_INT, KARG_ITER), .iter = ITER_BITS},
	{K(iter_bits_destroy, VOID, KARG_ITER_DESTROY), .iter = ITER_BITS},

	{K(strcmp, INTEGER, KARG_IGNORED, KARG_IGNORED)},
	{K(strcasecmp, INTEGER, KARG_IGNORED, KARG_IGNORED)},
	{K(strchr, INTEGER, KARG_IGNORED, KARG_SCALAR)},
	{K(strchrnul, INTEGER, KARG_IGNORED, KARG_SCALAR)},
	{K(strnchr, INTEGER, KARG_IGNORED, KARG_SCALAR, KARG_SCALAR)},
	{K(strrchr, INTEGER, KARG_IGNORED, KARG_SCALAR)},
	{K(strlen, INTEGER, KARG_IGNORED)},
	{K(strnlen, INTEGER, KARG_IGNORED, KARG_SCALAR)},
	{K(strspn, INTEGER, KARG_IGNORED, KARG_IGNORED)},
	{K(strcspn, INTEGER, KARG_IGNORED, KARG_IGNORED)},
	{K(strstr, INTEGER, KARG_IGNORED, KARG_IGNORED)},
	{K(strnstr, INTEGER, KARG_IGNORED, KARG_IGNORED, KARG_SCALAR)},

	{K(rdonly_cast, CAST, KARG_IGNORED, KARG_CONST)},
	{K(wq_init, INTEGER, KARG_WQ, KARG_MAP, KARG_SCALAR)},
	/* its last argument is the kernel's own */
	{K(wq_set_callback_impl, INTEGER, KARG_WQ, KARG_CALLBACK, KARG_SCALAR)},
	{K(wq_start, INTEGER, KARG_WQ, KARG_SCALAR)},
	{K(map_sum_elem_count, INTEGER, KARG_MAP)},
	{K(copy_from_user_str, INTEGER, KARG_MEM, KARG_SIZE, KARG_IGNORED, KARG_SCALAR),
	 .sleepable = true},
};
/* clang-format on */

int kfunc_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (!strcmp(protos[i].name, name))
			return (int)i;
	return -1;
}

const struct kfunc_proto *kfunc_proto_at(uint32_t index)
{
	return index < ARRAY_SIZE(protos) ? &protos[index] : NULL;
}

const char *kfunc_name(uint32_t btf_id)
{
	const struct btf *btf = btf_vmlinux();
	const struct btf_type *t;

	if (!btf || !btf_id || btf_id >= btf__type_cnt(btf))
		return NULL;
	t = btf__type_by_id(btf, btf_id);
	return t && btf_is_func(t) ? btf__name_by_offset(btf, t->name_off) : NULL;
}
