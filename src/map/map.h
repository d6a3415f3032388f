/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only door to the maps.
 *
 * struct map is one process's private view of a map file: its attributes are
 * copied from the file and checked when it is opened, and every offset is
 * computed from them, so that nothing read later from shared memory decides
 * where a process reads or writes without a bounds check.
 */
#ifndef SHMAP_MAP_MAP_H
#define SHMAP_MAP_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>

#include "base/uapi.h"
#include "shm/object.h"
#include "sync/qlock.h"

#define MAP_NAME_LEN 16
#define MAP_MAX_SPECIAL 1

/* What every map in a map of maps is like; map_type 0: not such a map. */
struct map_inner {
	uint32_t map_type;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t map_flags;
	int32_t spin_lock_off;
	uint32_t timer_at, wq_at;
};

/* What a map was created with; the shared form, at the start of the trailer's body. */
struct map_attr {
	uint32_t map_type;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t map_flags;		/* as given, BPF_F_RDONLY/WRONLY stripped */
	uint32_t numa_node;
	uint64_t map_extra;
	char name[MAP_NAME_LEN];
	uint32_t btf_id;		/* 0: none */
	uint32_t btf_key_type_id;
	uint32_t btf_value_type_id;
	uint32_t btf_vmlinux_value_type_id;
	int32_t spin_lock_off;		/* of struct bpf_spin_lock in the value, or -1 */
	uint32_t possible_cpus;		/* at creation: per-CPU values are that wide */
	uint64_t hash_seed;		/* hash family; chosen when the map is formatted */
	struct map_inner inner;
	/* of struct bpf_timer and struct bpf_wq in the value, + 1; 0: none */
	uint32_t timer_at, wq_at;
};

/* The value holds something that nobody copies in or out. */
static inline bool map_has_timers(const struct map_attr *attr)
{
	return attr->timer_at | attr->wq_at;
}

#define MAP_TIMER_SIZE 16 /* of either */
/* The value's timers become none. */
void map_clear_timers(const struct map_attr *attr, void *value);
/* The same in a user's memory: 0 or -EFAULT. */
int map_hide_timers(const struct map_attr *attr, void *user_value);

/* Mutable, shared, in the trailer's body after map_attr (offset 1024 of it). */
struct map_shared {
	union {				/* what is in the way of a change by bpf(2); 0: nothing */
		struct {
			uint32_t frozen; /* 0 -> 1 once */
			uint32_t hooks;	 /* MAP_LOCKS, MAP_WATCHED; change.h */
		};
		uint64_t closed;
	};
	uint32_t writers;		/* writable user mmaps (BPF_MAP_FREEZE: EBUSY); see sys/ */
	uint32_t damaged;		/* set when a walk met an impossible link */
	uint64_t owner;			/* prog array: what its programs are like; objref.h */
	uint32_t gate;			/* who keeps writers out (gate.h); 0: nobody */
	uint32_t pad;
	uint64_t commits;		/* transactions on this map; odd: one is being applied */
	uint8_t pad2[CACHE_LINE - 40];	/* what is above is read by everybody, seldom written */
	struct qlock lock;		/* bpf_map_lock() */
	uint32_t lock_ready;		/* all writers look at the lock */
};

struct map_header {
	struct map_attr attr;
	uint8_t pad[1024 - sizeof(struct map_attr)];
	struct map_shared shared;
};

struct map;

/*
 * Shorter ways to read, write, erase and next_key for maps of one shape; a type's layout()
 * says which. Keys and values are user pointers; NULL: there is none. Only with the flags
 * BPF_ANY (read) and BPF_ANY, BPF_NOEXIST, BPF_EXIST (write); write and erase only where
 * the map is writable.
 */
struct map_quick {
	int (*read)(struct map *m, const void *key, void *value);
	int (*write)(struct map *m, const void *key, const void *value, uint64_t flags);
	int (*erase)(struct map *m, const void *key);
	int (*next_key)(struct map *m, const void *key, void *next);
};

struct map_batch;
struct gate_ops;	/* map/gate.h: snapshots and transactions */
struct htab_many;
struct map_inline;
struct map_stats;
struct ring_ops;	/* map/ring.h: RINGBUF, USER_RINGBUF */
struct objref_ops;	/* map/objref.h: values are other objects (maps, programs) */
struct perf_ops;	/* map/perf.h: PERF_EVENT_ARRAY */
struct stack_ops;	/* map/stack_trace.h */
struct storage_ops;	/* map/storage.h: values that belong to a task, file, socket, cgroup */

