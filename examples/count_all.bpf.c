/* SPDX-License-Identifier: BSD-2-Clause */
/* Every system call, and those of one process, in global variables. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

__u64 calls;	    /* .bss: by all */
__u64 calls_of_pid; /* .bss: by the process pid */
__s32 pid = -1;	    /* .data: whom to count; the loader sets it */

SEC("tp_btf/sys_enter")
int count_all(void *ctx)
{
	__sync_fetch_and_add(&calls, 1);
	if (bpf_get_current_pid_tgid() >> 32 == (__u32)pid)
		__sync_fetch_and_add(&calls_of_pid, 1);
	return 0;
}
