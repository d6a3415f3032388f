/* SPDX-License-Identifier: BSD-2-Clause */
/* One program per kind of event, for libbpf-attaches-every-section. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 runs;

#define PROGRAM(section, name)                                                                     \
	SEC(section)                                                                               \
	int name(void *ctx)                                                                        \
	{                                                                                          \
		__sync_fetch_and_add(&runs, 1);                                                    \
		return 0;                                                                          \
	}

PROGRAM("fentry/__x64_sys_mmap", p_fentry)
PROGRAM("fexit/__x64_sys_mmap", p_fexit)
PROGRAM("kprobe/__x64_sys_openat", p_kprobe)
PROGRAM("kretprobe/__x64_sys_openat", p_kretprobe)
PROGRAM("ksyscall/openat", p_ksyscall)
PROGRAM("kretsyscall/openat", p_kretsyscall)
PROGRAM("tp_btf/sys_enter", p_tp_btf)
PROGRAM("raw_tp/sys_exit", p_raw_tp)
PROGRAM("tracepoint/syscalls/sys_enter_openat", p_tracepoint)
PROGRAM("tp/raw_syscalls/sys_exit", p_raw_syscalls)