/*
 * What a map type does. Keys are private memory of key_size bytes (NULL where
 * the type has no key). `value` of read, pop and batch calls may be a user
 * pointer: they use uaccess_copy(). `value` of write is private memory.
 * All return 0 or -errno (the kernel's).
 *
 * bpf(2) side (any thread, no lease) : read write erase next_key pop
 * program side (under a lease)       : lookup update delete lookup_percpu for_each
 */
struct map_ops {
	uint32_t type;
	const char *name;		/* as bpftool prints it */

	/* Pure: the kernel's checks of MAP_CREATE for this type, in its order. */
	int (*alloc_check)(const struct map_attr *attr);
	/* The kernel makes these checks only as it allocates: after those of token and device;
	 * but for check_early, which comes before them. NULL: nothing does. */
	bool check_late;
	int (*check_early)(const struct map_attr *attr);
	/* Computes m->private geometry and *data_size, *prealloc from m->attr. -E2BIG/-ENOMEM. */
	int (*layout)(struct map *m, uint64_t *data_size, uint64_t *prealloc);
	/* Formats a fresh, zeroed file. */
	int (*format)(struct map *m);

	int (*read)(struct map *m, const void *key, void *value, uint64_t flags);
	int (*write)(struct map *m, const void *key, const void *value, uint64_t flags);
	int (*erase)(struct map *m, const void *key);
	/* key NULL: first. -ENOENT at the end. Unknown key: first. next: private memory */
	int (*next_key)(struct map *m, const void *key, void *next);
	int (*pop)(struct map *m, const void *key, void *value, uint64_t flags);
	/* Do both name the same element? NULL: if all their bytes are equal. */
	bool (*same_key)(const struct map *m, const void *a, const void *b);

	void *(*lookup)(struct map *m, const void *key);
	long (*update)(struct map *m, const void *key, const void *value, uint64_t flags);
	long (*delete)(struct map *m, const void *key);
	void *(*lookup_percpu)(struct map *m, const void *key, uint32_t cpu);
	/* Calls fn(arg, m, key, value) per element; stops when it returns nonzero;
	 * the number of elements visited. */
	long (*for_each)(struct map *m, long (*fn)(void *, struct map *, const void *, void *),
			 void *arg);

	/* bpf_map_push_elem(), _pop_elem(), _peek_elem(); values are a program's memory. */
	long (*push)(struct map *m, const void *value, uint64_t flags);
	long (*take)(struct map *m, void *value);
	long (*peek)(struct map *m, void *value);

	/* What only one family has; NULL in the others. */
	const struct ring_ops *ring;
	const struct objref_ops *objref;
	const struct perf_ops *perf;
	const struct stack_ops *stack;
	const struct storage_ops *storage;
	const struct gate_ops *gate;

	/* The helpers (enum bpf_func_id) that take this type of map, beside those that
	 * the functions above stand for; 0 ends the list. NULL: none. */
	const uint16_t *helpers;

	/* EPOLLIN, EPOLLOUT as of now; NULL: the fd polls as EPOLLERR. */
	uint32_t (*poll)(struct map *m);

	/* Counts without walking: 0, or -errno. NULL: a type that counts nothing. */
	int (*stats)(struct map *m, struct map_stats *stats);

	/* bpf_spin_lock() of the value: takes the lock, finishes or undoes what a dead holder
	 * left, and keeps the value as it is, so that the next holder can put it back if this
	 * one dies. start: where to look for room first (the CPU). *kept is for
	 * map_section_end(), and NULL where nothing is kept. 0 or -EBUSY. NULL: a type
	 * without locks. */
	int (*section_begin)(struct map *m, void *value, uint32_t start, void **kept);

	/* Batches; NULL where the kernel has none (-ENOTSUPP). See struct map_batch. */
	int (*lookup_batch)(struct map *m, struct map_batch *b);
	int (*lookup_and_delete_batch)(struct map *m, struct map_batch *b);
	int (*update_batch)(struct map *m, struct map_batch *b);
	int (*delete_batch)(struct map *m, struct map_batch *b);

	/* When a process has mapped the file and before it unmaps it: what it keeps for
	 * itself in m's geometry. 0 or -errno. NULL: nothing. */
	int (*open)(struct map *m);
	void (*close)(struct map *m);
	/* Drops mappings of the file beside m->obj's: they would hold it. In signal handlers
	 * too, perhaps long before close(), and again then. NULL: there are none. */
	void (*unmap)(struct map *m);
	/* An open file description of the map may have gone in this process. NULL: whatever. */
	void (*fd_closed)(struct map *m);

	/* May the fd be mmapped with these? 0 or -errno; the offset is in bytes. */
	int (*mmap_check)(struct map *m, uint64_t offset, uint64_t len, int prot, int flags);

