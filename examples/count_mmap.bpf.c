/* SPDX-License-Identifier: BSD-2-Clause */
/* The classic: how often is mmap(2) called, counted per CPU. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} percpu_counter SEC(".maps");

SEC("fentry/__x64_sys_mmap")
int count_mmap(void *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&percpu_counter, &key);

	if (value)
		*value += 1;
	return 0;
}
