/* SPDX-License-Identifier: BSD-2-Clause */
/* Values of many types, for the forms of the report. */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color { RED, GREEN = 7 };

struct many {
	__u8 u8;
	__s16 s16;
	__u32 u32;
	__s64 s64;
	bool yes;
	enum color color, odd;
	char text[8];
	char raw[3];
	__u16 list[3];
	struct {
		int a;
		int b;
	} inner;
	union {
		__u32 word;
		__u8 byte;
	};
	unsigned int three : 3, five : 5;
	void *pointer;
	const struct many *self;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u64);
	__type(value, struct many);
} many SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 100);
	__type(key, __u32);
	__type(value, __s32);
} sparse SEC(".maps");

struct pair {
	__u64 calls;
	__u32 errors;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4);
	__type(key, struct pair);
	__type(value, struct pair);
} pairs SEC(".maps");

/* No BTF for it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__uint(key_size, 3);
	__uint(value_size, 6);
} plain SEC(".maps");

int global = 5;
__u64 zero;
const volatile int constant = 9;

SEC("raw_tp/sys_enter")
int fill(struct bpf_raw_tracepoint_args *ctx)
{
	struct many m = {
		.u8 = 200,
		.s16 = -3,
		.u32 = 4000000000u,
		.s64 = -5,
		.yes = true,
		.color = GREEN,
		.odd = 3,
		.text = "a \"b\"",
		.raw = {1, 2, 3},
		.list = {1, 2, 65535},
		.inner = {-1, 2},
		.word = 0x01020304,
		.three = 5,
		.five = 17,
		.pointer = (void *)0x1234,
	};
	struct pair key = {1, 2}, value = {10, 1};
	char bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	__u64 k = 1;
	__u32 i = 42;
	__s32 minus = -7;

	bpf_map_update_elem(&many, &k, &m, BPF_ANY);
	bpf_map_update_elem(&sparse, &i, &minus, BPF_ANY);
	bpf_map_update_elem(&pairs, &key, &value, BPF_ANY);
	bpf_map_update_elem(&plain, bytes, bytes + 1, BPF_ANY);
	global += constant;
	zero = 0;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
