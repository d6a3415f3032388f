/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SPIN_LOCK_H
#define SPIN_LOCK_H

#include <linux/types.h>

/* Fields that belong together: bytes is 64 * packets, and squares is 64 * 64 * packets. */
struct account {
	struct bpf_spin_lock lock;
	__u32 calls;
	__u64 packets, bytes, squares;
};

#endif
