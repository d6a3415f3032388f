/* SPDX-License-Identifier: BSD-2-Clause */
/* Who called getppid, as the helpers say. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct who {
	__u32 tgid, pid, uid, gid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct who);
	__type(value, __u64);
} callers SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int note(void *ctx)
{
	__u64 ids = bpf_get_current_pid_tgid(), users = bpf_get_current_uid_gid(), one = 1, *value;
	struct who who = {
		.tgid = ids >> 32,
		.pid = ids,
		.uid = users,
		.gid = users >> 32,
	};

	bpf_get_current_comm(who.comm, sizeof(who.comm));
	value = bpf_map_lookup_elem(&callers, &who);
	if (value)
		*value += 1;
	else
		bpf_map_update_elem(&callers, &who, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
