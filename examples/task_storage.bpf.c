/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls of each thread, in the thread's own storage; and how many threads there were. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct task_struct;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps"); /* 0: calls, 1: threads */

static void add(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&totals, &which);

	if (n)
		__sync_fetch_and_add(n, 1);
}

SEC("tp_btf/sys_enter")
int count_by_thread(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	__u64 *mine = bpf_task_storage_get(&calls, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!mine)
		return 0;
	if (!*mine)
		add(1);
	*mine += 1; /* nobody else's */
	add(0);
	return 0;
}
