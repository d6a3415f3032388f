/* SPDX-License-Identifier: BSD-2-Clause */
/* Every section that system calls serve, each counting what it sees of openat. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <asm/unistd.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* The kernel's names for the registers. */
struct kregs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
};

struct tp_enter {
	__u64 common;
	long id;
	unsigned long args[6];
};

struct tp_exit {
	__u64 common;
	long id;
	long ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, char[16]);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline void count(const char *form)
{
	char key[16] = {};
	__u64 one = 1, *value;

	for (int i = 0; i < 15 && form[i]; i++)
		key[i] = form[i];
	value = bpf_map_lookup_elem(&seen, key);
	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&seen, key, &one, BPF_ANY);
}

/* The command opens this name, with these flags, and gets ENOENT. */
static __always_inline bool is_ours(const void *name)
{
	char buf[16] = {};

	if (bpf_probe_read_user_str(buf, sizeof(buf), name) < 0)
		return false;
	return buf[0] == '/' && buf[1] == 's' && buf[2] == 'h' && buf[3] == 'm' && buf[4] == 'a' &&
	       buf[5] == 'p';
}

static __always_inline bool regs_are_ours(const struct kregs *regs)
{
	struct kregs r;

	if (bpf_probe_read_kernel(&r, sizeof(r), regs))
		return false;
	return r.orig_ax == __NR_openat && is_ours((void *)r.si);
}

SEC("fentry/__x64_sys_openat")
int on_fentry(__u64 *ctx)
{
	if (regs_are_ours((void *)ctx[0]))
		count("fentry");
	return 0;
}

SEC("fexit/__x64_sys_openat")
int on_fexit(__u64 *ctx)
{
	if (regs_are_ours((void *)ctx[0]) && (long)ctx[1] == -2)
		count("fexit");
	return 0;
}

SEC("kprobe/__x64_sys_openat")
int on_kprobe(struct kregs *ctx)
{
	if (regs_are_ours((void *)ctx->di))
		count("kprobe");
	return 0;
}

SEC("kretprobe/__x64_sys_openat")
int on_kretprobe(struct kregs *ctx)
{
	if ((long)ctx->ax == -2)
		count("kretprobe");
	return 0;
}

SEC("ksyscall/openat")
int on_ksyscall(struct kregs *ctx)
{
	if (regs_are_ours((void *)ctx->di))
		count("ksyscall");
	return 0;
}

SEC("kretsyscall/openat")
int on_kretsyscall(struct kregs *ctx)
{
	if ((long)ctx->ax == -2)
		count("kretsyscall");
	return 0;
}

SEC("tp_btf/sys_enter")
int on_tp_btf(__u64 *ctx)
{
	if (ctx[1] == __NR_openat && regs_are_ours((void *)ctx[0]))
		count("tp_btf");
	return 0;
}

SEC("tp_btf/sys_exit")
int on_tp_btf_exit(__u64 *ctx)
{
	if (regs_are_ours((void *)ctx[0]) && (long)ctx[1] == -2)
		count("tp_btf_exit");
	return 0;
}

SEC("raw_tp/sys_enter")
int on_raw_tp(struct bpf_raw_tracepoint_args *ctx)
{
	if (ctx->args[1] == __NR_openat && regs_are_ours((void *)ctx->args[0]))
		count("raw_tp");
	return 0;
}

SEC("raw_tracepoint/sys_exit")
int on_raw_tp_exit(struct bpf_raw_tracepoint_args *ctx)
{
	if (regs_are_ours((void *)ctx->args[0]) && (long)ctx->args[1] == -2)
		count("raw_tp_exit");
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int on_tp(struct tp_enter *ctx)
{
	if (ctx->id == __NR_openat && is_ours((void *)ctx->args[1]))
		count("tp");
	return 0;
}

SEC("tp/syscalls/sys_exit_openat")
int on_tp_exit(struct tp_exit *ctx)
{
	if (ctx->id == __NR_openat && ctx->ret == -2)
		count("tp_exit");
	return 0;
}

SEC("tp/raw_syscalls/sys_enter")
int on_raw_syscalls(struct tp_enter *ctx)
{
	if (ctx->id == __NR_openat && is_ours((void *)ctx->args[1]))
		count("raw_syscalls");
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_exit")
int on_raw_syscalls_exit(struct tp_exit *ctx)
{
	if (ctx->id == __NR_openat && ctx->ret == -2)
		count("raw_sys_exit");
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
