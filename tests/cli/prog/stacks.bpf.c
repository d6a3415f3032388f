/* SPDX-License-Identifier: BSD-2-Clause */
/* Where getppid was called from: the caller's stack by the two helpers. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define DEPTH 16

struct stack {
	__s64 id, size;
	__u64 ips[DEPTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, DEPTH * 8);
} traces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stack);
} last SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int note(void *ctx)
{
	__u32 zero = 0;
	struct stack *s = bpf_map_lookup_elem(&last, &zero);

	if (!s)
		return 0;
	s->id = bpf_get_stackid(ctx, &traces, BPF_F_USER_STACK);
	s->size = bpf_get_stack(ctx, s->ips, sizeof(s->ips), BPF_F_USER_STACK);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
