/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs do with maps, OPS times in a run: run by PROG_TEST_RUN on the
 * kernel and on shmap. Each program uses the map that is named as its type.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define OPS 128
#define ENTRIES 10000

char _license[] SEC("license") = "GPL";

#define MAP(name, kind, key_t, value_t, flags, ...)                                                \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, ENTRIES __VA_ARGS__);                                          \
		__type(key, key_t);                                                                \
		__type(value, value_t);                                                            \
		__uint(map_flags, flags);                                                          \
	} name SEC(".maps")

struct lpm_key {
	__u32 prefixlen, addr;
};

MAP(array, ARRAY, __u32, __u64, 0);
MAP(percpu_array, PERCPU_ARRAY, __u32, __u64, 0);
MAP(hash, HASH, __u32, __u64, 0);
/* with room for more than it is filled with */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} hash_insert SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000);
	__type(key, __u32);
	__type(value, __u64);
} hash_1k SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1000);
	__type(key, __u32);
	__type(value, __u64);
} array_1k SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} hash_alloc SEC(".maps");
struct locked_value {
	struct bpf_spin_lock lock;
	__u64 n;
};
MAP(locked, ARRAY, __u32, struct locked_value, 0);
struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 16);
	__type(key, __u32);
	__array(values, struct inner);
} array_of_maps SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 16);
	__type(key, __u32);
	__array(values, struct inner);
} hash_of_maps SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} prog_array SEC(".maps");
MAP(lru_nc, LRU_HASH, __u32, __u64, BPF_F_NO_COMMON_LRU);
MAP(percpu_hash, PERCPU_HASH, __u32, __u64, 0);
MAP(lru_hash, LRU_HASH, __u32, __u64, 0);
MAP(lpm_trie, LPM_TRIE, struct lpm_key, __u64, BPF_F_NO_PREALLOC);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, ENTRIES);
	__uint(key_size, 0);
	__uint(value_size, 8);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, ENTRIES);
	__uint(key_size, 0);
	__uint(value_size, 8);
} bloom_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ringbuf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} perf_event SEC(".maps");

/* Another key each time, all over the map. */
static __always_inline __u32 spread(__u32 i, __u32 salt)
{
	return (i * 2654435761u + salt) % ENTRIES;
}

#define PROGRAM(name, ...)                                                                         \
	SEC("tc") int name(struct __sk_buff *skb)                                                  \
	{                                                                                          \
		__u32 salt = bpf_get_prandom_u32();                                                \
                                                                                                   \
		for (int i = 0; i < OPS; i++) {                                                    \
			__u32 key = spread(i, salt);                                               \
			__u64 one = 1;                                                             \
			(void)key;                                                                 \
			__VA_ARGS__                                                                \
		}                                                                                  \
		return TC_ACT_OK;                                                                  \
	}

#define INCREMENT(map)                                                                             \
	{                                                                                          \
		__u64 *value = bpf_map_lookup_elem(&map, &key);                                    \
		if (value)                                                                         \
			*value += one;                                                             \
	}

PROGRAM(empty_loop, asm volatile("" : : "r"(key), "r"(&one) : "memory");)
PROGRAM(array_lookup, INCREMENT(array))
PROGRAM(array_update, bpf_map_update_elem(&array, &key, &one, BPF_ANY);)
PROGRAM(array_atomic_add, {
	__u64 *value = bpf_map_lookup_elem(&array, &key);
	if (value)
		__sync_fetch_and_add(value, one);
})
PROGRAM(array_atomic_same, {
	__u64 *value;
	key = 0;
	value = bpf_map_lookup_elem(&array, &key);
	if (value)
		__sync_fetch_and_add(value, one);
})
#define LOCKED_INCREMENT                                                                           \
	{                                                                                          \
		struct locked_value *value = bpf_map_lookup_elem(&locked, &key);                   \
		if (value) {                                                                       \
			bpf_spin_lock(&value->lock);                                               \
			value->n += one;                                                           \
			bpf_spin_unlock(&value->lock);                                             \
		}                                                                                  \
	}
