// SPDX-License-Identifier: BSD-2-Clause
/*
 * What tracing programs look like when a compiler has written them: counters,
 * per-event records on the stack and in maps, strings, histograms, globals,
 * functions, callbacks, kernel structures.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define CO_RE __attribute__((preserve_access_index))

struct pt_regs {
	unsigned long di, si, dx, r10, r8, ax;
} CO_RE;
struct mm_struct;
struct task_struct {
	int pid, tgid;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	char comm[16];
} CO_RE;
struct qstr {
	const unsigned char *name;
} CO_RE;
struct dentry {
	struct qstr d_name;
} CO_RE;
struct path {
	struct dentry *dentry;
} CO_RE;
struct inode {
	unsigned long i_ino;
} CO_RE;
struct file {
	struct path f_path;
	struct inode *f_inode;
} CO_RE;

#define __VMLINUX_H__ /* the names above */
#include <bpf/bpf_tracing.h>

struct sys_enter {
	u64 common;
	long id;
	unsigned long args[6];
};
struct sys_exit {
	u64 common;
	long id, ret;
};

char LICENSE[] SEC("license") = "GPL";

struct event {
	u32 pid;
	u64 count;
	char comm[16];
};
struct record {
	u64 ts;
	u32 pid, uid;
	int ret, flags;
	char comm[16];
	char name[255];
};
struct opened {
	const char *name;
	int flags;
};
#define SLOTS 27
struct hist {
	u32 slots[SLOTS];
	char comm[16];
};

#define MAP(name, kind, n, k, v)                                                                   \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_##kind);                                                 \
		__uint(max_entries, n);                                                            \
		__type(key, k);                                                                    \
		__type(value, v);                                                                  \
	} name SEC(".maps")

MAP(percpu_counter, PERCPU_ARRAY, 1, u32, u64);
MAP(events, HASH, 1024, u32, struct event);
MAP(cells, ARRAY, 256, u32, u64);
MAP(opens, HASH, 1024, u32, struct opened);
MAP(scratch, PERCPU_ARRAY, 1, u32, struct record);
MAP(starts, PERCPU_HASH, 1024, u64, u64);
MAP(hists, HASH, 256, u32, struct hist);

u64 total, by_nr[512];
const volatile u32 only_pid = 0;
const volatile bool verbose = true, failed_only = true;
int few[16] = {1, 2, 3}, at;
char names[16][64];
static struct hist no_hist;

SEC("fentry/__x64_sys_mmap")
int BPF_PROG(count_mmap, struct pt_regs *regs)
{
	u32 key = 0;
	u64 *value = bpf_map_lookup_elem(&percpu_counter, &key);

	if (value)
		*value += 1;
	return 0;
}

SEC("fexit/__x64_sys_openat")
int BPF_PROG(openat_done, const struct pt_regs *regs, long ret)
{
	if (ret < 0)
		__sync_fetch_and_add(&total, 1);
	if (verbose)
		bpf_printk("openat %ld %lx", ret, regs->si);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(per_process, struct pt_regs *regs, long id)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event *e;

	if (id >= 0 && id < 512)
		__sync_fetch_and_add(&by_nr[id], 1);
	if (only_pid && pid != only_pid)
		return 0;
	e = bpf_map_lookup_elem(&events, &pid);
	if (e) {
		__sync_fetch_and_add(&e->count, 1);
	} else {
		struct event fresh = {.pid = pid, .count = 1};

		bpf_get_current_comm(fresh.comm, sizeof(fresh.comm));
		bpf_map_update_elem(&events, &pid, &fresh, BPF_NOEXIST);
	}
	return 0;
}

