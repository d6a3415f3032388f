// SPDX-License-Identifier: BSD-2-Clause
/* One program of each kind that libbpf prepares in its own way. */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char _license[] SEC("license") = "GPL";

const volatile __u32 step = 1;
__u64 total;
__u32 start = 5;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} percpu SEC(".maps");

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

static __noinline void count(__u32 key)
{
	__u64 one = 1, *value = bpf_map_lookup_elem(&seen, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
	total += step;
}

SEC("tc")
int on_packet(struct __sk_buff *skb)
{
	count(skb->len);
	return start + total;
}

SEC("syscall")
int on_call(__u64 *ctx)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&percpu, &zero);

	if (value)
		*value += 1;
	return 0;
}

SEC("fentry/__x64_sys_mmap")
int BPF_PROG(on_fentry)
{
	count(bpf_core_field_offset(struct task_struct, tgid));
	return 0;
}

SEC("fexit/__x64_sys_mmap")
int BPF_PROG(on_fexit)
{
	count(1);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_tp_btf)
{
	count(2);
	return 0;
}

SEC("raw_tp/sys_exit")
int on_raw_tp(struct bpf_raw_tracepoint_args *ctx)
{
	count(ctx->args[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_mmap")
int on_tracepoint(void *ctx)
{
	count(3);
	return 0;
}

SEC("kprobe/__x64_sys_mmap")
int on_kprobe(void *ctx)
{
	count(bpf_get_attach_cookie(ctx));
	return 0;
}

SEC("kretprobe/__x64_sys_mmap")
int on_kretprobe(void *ctx)
{
	count(4);
	return 0;
}

SEC("ksyscall/getppid")
int on_ksyscall(void *ctx)
{
	count(5);
	return 0;
}
