/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs on a system call, in the sections of old. */
#include "bpf_helpers.h"

struct bpf_map_def SEC("maps") calls = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 8,
};
BPF_ANNOTATE_KV_PAIR(calls, __u32, __u64);

static __always_inline int count(__u32 key)
{
	__u64 *n = bpf_map_lookup_elem(&calls, &key), one = 1;

	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&calls, &key, &one, BPF_ANY);
	return 0;
}

SEC("kprobe/sys_getppid")
int on_entry(void *ctx)
{
	return count(1);
}

SEC("kretprobe/sys_getppid")
int on_return(void *ctx)
{
	return count(2);
}

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_tracepoint(void *ctx)
{
	return count(3);
}

char _license[] SEC("license") = "GPL";
__u32 _version SEC("version") = 0x60100;