SEC("kprobe/__x64_sys_openat")
int BPF_KPROBE(open_name, struct pt_regs *regs)
{
	char name[64];
	unsigned long p = 0;
	long n;

	bpf_probe_read_kernel(&p, sizeof(p), &regs->si);
	n = bpf_probe_read_user_str(name, sizeof(name), (void *)p);
	if (n > 0)
		bpf_printk("open %s", name);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int open_begins(struct sys_enter *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct opened o = {};

	o.name = (const char *)ctx->args[1];
	o.flags = ctx->args[2];
	bpf_map_update_elem(&opens, &tid, &o, BPF_ANY);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int open_ends(struct sys_exit *ctx)
{
	u32 tid = bpf_get_current_pid_tgid(), zero = 0;
	struct opened *o = bpf_map_lookup_elem(&opens, &tid);
	struct record *r;

	if (!o)
		return 0;
	if (failed_only && ctx->ret >= 0)
		goto out;
	r = bpf_map_lookup_elem(&scratch, &zero);
	if (!r)
		goto out;
	r->pid = bpf_get_current_pid_tgid() >> 32;
	r->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	bpf_probe_read_user_str(r->name, sizeof(r->name), o->name);
	r->flags = o->flags;
	r->ret = ctx->ret;
out:
	bpf_map_delete_elem(&opens, &tid);
	return 0;
}

static __always_inline u64 log2_u32(u32 v)
{
	u32 r = (v > 0xffff) << 4, shift;

	v >>= r;
	shift = (v > 0xff) << 3;
	v >>= shift;
	r |= shift;
	shift = (v > 0xf) << 2;
	v >>= shift;
	r |= shift;
	shift = (v > 0x3) << 1;
	v >>= shift;
	return r | shift | (v >> 1);
}

SEC("kprobe/vfs_read")
int read_begins(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();

	bpf_map_update_elem(&starts, &id, &now, BPF_ANY);
	return 0;
}

SEC("kretprobe/vfs_read")
int read_ends(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid(), *begin = bpf_map_lookup_elem(&starts, &id), slot;
	u32 pid = id >> 32;
	struct hist *h;
	u64 us;

	if (!begin)
		return 0;
	us = (bpf_ktime_get_ns() - *begin) / 1000;
	h = bpf_map_lookup_elem(&hists, &pid);
	if (!h) {
		bpf_map_update_elem(&hists, &pid, &no_hist, BPF_NOEXIST);
		h = bpf_map_lookup_elem(&hists, &pid);
		if (!h)
			return 0;
		bpf_get_current_comm(h->comm, sizeof(h->comm));
	}
	slot = us >> 32 ? log2_u32(us >> 32) + 32 : log2_u32(us);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	__sync_fetch_and_add(&h->slots[slot], 1);
	bpf_map_delete_elem(&starts, &id);
	return 0;
}

SEC("fentry/vfs_read")
int BPF_PROG(whose_file, struct file *file, char *buf, u64 count, s64 *pos)
{
	u64 ino = file->f_inode->i_ino;
	char name[32];

	bpf_probe_read_kernel_str(name, sizeof(name), file->f_path.dentry->d_name.name);
	by_nr[ino & 511] += count;
	bpf_printk("%s %llu", name, ino);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	u64 key = prev->pid, now = bpf_ktime_get_ns(), *then;

	bpf_map_update_elem(&starts, &key, &now, BPF_ANY);
	key = next->pid;
	then = bpf_map_lookup_elem(&starts, &key);
	if (then && now > *then)
		total += now - *then;
	if (next->real_parent->mm)
		bpf_printk("%d %s", next->real_parent->tgid, next->comm);
	return 0;
}

static __noinline int add_to(struct event *e, int n)
{
	e->count += n;
	return n * 2;
}

static __noinline u64 hash_of(const char *s, int n)
{
	u64 h = 5381;

	for (int i = 0; i < n && i < 32; i++)
		h = h * 33 + s[i];
	return h;
}

__noinline int product(int a, int b)
{
	return a * b + total;
}

__noinline int count_of(struct event *e)
{
	return e ? e->count : 0;
}

SEC("raw_tp/sys_exit")
int functions(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = {};
	char bytes[32] = {};
	u32 key = 1;

	bpf_probe_read_kernel(bytes, sizeof(bytes), (void *)ctx->args[0]);
	add_to(&e, 3);
	e.count += hash_of(bytes, ctx->args[1] & 31);
	e.count += product(e.pid, 4) + count_of(&e);
	bpf_map_update_elem(&events, &key, &e, BPF_ANY);
	return 0;
}

struct bpf_map;
struct sums {
	u64 n, sum;
};

static int add_event(struct bpf_map *map, u32 *key, struct event *e, struct sums *s)
{
	s->n++;
	s->sum += e->count;
	if (!e->count)
		bpf_map_delete_elem(&events, key);
	return 0;
}

static int add_cell(u32 i, struct sums *s)
{
	u32 key = i & 255;
	u64 *v = bpf_map_lookup_elem(&cells, &key);

	if (!v)
		return 1;
	s->sum += *v;
	return 0;
}

SEC("raw_tp/sys_enter")
int callbacks(void *ctx)
{
	struct sums s = {};

	bpf_for_each_map_elem(&events, add_event, &s, 0);
	bpf_loop(100, add_cell, &s, 0);
	total = s.sum;
	return 0;
}

/* What a callback counts in its context decides nothing: its rounds are soon alike. */
static int count_cell(u32 i, struct sums *s)
{
	u32 key = i & 255;
	u64 *v = bpf_map_lookup_elem(&cells, &key);

	if (!v)
		return 1;
	*v = s->sum++;
	s->n++;
	return 0;
}

SEC("raw_tp/sys_enter")
int counting_callback(struct bpf_raw_tracepoint_args *ctx)
{
	struct sums s = {.sum = ctx->args[0]};

	bpf_loop(ctx->args[1], count_cell, &s, 0);
	total = s.n;
	return 0;
}

SEC("raw_tp/sys_enter")
int global_strings(struct bpf_raw_tracepoint_args *ctx)
{
	int i = at++ & 15;
	u64 len = 0;

	bpf_get_current_comm(names[i], sizeof(names[i]));
	names[i][63] = 0;
	for (; len < 64; len++)
		if (!names[i][len])
			break;
	if (len < 63)
		names[i][len] = '!';
	few[len & 15]++;
	return 0;
}

SEC("raw_tp/sys_enter")
int formats(void *ctx)
{
	char out[64];

	bpf_printk("%d %d %d %d %d", 1, 2, 3, 4, bpf_get_prandom_u32());
	total = BPF_SNPRINTF(out, sizeof(out), "x %d %s", (int)total, "hi");
	return 0;
}
