/* SPDX-License-Identifier: BSD-2-Clause */
/* Several fields of a value change together, under the bpf_spin_lock in the value. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <asm/unistd.h>
#include "../pause.h"
#include "spin_lock.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* the second: without the lock */
	__type(key, __u32);
	__type(value, struct account);
} in_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct account);
} in_hash SEC(".maps");

/* What headers from before Linux 6.2 do not have. */
#define CGRP_STORAGE 32

struct {
	__uint(type, CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct account);
} in_cgroup SEC(".maps");

static __always_inline void add(struct account *a, __u64 bytes)
{
	a->packets++;
	a->bytes += bytes;
	a->squares += bytes * bytes;
}

SEC("tc")
int count(struct __sk_buff *ctx)
{
	__u64 bytes = ctx->data_end - ctx->data;
	struct account *a;
	__u32 key = 0;

	a = bpf_map_lookup_elem(&in_array, &key);
	if (!a)
		return TC_ACT_SHOT;
	bpf_spin_lock(&a->lock);
	add(a, bytes);
	bpf_spin_unlock(&a->lock);
	a = bpf_map_lookup_elem(&in_hash, &key);
	if (!a)
		return TC_ACT_SHOT;
	bpf_spin_lock(&a->lock);
	add(a, bytes);
	bpf_spin_unlock(&a->lock);
	return TC_ACT_OK;
}

struct cgroup;
struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));
struct task_struct {
	struct css_set *cgroups;
} __attribute__((preserve_access_index));
static struct account *(*cgroup_account)(void *map, struct cgroup *cgroup, void *value,
					 __u64 flags) = (void *)210; /* bpf_cgrp_storage_get */

/* The getpgid(2) calls of each cgroup; the largest number is shown in the array, as nobody can list
 * what cgroups have. */
SEC("tp_btf/sys_enter")
int count_calls(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct account *a;
	__u32 key = 0, calls;

	if (ctx[1] != __NR_getpgid)
		return 0;
	a = cgroup_account(&in_cgroup, task->cgroups->dfl_cgrp, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!a)
		return 0;
	bpf_spin_lock(&a->lock);
	calls = ++a->calls;
	add(a, 64);
	bpf_spin_unlock(&a->lock);
	a = bpf_map_lookup_elem(&in_array, &key);
	if (!a)
		return 0;
	bpf_spin_lock(&a->lock);
	if (a->calls < calls)
		a->calls = calls;
	bpf_spin_unlock(&a->lock);
	return 0;
}

/* How it goes wrong: the same stores without the lock. */
SEC("tc")
int careless(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct account *a;
	__u32 key = 1;

	if (data + 2 > end)
		return TC_ACT_SHOT;
	a = bpf_map_lookup_elem(&in_array, &key);
	if (!a)
		return TC_ACT_SHOT;
	a->packets++;
	if (data[1])
		pause_here();
	a->bytes += 64;
	a->squares += 64 * 64;
	return TC_ACT_OK;
}