PROGRAM(locked_increment, LOCKED_INCREMENT)
PROGRAM(locked_same, key = 0; LOCKED_INCREMENT)
PROGRAM(percpu_array_lookup, INCREMENT(percpu_array))
PROGRAM(hash_lookup, INCREMENT(hash))
PROGRAM(hash_1k_lookup, key %= 1000; INCREMENT(hash_1k))
PROGRAM(hash_miss, key |= 1 << 30; INCREMENT(hash))
PROGRAM(hash_alloc_lookup, INCREMENT(hash_alloc))
PROGRAM(hash_alloc_insert_delete, {
	key |= 1 << 30;
	bpf_map_update_elem(&hash_alloc, &key, &one, BPF_ANY);
	bpf_map_delete_elem(&hash_alloc, &key);
})
PROGRAM(hash_update, bpf_map_update_elem(&hash, &key, &one, BPF_ANY);)
PROGRAM(hash_insert_delete, {
	key |= 1 << 30;
	bpf_map_update_elem(&hash_insert, &key, &one, BPF_ANY);
	bpf_map_delete_elem(&hash_insert, &key);
})
/* the map is full: it is refused */
PROGRAM(hash_refused, {
	key |= 1 << 30;
	bpf_map_update_elem(&hash, &key, &one, BPF_ANY);
})
PROGRAM(percpu_hash_lookup, INCREMENT(percpu_hash))
PROGRAM(lru_hash_lookup, INCREMENT(lru_hash))
PROGRAM(lru_hash_insert, {
	key = bpf_get_prandom_u32();
	bpf_map_update_elem(&lru_hash, &key, &one, BPF_ANY);
})
PROGRAM(lru_nc_insert, {
	key = bpf_get_prandom_u32();
	bpf_map_update_elem(&lru_nc, &key, &one, BPF_ANY);
})
PROGRAM(lpm_trie_lookup, {
	struct lpm_key at = {32, spread(i, salt) << 8 | 7U << 24};
	__u64 *value = bpf_map_lookup_elem(&lpm_trie, &at);
	if (value)
		*value += one;
})
PROGRAM(queue_push_pop, {
	bpf_map_push_elem(&queue, &one, 0);
	bpf_map_pop_elem(&queue, &one);
})
PROGRAM(bloom_filter_peek, {
	one = key;
	bpf_map_peek_elem(&bloom_filter, &one);
})
PROGRAM(ringbuf_reserve_discard, {
	__u64 *record = bpf_ringbuf_reserve(&ringbuf, 8, 0);
	if (record) {
		*record = one;
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
	}
})
PROGRAM(ringbuf_output, bpf_ringbuf_output(&ringbuf, &one, 8, 0);)
#define INNER_INCREMENT(map)                                                                       \
	{                                                                                          \
		__u32 slot = key % 16;                                                             \
		void *inner = bpf_map_lookup_elem(&map, &slot);                                    \
		__u64 *value = inner ? bpf_map_lookup_elem(inner, &key) : NULL;                    \
		if (value)                                                                         \
			*value += one;                                                             \
	}
PROGRAM(array_of_maps_lookup, INNER_INCREMENT(array_of_maps))
PROGRAM(hash_of_maps_lookup, INNER_INCREMENT(hash_of_maps))
PROGRAM(ktime, {
	one = bpf_ktime_get_ns();
	asm volatile("" : : "r"(&one) : "memory");
})
PROGRAM(prandom, {
	one = bpf_get_prandom_u32();
	asm volatile("" : : "r"(&one) : "memory");
})
PROGRAM(perf_event_output, bpf_perf_event_output(skb, &perf_event, BPF_F_CURRENT_CPU, &one, 8);)

/* ---- whole runs ---- */

#define RUN(name, ...)                                                                             \
	SEC("tc") int name(struct __sk_buff *skb)                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
		return TC_ACT_OK;                                                                  \
	}

static long loop_step(__u32 i, __u64 *sum)
{
	*sum += i;
	return 0;
}

static long element_step(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *value;
	return 0;
}

RUN(run_empty, )
RUN(prog_array_tail_call, bpf_tail_call(skb, &prog_array, 0);)
RUN(run_loop, {
	__u64 sum = 0;
	bpf_loop(OPS, loop_step, &sum, 0);
	return sum & 1;
})
RUN(array_1k_for_each, {
	__u64 sum = 0;
	bpf_for_each_map_elem(&array_1k, element_step, &sum, 0);
	return sum & 1;
})

/* ---- pure computation: no map, on the packet and the stack ---- */

#define COMPUTE(name, ...)                                                                         \
	SEC("tc") int name(struct __sk_buff *skb)                                                  \
	{                                                                                          \
		__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;          \
		__u64 out = 0;                                                                     \
                                                                                                   \
		if (data + 64 > end)                                                               \
			return TC_ACT_SHOT;                                                        \
		__VA_ARGS__                                                                        \
		return out & 1;                                                                    \
	}

