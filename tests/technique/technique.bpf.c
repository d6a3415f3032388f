/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The techniques, each in two programs (NAME_a, NAME_b), so that two are at work at once. A run is
 * one operation of the worker that the packet names, and keeps its ledger.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "shmap_helpers.h"
#include "technique.h"

char LICENSE[] SEC("license") = "GPL";

struct globals globals;

#define MAP(name, kind, entries, flags, type_t)                                                    \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, entries);                                                      \
		__uint(map_flags, flags);                                                          \
		__type(key, __u32);                                                                \
		__type(value, type_t);                                                             \
	} name SEC(".maps")

MAP(percpu_array, PERCPU_ARRAY, 2, 0, __u64);
MAP(percpu_hash, PERCPU_HASH, 16, 0, __u64);
MAP(in_array, ARRAY, 2, 0, struct sizes);
MAP(in_hash, HASH, 16, 0, struct sizes);
MAP(locked_array, ARRAY, 2, 0, struct account);
MAP(locked_hash, HASH, 16, 0, struct account);
MAP(versions, HASH, 1024, 0, struct version);

struct {
	__uint(type, 32); /* CGRP_STORAGE */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct account);
} locked_cgroup SEC(".maps");

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__array(values, struct counts);
} outer_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__array(values, struct counts);
} outer_hash SEC(".maps");

static __always_inline void begin(struct ledger *l)
{
	*(volatile __u64 *)&l->begun += 1;
}

static __always_inline void done(struct ledger *l)
{
	*(volatile __u64 *)&l->done += 1;
}

/* ---- per-CPU counters: plain additions ---- */

static __always_inline void percpu(struct ledger *l, __u32 w, __u32 key)
{
	__u64 *a = bpf_map_lookup_elem(&percpu_array, &key);
	__u64 *h = bpf_map_lookup_elem(&percpu_hash, &key);

	if (!a || !h) {
		l->lost++;
		return;
	}
	*(volatile __u64 *)a += 1;
	*(volatile __u64 *)h += 1;
}

/* The sum by bpf_map_lookup_percpu_elem(): packet's `worker` says of which map. */
SEC("tc")
int percpu_sum(struct __sk_buff *ctx)
{
	struct request *r = (void *)(long)ctx->data;
	__u64 sum = 0, *v;
	__u32 key = 1;

	if ((void *)(r + 1) > (void *)(long)ctx->data_end)
		return 0;
	for (__u32 cpu = 0; cpu < 1024; cpu++) {
		if (r->worker)
			v = bpf_map_lookup_percpu_elem(&percpu_hash, &key, cpu);
		else
			v = bpf_map_lookup_percpu_elem(&percpu_array, &key, cpu);
		if (!v)
			break;
		sum += *v;
	}
	globals.add64 = sum;
	return 1;
}

/* ---- atomics ---- */

static __always_inline void atomic_of_sizes(struct sizes *s)
{
	shmap_fetch_add8(SHMAP_AT(s, one), 1);
	shmap_fetch_sub8(SHMAP_AT(s, other), 3);
	shmap_fetch_add16(SHMAP_AT(s, two), 1);
	__sync_fetch_and_add(&s->four, 1);
	__sync_fetch_and_add(&s->eight, 1);
}

/* One more, by compare and exchange; again while others come between. */
static long one_more(__u32 i, void *ctx)
{
	__u64 old = *(volatile __u64 *)&globals.cmpxchg;

	return __sync_val_compare_and_swap(&globals.cmpxchg, old, old + 1) == old;
}

static __always_inline void atomics(struct ledger *l, __u32 w, __u32 key)
{
	__u64 bit = 1ULL << w, old;
	struct sizes *a, *h;

	a = bpf_map_lookup_elem(&in_array, &key);
	h = bpf_map_lookup_elem(&in_hash, &key);
	if (!a || !h) {
		l->lost++;
		return;
	}
	__sync_fetch_and_add(&globals.add64, 1);
	__sync_fetch_and_add(&globals.add32, 1);
	__sync_fetch_and_sub(&globals.sub64, 1);
	/* nobody else touches the bit */
	old = __sync_fetch_and_or(&globals.bits_or, bit);
	if (old & bit)
		l->torn++;
	old = __sync_fetch_and_and(&globals.bits_or, ~bit);
	if (!(old & bit))
		l->torn++;
	old = __sync_fetch_and_xor(&globals.bits_xor, bit);
	if (!(old & bit) != !(l->toggled & 1))
		l->torn++;
	l->toggled++;
	bpf_loop(1 << 20, one_more, NULL, 0);
	/* some give, some take all */
	if (l->done % 8 == 7) {
		l->taken += __sync_lock_test_and_set(&globals.xchg, 0);
	} else {
		old = __sync_fetch_and_add(&globals.xchg, 1);
		l->given++;
	}
	atomic_of_sizes(a);
	atomic_of_sizes(h);
}

/* ---- bpf_spin_lock ---- */

static __always_inline int whole(const struct account *a)
{
	__u64 sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += a->by_worker[i];
	return a->twice == 2 * a->count && a->inverted == ~a->count && a->low == (__u32)a->count &&
	       sum == a->count;
}

static __always_inline void account_add(struct account *a, __u32 w)
{
	/* each store a place to be killed at */
	*(volatile __u64 *)&a->count += 1;
	*(volatile __u64 *)&a->twice += 2;
	*(volatile __u64 *)&a->inverted = ~a->count;
	*(volatile __u64 *)&a->by_worker[w] += 1;
	*(volatile __u32 *)&a->low = a->count;
}

