// SPDX-License-Identifier: BSD-2-Clause
/* Kfuncs as a source has them: extern and __ksym. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_iter_num {
	__u64 opaque[1];
};
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;
extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer,
			      __u32 size) __ksym;
extern int bpf_strcmp(const char *a, const char *b) __ksym;

/* As libbpf's headers of later versions have them. */
#define bpf_for(i, start, end)                                                                     \
	for (struct bpf_iter_num it_ __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),   \
	     *at_ __attribute__((aligned(8), unused)) = (bpf_iter_num_new(&it_, (start), (end)),   \
							 (void)bpf_iter_num_destroy,               \
							 &it_);                                    \
	     ({                                                                                    \
		     int *t_ = bpf_iter_num_next(&it_);                                            \
		     (t_ ? ((i) = *t_, 1) : 0) && ((i) >= (start) && (i) < (end));                 \
	     });)

struct value {
	__u64 runs;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct value);
} timers SEC(".maps");

__u64 sums[16], matches, slices;
char name[16];

SEC("socket")
int loops(struct __sk_buff *skb)
{
	int i, j, total = 0;

	bpf_for(i, 0, 16) {
		bpf_for(j, 0, i) {
			if (j & 1)
				continue;
			sums[i & 15] += j;
		}
		if (i == 12)
			break;
		total += i;
	}
	return total;
}

SEC("tc")
int slice(struct __sk_buff *skb)
{
	struct bpf_dynptr p;
	__u8 buf[14], *eth;

	if (bpf_dynptr_from_skb(skb, 0, &p))
		return 1;
	eth = bpf_dynptr_slice(&p, 0, buf, sizeof(buf));
	if (!eth)
		return 2;
	slices += eth[12] << 8 | eth[13];
	matches += !bpf_strcmp(name, "eth0");
	return 0;
}

static int fired(void *map, int *key, struct value *v)
{
	__sync_fetch_and_add(&v->runs, *key);
	if (v->runs < 15)
		bpf_timer_start(&v->timer, 1000, 0);
	return 0;
}

SEC("tc")
int timer(struct __sk_buff *skb)
{
	struct value zero = {}, *v;
	int key = 5;

	bpf_map_update_elem(&timers, &key, &zero, BPF_NOEXIST);
	v = bpf_map_lookup_elem(&timers, &key);
	if (!v)
		return 1;
	if (bpf_timer_init(&v->timer, &timers, 1))
		return 2;
	if (bpf_timer_set_callback(&v->timer, fired))
		return 3;
	return bpf_timer_start(&v->timer, 0, 0) ? 4 : 0;
}

char _license[] SEC("license") = "GPL";