/* FNV-1a, byte by byte, over and over. */
COMPUTE(compute_hash, {
	__u64 h = 0xcbf29ce484222325ull;
	for (int n = 0; n < 32; n++)
		for (int i = 0; i < 64; i++)
			h = (h ^ data[i]) * 0x100000001b3ull;
	out = h;
})

/* The Internet checksum. */
COMPUTE(compute_checksum, {
	__u32 sum = 0;
	for (int n = 0; n < 64; n++)
		for (int i = 0; i < 64; i += 2)
			sum += *(__u16 *)(data + i);
	sum = (sum & 0xffff) + (sum >> 16);
	out = (__u16) ~(sum + (sum >> 16));
})

/* Ethernet, VLAN, IPv4 with options, TCP: what a parser decides on. */
static __noinline __u32 parse(__u8 *data, __u8 *end)
{
	__u8 *ip = data + 14, *next;
	__u32 proto;

	if (data + 64 > end)
		return 0;
	proto = data[12] << 8 | data[13];
	if (proto == 0x8100) {
		proto = data[16] << 8 | data[17];
		ip += 4;
	}
	if (proto != 0x0800 && proto != 0)
		return 1;
	next = ip + (ip[0] & 15) * 4;
	if (next + 4 > end)
		return 2;
	switch (ip[9]) {
	case 6:
		return 100 + (next[0] << 8 | next[1]);
	case 17:
		return 200 + (next[2] << 8 | next[3]);
	case 1:
		return 300 + next[0];
	}
	return 3 + next[0];
}

/* (what is stored tells the compiler that the next call may find something else) */
COMPUTE(compute_parse, {
	for (int n = 0; n < 64; n++) {
		out += parse(data, end);
		data[63] = out;
	}
})

/* A sorting network of 16 numbers on the stack, over and over. */
#define SWAP(a, b)                                                                                 \
	{                                                                                          \
		__u32 x = v[a], y = v[b];                                                          \
		v[a] = x < y ? x : y;                                                              \
		v[b] = x < y ? y : x;                                                              \
	}

static __noinline int sort(__u32 *v, __u32 seed)
{
	if (!v)
		return 0;
	for (int i = 0; i < 16; i++) {
		seed = seed * 1664525 + 1013904223;
		v[i] = seed >> 8;
	}
	for (int n = 0; n < 16; n++) {
		for (int i = 0; i < 16; i += 2)
			SWAP(i, i + 1)
		for (int i = 1; i < 15; i += 2)
			SWAP(i, i + 1)
	}
	return v[0] + v[15];
}

COMPUTE(compute_sort, {
	__u32 v[16] = {};
	for (int n = 0; n < 4; n++)
		out += sort(v, data[n]);
})

/* Division and modulo by what is only known at run time. */
COMPUTE(compute_divide, {
	__u64 a = 0x123456789abcdefull + data[0];
	__u32 b = data[1] + 7;
	for (int n = 0; n < 128; n++) {
		out += a / (b + n);
		out ^= a % (b + n * 3);
		a = a * 31 + n;
	}
})

/* Every kind of arithmetic. */
COMPUTE(compute_mix, {
	__u64 a = data[0];
	__u64 b = data[1] + 3;
	for (int n = 0; n < 128; n++) {
		a = (a + b) * 0x9e3779b97f4a7c15ull;
		b ^= a >> 29 | a << 35;
		b -= (__u32)a >> 3;
		a &= ~(b << (n & 7));
	}
	out = a + b;
})

/* ---- load time: about 100 and about 5,000 instructions ---- */

#define STEP(n)                                                                                    \
	x = *(volatile __u8 *)(data + (n) % 64);                                                   \
	if (x > (n) % 251)                                                                         \
		out += x * 3 + (n);                                                                \
	else                                                                                       \
		out ^= x << ((n) % 13);
#define STEP4(n) STEP(n) STEP((n) + 1) STEP((n) + 2) STEP((n) + 3)
#define STEP16(n) STEP4(n) STEP4((n) + 4) STEP4((n) + 8) STEP4((n) + 12)
#define STEP64(n) STEP16(n) STEP16((n) + 16) STEP16((n) + 32) STEP16((n) + 48)
#define STEP256(n) STEP64(n) STEP64((n) + 64) STEP64((n) + 128) STEP64((n) + 192)

COMPUTE(load_100, {
	__u64 x;
	STEP4(1) STEP4(5) STEP(9) STEP(10)
})
COMPUTE(load_5000, {
	__u64 x;
	STEP256(1) STEP256(257) STEP64(513) STEP16(577)
})
