/* SPDX-License-Identifier: BSD-2-Clause */
/* One mistake each: -DBAD=N. */
#include "bpf_helpers.h"

#if BAD == 1 /* too short */
struct too_short {
	unsigned int type, key_size, value_size;
};
struct too_short SEC("maps") m = {BPF_MAP_TYPE_ARRAY, 4, 8};
#elif BAD == 2 /* a field that nobody knows */
struct too_long {
	unsigned int field[9];
};
struct too_long SEC("maps") m = {{BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, 0, 0, 0, 6}};
#elif BAD == 3 /* the types have other sizes */
struct bpf_map_def SEC("maps") m = {BPF_MAP_TYPE_ARRAY, 4, 8, 1};
BPF_ANNOTATE_KV_PAIR(m, __u32, __u32);
#elif BAD == 4 /* no such inner map */
struct bpf_map_def SEC("maps") m = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, 0, 3};
#elif BAD == 5 /* both ways at once */
struct bpf_map_def SEC("maps") m = {BPF_MAP_TYPE_ARRAY, 4, 8, 1};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} n SEC(".maps");
#elif BAD == 6 /* an inner map's number on a map that has none */
struct bpf_map_def SEC("maps") m = {BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, 3};
#elif BAD == 7 /* maps of maps of maps */
struct bpf_map_def SEC("maps") inner = {BPF_MAP_TYPE_ARRAY, 4, 8, 1};
struct bpf_map_def SEC("maps") m = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, 0, 2};
struct bpf_map_def SEC("maps") n = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, 0, 0};
#elif BAD == 8 /* the definition is fine, the map is not: no type 9999 */
struct bpf_map_def SEC("maps") m = {9999, 4, 8, 1};
#endif

SEC("socket")
int entry(struct __sk_buff *skb)
{
	return !!bpf_map_lookup_elem(&m, &(__u32){0});
}

char _license[] SEC("license") = "GPL";