	/* The file offset *at from which a mapping of the fd shows the *size bytes before
	 * it once more, as far as *size goes. NULL: it shows the file as it is. */
	void (*mmap_repeat)(const struct map *m, uint64_t *at, uint64_t *size);

	/* Makes the mapping itself, from the fd own: the address or -errno. NULL: a plain one. */
	long (*mmap_place)(struct map *m, int own, void *addr, uint64_t len, int prot, int flags);

	/* bpf_map_info / fdinfo memlock. */
	uint64_t (*memlock)(const struct map *m);

	/* The key of the element that is or was in use at this address of the map (what lookup
	 * gave): key_size bytes. NULL: its values hold no timers. */
	void (*key_at)(struct map *m, const void *value, void *key);

	/* Repairs what dead owners left, everywhere in the map. 0 or -errno. */
	int (*recover)(struct map *m);
	/* Tests: checks every invariant of a quiescent map; a message in why (or NULL). */
	int (*validate)(struct map *m, char *why, size_t size);

	/* Access by direct map value (BPF_PSEUDO_MAP_VALUE): address of offset 0, or NULL. */
	void *(*direct_value)(struct map *m);
	/* The same of a frozen map, in a copy of this process's own, which nobody else changes
	 * and which all of its programs see from now on; NULL: no memory. */
	const void *(*sealed_value)(struct map *m);
	/* For who makes code of lookups in this one map; NULL: there is nothing to say. */
	void (*inlined)(const struct map *m, struct map_inline *in);
	bool raw_stores;		/* mappings of the fd store into values: rawstore.h */
	bool lock_allowed;		/* may hold struct bpf_spin_lock */
	bool per_cpu;
	bool evicts;			/* hash family: a full map makes room by itself (LRU) */
	bool inner_allowed;
	bool sparse;			/* memory comes by use: the file may be larger than that */
	bool not_sleepable;		/* sleepable programs may not use it */
	bool needs_jit;			/* programs that use it cannot be interpreted */
	bool inner_entries;		/* as an inner map: max_entries is compared too */
	bool sums_elems;		/* bpf_map_sum_elem_count() counts its elements */
};

/*
 * How generated code may do what ops->lookup() does. It is all zeroes before inlined() is
 * called. With max not 0 the value of a 32-bit key below max is at
 *
 *	m->obj.base + key * stride + cpu * cpu_stride
 *
 * and other keys have none; and when one of the words
 *
 *	m->obj.base + guard_off + (key & guard_mask) * guard_stride
 *	m->obj.base + cpu_guard_off + cpu * cpu_guard_stride
 *
 * (those whose offset is not 0) has FUTEX_OWNER_DIED, lookup() is called instead. cpu is that
 * of the lease; a cpu of `cpus` or more has no values. cpus 0: not a per-CPU map.
 *
 * With slots not 0 the value of a key below slots is the object that the 64-bit word at
 *
 *	m->obj.base + slots_off + key * 8
 *
 * names, as objref_lookup() finds it by that key.
 */
struct map_inline {
	void *(*lookup)(struct map *m, const void *key); /* for this map; NULL: ops->lookup */
	uint32_t max, stride;
	uint32_t cpus;
	uint64_t cpu_stride;
	uint64_t guard_off, cpu_guard_off;
	uint32_t guard_mask, guard_stride;
	uint64_t cpu_guard_stride;
	uint32_t slots;
	uint64_t slots_off;
};

/* What a map counts, without being walked; what does not apply is 0. */
struct map_stats {
	uint64_t entries;	/* live now */
	uint64_t evictions;	/* elements that gave way to others (LRU) */
	uint64_t failed;	/* updates refused for want of room */
	uint64_t lost;		/* ring buffers: records refused or overwritten */
	uint64_t changes;	/* updates, deletes, pushes, pops, records */
	bool counts_changes;
};

/* One batch command; user pointers, as in union bpf_attr. */
struct map_batch {
	void *in_batch, *out_batch;
	void *keys, *values;
	uint32_t count;			/* in: room; out: done */
	uint64_t elem_flags, flags;
};

