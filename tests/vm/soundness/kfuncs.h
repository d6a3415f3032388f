/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel functions that the generator calls and the checker follows. */
#ifndef TESTS_SOUNDNESS_KFUNCS_H
#define TESTS_SOUNDNESS_KFUNCS_H

enum progen_kfunc {
	K_RCU_LOCK,
	K_RCU_UNLOCK,
	K_PREEMPT_OFF,
	K_PREEMPT_ON,
	K_FROM_SKB,
	K_FROM_XDP,
	K_SLICE,
	K_SLICE_RDWR,
	K_ADJUST,
	K_SIZE,
	K_CLONE,
	K_MEMSET,
	K_NUM_NEW,
	K_NUM_NEXT,
	K_NUM_DESTROY,
	K_CNT
};

static const char *const progen_kfunc_names[K_CNT] = {
	[K_RCU_LOCK] = "bpf_rcu_read_lock",	  [K_RCU_UNLOCK] = "bpf_rcu_read_unlock",
	[K_PREEMPT_OFF] = "bpf_preempt_disable",  [K_PREEMPT_ON] = "bpf_preempt_enable",
	[K_FROM_SKB] = "bpf_dynptr_from_skb",	  [K_FROM_XDP] = "bpf_dynptr_from_xdp",
	[K_SLICE] = "bpf_dynptr_slice",		  [K_SLICE_RDWR] = "bpf_dynptr_slice_rdwr",
	[K_ADJUST] = "bpf_dynptr_adjust",	  [K_SIZE] = "bpf_dynptr_size",
	[K_CLONE] = "bpf_dynptr_clone",		  [K_MEMSET] = "bpf_dynptr_memset",
	[K_NUM_NEW] = "bpf_iter_num_new",	  [K_NUM_NEXT] = "bpf_iter_num_next",
	[K_NUM_DESTROY] = "bpf_iter_num_destroy",
};

#endif
