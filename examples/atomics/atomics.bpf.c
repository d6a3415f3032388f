/* SPDX-License-Identifier: BSD-2-Clause */
/* Every atomic operation: on global variables at each getpgid(2), and on a map's values of 1, 2, 4
 * and 8 bytes. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <asm/unistd.h>
#include "shmap_helpers.h"
#include "../pause.h"
#include "atomics.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct sizes);
} sizes SEC(".maps");

struct globals globals;

/* The result of an atomic must be used for the instruction to return one. */
static __always_inline void count(__u32 worker, __u64 argument)
{
	__u64 bit = 1ULL << (worker & 63), most;

	__sync_fetch_and_add(&globals.calls, 1);
	__sync_fetch_and_sub(&globals.left, 1);
	__sync_fetch_and_or(&globals.seen, bit);
	__sync_fetch_and_xor(&globals.odd, bit);
	__sync_fetch_and_and(&globals.missing, ~bit);
	__sync_fetch_and_add(&globals.small, 1);
	if (__sync_lock_test_and_set(&globals.last, worker + 1) != worker + 1)
		__sync_fetch_and_add(&globals.changes, 1);
	/* a maximum: again while somebody else is quicker, each time with a larger one */
	most = *(volatile __u64 *)&globals.most;
	for (int i = 0; i < 64 && most < argument; i++) {
		__u64 was = __sync_val_compare_and_swap(&globals.most, most, argument);

		if (was == most)
			break;
		most = was;
	}
}

/* ctx[1] is the number of the system call. A process is a worker, by the end of its pid. */
SEC("tp_btf/sys_enter")
int count_calls(__u64 *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (ctx[1] == __NR_getpgid)
		count(pid, pid);
	return 0;
}

/* The same for packets: the first byte is the worker, the second the argument. */
SEC("tc")
int count_packet(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 2 > end)
		return TC_ACT_SHOT;
	count(data[0], data[1]);
	return TC_ACT_OK;
}

/* Members of a map's value; 1 and 2 bytes by shmap_helpers.h. */
SEC("tc")
int count_sizes(struct __sk_buff *ctx)
{
	struct sizes *s;
	__u32 key = 1;

	s = bpf_map_lookup_elem(&sizes, &key);
	if (!s)
		return TC_ACT_SHOT;
	shmap_fetch_add8(SHMAP_AT(s, one), 1);
	shmap_fetch_sub8(SHMAP_AT(s, many), 1);
	shmap_fetch_add16(SHMAP_AT(s, two), 1);
	__sync_fetch_and_add(&s->four, 1);
	__sync_fetch_and_add(&s->eight, 1);
	return TC_ACT_OK;
}

/* How it goes wrong: a load, an addition and a store. */
SEC("tc")
int careless(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 old;

	if (data + 2 > end)
		return TC_ACT_SHOT;
	old = *(volatile __u32 *)&globals.careless;
	if (data[1])
		pause_here();
	*(volatile __u32 *)&globals.careless = old + 1;
	return TC_ACT_OK;
}