static __always_inline void spin_one(struct ledger *l, struct account *a, __u32 w)
{
	int ok;

	if (!a) {
		l->lost++;
		return;
	}
	bpf_spin_lock(&a->lock);
	ok = whole(a);
	account_add(a, w);
	bpf_spin_unlock(&a->lock);
	if (!ok)
		l->torn++;
}

static __always_inline void spin_array(struct ledger *l, __u32 w, __u32 key)
{
	spin_one(l, bpf_map_lookup_elem(&locked_array, &key), w);
}

static __always_inline void spin_hash(struct ledger *l, __u32 w, __u32 key)
{
	spin_one(l, bpf_map_lookup_elem(&locked_hash, &key), w);
}

/* ---- map RCU ---- */

static __always_inline int version_whole(const struct version *v)
{
	int ok = v->inverted == ~v->count;

	for (int i = 0; i < 6; i++)
		ok &= v->copies[i] == v->count;
	return ok;
}

static __always_inline void rcu_change(struct ledger *l, __u32 key)
{
	struct version *now, next;

	now = bpf_map_lookup_elem(&versions, &key);
	if (!now) {
		l->lost++;
		return;
	}
	next.count = *(volatile __u64 *)&now->count + 1;
	next.inverted = ~next.count;
	for (int i = 0; i < 6; i++)
		next.copies[i] = next.count;
	/* What was looked up stays what it was, whatever others do. (After an update of our own
	 * it need not: its memory may be what the new value is put into.) */
	for (int i = 0; i < 20; i++)
		if (!version_whole(now) || *(volatile __u64 *)&now->count + 1 != next.count)
			l->torn++;
	if (bpf_map_update_elem(&versions, &key, &next, BPF_EXIST))
		l->lost++;
}

/* Its own key, of which it is the only writer; the shared one; a look at a neighbour's. */
static __always_inline void rcu(struct ledger *l, __u32 w, __u32 key)
{
	__u32 other = (w + 1) % WORKERS;
	struct version *v;

	rcu_change(l, w);
	rcu_change(l, SHARED);
	v = bpf_map_lookup_elem(&versions, &other);
	if (!v || !version_whole(v))
		l->torn++;
}

/* ---- map-in-map swap ---- */

static __always_inline void swap_count(struct ledger *l, void *inner)
{
	__u32 zero = 0, one = 1;
	__u64 *a, *b;

	if (!inner) {
		l->lost++;
		return;
	}
	a = bpf_map_lookup_elem(inner, &zero);
	b = bpf_map_lookup_elem(inner, &one);
	if (!a || !b) {
		l->lost++;
		return;
	}
	__sync_fetch_and_add(a, 1);
	__sync_fetch_and_add(b, 1);
}

static __always_inline void swap_array(struct ledger *l, __u32 w, __u32 key)
{
	key = l->begun % SLOTS;
	swap_count(l, bpf_map_lookup_elem(&outer_array, &key));
}

static __always_inline void swap_hash(struct ledger *l, __u32 w, __u32 key)
{
	key = l->begun % SLOTS;
	swap_count(l, bpf_map_lookup_elem(&outer_hash, &key));
}

/* ---- the same without the techniques ---- */

static __always_inline void no_atomics(struct ledger *l, __u32 w, __u32 key)
{
	struct sizes *a = bpf_map_lookup_elem(&in_array, &key);

	if (a)
		*(volatile __u64 *)&a->eight += 1;
}

static __always_inline void no_lock(struct ledger *l, __u32 w, __u32 key)
{
	struct account *a = bpf_map_lookup_elem(&locked_array, &key);

	if (!a)
		return;
	if (!whole(a))
		l->torn++;
	account_add(a, w);
}

/* In place, where others read. */
static __always_inline void no_copy(struct ledger *l, __u32 w, __u32 key)
{
	struct version *v = bpf_map_lookup_elem(&versions, &key);
	__u64 count;

	if (!v)
		return;
	if (!version_whole(v))
		l->torn++;
	count = *(volatile __u64 *)&v->count + 1;
	*(volatile __u64 *)&v->count = count;
	for (int i = 0; i < 6; i++)
		*(volatile __u64 *)&v->copies[i] = count;
	*(volatile __u64 *)&v->inverted = ~count;
}

static __always_inline void no_swap(struct ledger *l, __u32 w, __u32 key)
{
	key = 0;
	swap_count(l, bpf_map_lookup_elem(&outer_array, &key));
}

#define PROGRAM(name, function)                                                                    \
	SEC("tc")                                                                                  \
	int name(struct __sk_buff *ctx)                                                            \
	{                                                                                          \
		struct request *r = (void *)(long)ctx->data;                                       \
		struct ledger *l;                                                                  \
		__u32 w;                                                                           \
                                                                                                   \
		if ((void *)(r + 1) > (void *)(long)ctx->data_end)                                 \
			return 0;                                                                  \
		w = r->worker;                                                                     \
		if (w >= WORKERS)                                                                  \
			return 0;                                                                  \
		l = &globals.ledger[w];                                                            \
		begin(l);                                                                          \
		function(l, w, r->key);                                                            \
		done(l);                                                                           \
		return 1;                                                                          \
	}
#define PROGRAMS(name) PROGRAM(name##_a, name) PROGRAM(name##_b, name)

PROGRAMS(percpu)
PROGRAMS(atomics)
PROGRAMS(spin_array)
PROGRAMS(spin_hash)
PROGRAMS(rcu)
PROGRAMS(swap_array)
PROGRAMS(swap_hash)
PROGRAMS(no_atomics)
PROGRAMS(no_lock)
PROGRAMS(no_copy)
PROGRAMS(no_swap)
