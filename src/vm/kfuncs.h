/* SPDX-License-Identifier: BSD-2-Clause */
/* The kfuncs' code, by name; what the verifier checks is in kfunc_proto.c. */
#ifndef SHMAP_VM_KFUNCS_H
#define SHMAP_VM_KFUNCS_H

#include "vm/helpers.h"

#define KFUNC(name)                                                                                \
	uint64_t kfunc_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,          \
			      struct vm_context *vc)

/* An int in R0, as a function that returns int leaves it. */
#define INT(value) ((uint64_t)(uint32_t)(value))

KFUNC(nothing);
KFUNC(dynptr_from_skb);
KFUNC(dynptr_from_xdp);
KFUNC(dynptr_slice);
KFUNC(dynptr_slice_rdwr);
KFUNC(dynptr_adjust);
KFUNC(dynptr_is_null);
KFUNC(dynptr_is_rdonly);
KFUNC(dynptr_size);
KFUNC(dynptr_clone);
KFUNC(dynptr_copy);
KFUNC(dynptr_memset);
KFUNC(probe_read_kernel_dynptr);
KFUNC(probe_read_user_dynptr);
KFUNC(probe_read_kernel_str_dynptr);
KFUNC(probe_read_user_str_dynptr);
KFUNC(iter_num_new);
KFUNC(iter_num_next);
KFUNC(iter_num_destroy);
KFUNC(iter_bits_new);
KFUNC(iter_bits_next);
KFUNC(iter_bits_destroy);
KFUNC(strcmp);
KFUNC(strcasecmp);
KFUNC(strchr);
KFUNC(strchrnul);
KFUNC(strnchr);
KFUNC(strrchr);
KFUNC(strlen);
KFUNC(strnlen);
KFUNC(strspn);
KFUNC(strcspn);
KFUNC(strstr);
KFUNC(strnstr);
KFUNC(rdonly_cast);
KFUNC(map_sum_elem_count);
KFUNC(copy_from_user_str);
KFUNC(wq_init);
KFUNC(wq_set_callback_impl);
KFUNC(wq_start);

/* The run has failed: pages of iterators that it did not destroy. */
void kfunc_pages_free(struct vm_context *vc);

#endif