struct map {
	const struct map_ops *ops;
	struct map_quick quick;
	struct map_attr attr;		/* checked private copy */
	struct object obj;
	struct map_shared *shared;
	uint32_t user_value_size;	/* what bpf(2) copies: round_up(value, 8) * cpus for per-CPU */
	uint32_t elem_size;		/* round_up(value_size, 8) */
	uint32_t refs;			/* of this process's holders; see map_get/map_put */
	bool writable;			/* shorthand for obj.writable */
	bool home;			/* known to be of this runtime directory; gate.c */
	const struct map *inner;	/* maps of maps: ops and attr of what they hold, or NULL */
	uint8_t *sealed;		/* sealed_value()'s copy, or NULL */
	struct objref_local *slots;	/* values are objects: this process's part; objref.c */
	uint64_t objref_off;		/* and where the file keeps what they need */
	uint64_t notice_off;		/* where the file keeps what was noticed; notice.h */
	union {				/* geometry, private, by type */
		struct {
			uint8_t *data;	/* two views of the data, one behind the other */
			uint64_t mask;	/* bytes of data - 1 */
			uint32_t slot;	/* in the process's table of rings, + 1 */
			uint32_t named;	/* enum ring_named */
		} ring;
		struct {
			uint64_t redo_off;
			uint32_t redo_count, redo_size;
			uint64_t cpu_stride;
		} array;
		struct {
			uint64_t bucket_off, stripe_off, elem_off;
			uint64_t page_off; /* which pages of buckets there are; 0: all */
			uint32_t buckets, stripes, elems, per_stripe;
			uint32_t bucket_max; /* no more buckets than that; 0: as many as fit */
			uint32_t elem_stride, value_off;
			uint64_t percpu_off, percpu_stride;
			uint64_t claim_off; /* what stands behind the elements */
			uint64_t lru_off;   /* htab_lru.h; 0: a map that does not evict */
			uint64_t seed;
			bool programs; /* others know that programs look things up here */
			/* lookup and delete for m's shape, or NULL; copy: private, up to the next 8 bytes */
			int (*take)(struct map *m, const void *key, uint64_t *copy);
			/* update of many; htab.h */
			int (*many)(struct map *m, struct htab_many *w, uint32_t *done);
		} htab;
		struct {
			uint64_t mark_off, elem_off;
			uint32_t buckets, elem_stride;
		} stack;
		struct {
			struct map *table; /* storage.c: the hash table in the file */
			uint32_t writes, look_at; /* when to look for owners that are gone */
		} storage;
		struct {
			struct perf_cache *cache; /* this process's, one per CPU; or NULL */
		} perf;
		struct {
			uint64_t part_off, node_off, elem_off;
			uint32_t parts, per_part, elems, capacity;
			uint32_t stride, meta_off;
			uint32_t data_size, max_plen;
			uint64_t index_off;
			uint32_t level_max, slack;
		} lpm;
		struct {
			uint64_t seed, chunk_off; /* chunk_off 0: all pages are there */
			uint32_t mask, hashes;
		} bloom;
	};
};

/* The ops of a map type, or NULL (-EINVAL). */
const struct map_ops *map_ops_find(uint32_t type);

/*
 * Would map_create() make this map, given the memory that the machine has? 0 or
 * its error: what the kernel finds out before it looks at the name and the BTF.
 */
int map_check(const struct map_attr *attr);

/*
 * MAP_CREATE below the attr parsing: checks, creates the file, formats and
 * publishes it. *fd gets the O_RDWR|O_CLOEXEC fd, *out the map (one ref).
 * btf_fd >= 0: the BTF object that attr.btf_id names; the map keeps it alive.
 */
int map_create(const struct map_attr *attr, int btf_fd, struct map **out, int *fd);

/*
 * A snapshot in the making: a map like m, frozen, whose data bytes the caller fills in before
 * map_copy_end(), which, when it fails, has discarded it. 0 or -errno.
 */
int map_copy_begin(const struct map *m, struct map **out, int *fd);
int map_copy_end(struct map *copy, int btf_fd, int *fd);
void map_copy_discard(struct map *copy, int *fd);

/* Opens the map behind fd (maps the file; checks header). One ref. */
int map_open(int fd, struct map **out);
void map_get(struct map *m);
void map_put(struct map *m);		/* the last ref unmaps */
/* Lets go of the file ahead of that. Of an only reference, by which nothing is used any more;
 * async-signal-safe. */
void map_unmap(struct map *m);

/* The access flags that exclude each other are not both given. */
static inline bool map_access_flags_ok(uint32_t flags)
{
	return (flags & (BPF_F_RDONLY | BPF_F_WRONLY)) != (BPF_F_RDONLY | BPF_F_WRONLY) &&
	       (flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) !=
		       (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG);
}

/* Total bytes that one bpf(2) value has. */
static inline uint32_t map_user_value_size(const struct map *m)
{
	return m->user_value_size;
}

/* Before bpf_spin_unlock() lets the lock go: what the holder has stored stands. */
void map_section_end(void *kept);

#endif
