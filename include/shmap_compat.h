/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sources from before libbpf 1.0.
 *
 * In BPF programs: struct bpf_map_def, BPF_ANNOTATE_KV_PAIR() and load_byte() with its kin,
 * to be used with SEC("maps"). In loaders: the functions that libbpf 1.0 dropped
 * (bpf_create_map(), bpf_load_program(), bpf_prog_load() with a file name...), and
 * load_bpf_file() with map_fd[], map_data[] and prog_fd[] as the kernel's samples had them.
 * All of it goes through libbpf 1.x; with -lshmap, or under `shmap exec`, the objects may
 * have old map definitions. (libbpf alone refuses those.)
 *
 * The folder shmap-compat/ beside this file has bpf_load.h, bpf_helpers.h and libbpf.h for
 * sources that include files of these names: -I INCLUDEDIR/shmap-compat.
 *
 * Functions here return and set errno as the old ones did: an fd or 0, else -1 and errno where
 * the old ones did so; -errno where they said that.
 */
#ifndef SHMAP_COMPAT_H
#define SHMAP_COMPAT_H

#ifdef __bpf__

#include <linux/types.h>

/* Fields that are left out are 0. Only maps of maps have an inner_map_idx: the place of the
 * inner map among the object's maps, from 0. */
struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
	unsigned int inner_map_idx;
	unsigned int numa_node;
};

/* Which types the keys and values of a map have. */
#define BPF_ANNOTATE_KV_PAIR(name, type_key, type_val)                                             \
	struct ____btf_map_##name {                                                                \
		type_key key;                                                                      \
		type_val value;                                                                    \
	};                                                                                         \
	struct ____btf_map_##name ____btf_map_##name                                               \
		__attribute__((section(".maps." #name), used)) = {}

/* Instructions of classic BPF: loads from a packet; beyond its end the program ends with 0. */
unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long off) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long off) asm("llvm.bpf.load.word");

#else /* loaders */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define SHMAP_COMPAT_INLINE static inline __attribute__((unused))

/* ---- maps ---- */

struct bpf_create_map_attr {
	const char *name;
	enum bpf_map_type map_type;
	__u32 map_flags;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 numa_node;
	__u32 btf_fd;
	__u32 btf_key_type_id;
	__u32 btf_value_type_id;
	__u32 map_ifindex;
	union {
		__u32 inner_map_fd;
		__u32 btf_vmlinux_value_type_id;
	};
};

SHMAP_COMPAT_INLINE int bpf_create_map_xattr(const struct bpf_create_map_attr *a)
{
	DECLARE_LIBBPF_OPTS(
		bpf_map_create_opts, opts, .map_flags = a->map_flags, .numa_node = a->numa_node,
		.btf_fd = a->btf_fd, .btf_key_type_id = a->btf_key_type_id,
		.btf_value_type_id = a->btf_value_type_id, .map_ifindex = a->map_ifindex);

	if (a->map_type == BPF_MAP_TYPE_STRUCT_OPS)
		opts.btf_vmlinux_value_type_id = a->btf_vmlinux_value_type_id;
	else
		opts.inner_map_fd = a->inner_map_fd;
	return bpf_map_create(a->map_type, a->name, a->key_size, a->value_size, a->max_entries,
			      &opts);
}

SHMAP_COMPAT_INLINE int bpf_create_map_node(enum bpf_map_type type, const char *name, int key_size,
					    int value_size, int max_entries, __u32 map_flags,
					    int node)
{
	struct bpf_create_map_attr a = {
		.name = name,
		.map_type = type,
		.map_flags = map_flags | (node >= 0 ? BPF_F_NUMA_NODE : 0),
		.key_size = (__u32)key_size,
		.value_size = (__u32)value_size,
		.max_entries = (__u32)max_entries,
		.numa_node = node >= 0 ? (__u32)node : 0,
	};

	return bpf_create_map_xattr(&a);
}

SHMAP_COMPAT_INLINE int bpf_create_map_name(enum bpf_map_type type, const char *name, int key_size,
					    int value_size, int max_entries, __u32 map_flags)
{
	return bpf_create_map_node(type, name, key_size, value_size, max_entries, map_flags, -1);
}

SHMAP_COMPAT_INLINE int bpf_create_map(enum bpf_map_type type, int key_size, int value_size,
				       int max_entries, __u32 map_flags)
{
	return bpf_create_map_node(type, NULL, key_size, value_size, max_entries, map_flags, -1);
}

SHMAP_COMPAT_INLINE int bpf_create_map_in_map_node(enum bpf_map_type type, const char *name,
						   int key_size, int inner_map_fd, int max_entries,
						   __u32 map_flags, int node)
{
	struct bpf_create_map_attr a = {
		.name = name,
		.map_type = type,
		.map_flags = map_flags | (node >= 0 ? BPF_F_NUMA_NODE : 0),
		.key_size = (__u32)key_size,
		.value_size = 4,
		.max_entries = (__u32)max_entries,
		.numa_node = node >= 0 ? (__u32)node : 0,
		.inner_map_fd = (__u32)inner_map_fd,
	};

	return bpf_create_map_xattr(&a);
}

SHMAP_COMPAT_INLINE int bpf_create_map_in_map(enum bpf_map_type type, const char *name,
					      int key_size, int inner_map_fd, int max_entries,
					      __u32 map_flags)
{
	return bpf_create_map_in_map_node(type, name, key_size, inner_map_fd, max_entries,
					  map_flags, -1);
}

/* The names of the first years. */
SHMAP_COMPAT_INLINE int bpf_update_elem(int fd, const void *key, const void *value,
					unsigned long long flags)
{
	return bpf_map_update_elem(fd, key, value, flags);
}

SHMAP_COMPAT_INLINE int bpf_lookup_elem(int fd, const void *key, void *value)
{
	return bpf_map_lookup_elem(fd, key, value);
}

SHMAP_COMPAT_INLINE int bpf_delete_elem(int fd, const void *key)
{
	return bpf_map_delete_elem(fd, key);
}

SHMAP_COMPAT_INLINE int bpf_get_next_key(int fd, const void *key, void *next)
{
	return bpf_map_get_next_key(fd, key, next);
}

/* ---- programs ---- */

#ifndef BPF_LOG_BUF_SIZE
#define BPF_LOG_BUF_SIZE (UINT32_MAX >> 8)
#endif

struct bpf_load_program_attr {
	enum bpf_prog_type prog_type;
	enum bpf_attach_type expected_attach_type;
	const char *name;
	const struct bpf_insn *insns;
	size_t insns_cnt;
	const char *license;
	union {
		__u32 kern_version;
		__u32 attach_prog_fd;
	};
	union {
		__u32 prog_ifindex;
		__u32 attach_btf_id;
	};
	__u32 prog_btf_fd;
	__u32 func_info_rec_size;
	const void *func_info;
	__u32 func_info_cnt;
	__u32 line_info_rec_size;
	const void *line_info;
	__u32 line_info_cnt;
	__u32 log_level;
	__u32 prog_flags;
};

/* libbpf's own, of six arguments, under any name but the one that is a macro below. */
static int (*const shmap_compat_load)(enum bpf_prog_type, const char *, const char *,
				      const struct bpf_insn *, size_t,
				      const struct bpf_prog_load_opts *)
	__attribute__((unused)) = bpf_prog_load;

SHMAP_COMPAT_INLINE int bpf_load_program_xattr(const struct bpf_load_program_attr *a, char *log_buf,
					       size_t log_buf_sz)
{
	bool traced = a->prog_type == BPF_PROG_TYPE_TRACING || a->prog_type == BPF_PROG_TYPE_LSM ||
		      a->prog_type == BPF_PROG_TYPE_EXT;
	DECLARE_LIBBPF_OPTS(
		bpf_prog_load_opts, opts, .expected_attach_type = a->expected_attach_type,
		.prog_btf_fd = a->prog_btf_fd, .prog_flags = a->prog_flags,
		.func_info_rec_size = a->func_info_rec_size, .func_info = a->func_info,
		.func_info_cnt = a->func_info_cnt, .line_info_rec_size = a->line_info_rec_size,
		.line_info = a->line_info, .line_info_cnt = a->line_info_cnt,
		.log_level = a->log_level, .log_buf = a->log_level ? log_buf : NULL,
		.log_size = a->log_level ? (__u32)log_buf_sz : 0);
	int fd;

	if (traced || a->prog_type == BPF_PROG_TYPE_STRUCT_OPS) {
		opts.attach_btf_id = a->attach_btf_id;
		opts.attach_prog_fd =
			a->prog_type == BPF_PROG_TYPE_STRUCT_OPS ? 0 : a->attach_prog_fd;
	} else {
		opts.kern_version = a->kern_version;
		opts.prog_ifindex = a->prog_ifindex;
	}
	fd = shmap_compat_load(a->prog_type, a->name, a->license, a->insns, a->insns_cnt, &opts);
	if (fd >= 0 || a->log_level || !log_buf || !log_buf_sz)
		return fd;
	/* once more, to have the reason */
	log_buf[0] = 0;
	opts.log_level = 1;
	opts.log_buf = log_buf;
	opts.log_size = (__u32)log_buf_sz;
	return shmap_compat_load(a->prog_type, a->name, a->license, a->insns, a->insns_cnt, &opts);
}

SHMAP_COMPAT_INLINE int bpf_load_program(enum bpf_prog_type type, const struct bpf_insn *insns,
					 size_t insns_cnt, const char *license, __u32 kern_version,
					 char *log_buf, size_t log_buf_sz)
{
	struct bpf_load_program_attr a = {
		.prog_type = type,
		.insns = insns,
		.insns_cnt = insns_cnt,
		.license = license,
		.kern_version = kern_version,
	};

	return bpf_load_program_xattr(&a, log_buf, log_buf_sz);
}

SHMAP_COMPAT_INLINE int bpf_verify_program(enum bpf_prog_type type, const struct bpf_insn *insns,
					   size_t insns_cnt, __u32 prog_flags, const char *license,
					   __u32 kern_version, char *log_buf, size_t log_buf_sz,
					   int log_level)
{
	struct bpf_load_program_attr a = {
		.prog_type = type,
		.insns = insns,
		.insns_cnt = insns_cnt,
		.license = license,
		.kern_version = kern_version,
		.log_level = (__u32)log_level,
		.prog_flags = prog_flags,
	};

	return bpf_load_program_xattr(&a, log_buf, log_buf_sz);
}

struct bpf_prog_load_attr {
	const char *file;
	enum bpf_prog_type prog_type;
	enum bpf_attach_type expected_attach_type;
	int ifindex;
	int log_level;
	int prog_flags;
};

/* A whole object: 0 and the fd of its first program, or -errno. */
SHMAP_COMPAT_INLINE int bpf_prog_load_xattr(const struct bpf_prog_load_attr *a,
					    struct bpf_object **pobj, int *prog_fd)
{
	struct bpf_program *p, *first = NULL;
	struct bpf_object *obj;
	struct bpf_map *m;
	int err;

	if (!a || !a->file)
		return -EINVAL;
	obj = bpf_object__open_file(a->file, NULL);
	err = libbpf_get_error(obj);
	if (err)
		return err;
	bpf_object__for_each_program(p, obj)
	{
		if (a->prog_type != BPF_PROG_TYPE_UNSPEC) {
			bpf_program__set_type(p, a->prog_type);
			bpf_program__set_expected_attach_type(p, a->expected_attach_type);
		}
		if (bpf_program__type(p) == BPF_PROG_TYPE_UNSPEC) {
			bpf_object__close(obj);
			return -EINVAL;
		}
		bpf_program__set_ifindex(p, (__u32)a->ifindex);
		if (a->prog_flags)
			bpf_program__set_flags(p, (__u32)a->prog_flags);
		if (a->log_level)
			bpf_program__set_log_level(p, (__u32)a->log_level);
		if (!first)
			first = p;
	}
	bpf_object__for_each_map(m, obj)
	{
		if (bpf_map__type(m) != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
			bpf_map__set_ifindex(m, (__u32)a->ifindex);
	}
	err = first ? bpf_object__load(obj) : -ENOENT;
	if (err) {
		bpf_object__close(obj);
		return err;
	}
	*pobj = obj;
	*prog_fd = bpf_program__fd(first);
	return 0;
}

SHMAP_COMPAT_INLINE int shmap_compat_load_file(const char *file, enum bpf_prog_type type,
					       struct bpf_object **pobj, int *prog_fd)
{
	struct bpf_prog_load_attr a = {.file = file, .prog_type = type};

	return bpf_prog_load_xattr(&a, pobj, prog_fd);
}

/* Of the first years: insns_len in bytes. */
SHMAP_COMPAT_INLINE int shmap_compat_load_bytes(enum bpf_prog_type type,
						const struct bpf_insn *insns, int insns_len,
						const char *license, int kern_version)
{
	return bpf_load_program(type, insns, (size_t)insns_len / sizeof(*insns), license,
				(__u32)kern_version, NULL, 0);
}

/* bpf_prog_load() of four arguments loads a file, of five instructions as in the first years; of
 * six it is today's. */
#define SHMAP_COMPAT_SEVENTH(a, b, c, d, e, f, g, ...) g
#define bpf_prog_load(...)                                                                         \
	SHMAP_COMPAT_SEVENTH(__VA_ARGS__, shmap_compat_load, shmap_compat_load_bytes,              \
			     shmap_compat_load_file, , , )                                         \
	(__VA_ARGS__)

SHMAP_COMPAT_INLINE int bpf_prog_test_run(int prog_fd, int repeat, void *data, __u32 size,
					  void *data_out, __u32 *size_out, __u32 *retval,
					  __u32 *duration)
{
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = size,
			    .data_out = data_out, .repeat = repeat,
			    .data_size_out = size_out && data_out ? *size_out : 0);
	int err = bpf_prog_test_run_opts(prog_fd, &opts);

	if (size_out)
		*size_out = opts.data_size_out;
	if (retval)
		*retval = opts.retval;
	if (duration)
		*duration = opts.duration;
	return err;
}

SHMAP_COMPAT_INLINE int bpf_load_btf(const void *btf, __u32 btf_size, char *log_buf,
				     __u32 log_buf_size, bool do_log)
{
	DECLARE_LIBBPF_OPTS(bpf_btf_load_opts, opts, .log_buf = do_log ? log_buf : NULL,
			    .log_size = do_log ? log_buf_size : 0, .log_level = do_log);

	return bpf_btf_load(btf, btf_size, &opts);
}

/* ---- objects ---- */

SHMAP_COMPAT_INLINE struct bpf_program *
bpf_object__find_program_by_title(const struct bpf_object *obj, const char *title)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, obj)
	{
		if (!strcmp(bpf_program__section_name(p), title))
			return p;
	}
	errno = ENOENT;
	return NULL;
}

SHMAP_COMPAT_INLINE const char *bpf_program__title(const struct bpf_program *p, bool needs_copy)
{
	const char *title = bpf_program__section_name(p);

	return needs_copy ? strdup(title) : title;
}

SHMAP_COMPAT_INLINE int bpf_map__resize(struct bpf_map *map, __u32 max_entries)
{
	return max_entries ? bpf_map__set_max_entries(map, max_entries) : -EINVAL;
}

SHMAP_COMPAT_INLINE struct bpf_object *bpf_object__open_buffer(const void *buf, size_t size,
							       const char *name)
{
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name);

	return bpf_object__open_mem(buf, size, &opts);
}

SHMAP_COMPAT_INLINE int bpf_set_link_xdp_fd(int ifindex, int fd, __u32 flags)
{
	return bpf_xdp_attach(ifindex, fd, flags, NULL);
}

/* ---- load_bpf_file(), as the kernel's samples had it ---- */

#define MAX_MAPS 32
#define MAX_PROGS 32

struct bpf_load_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
	unsigned int inner_map_idx;
	unsigned int numa_node;
};

struct bpf_map_data {
	int fd;
	char *name;
	size_t elf_offset;
	struct bpf_load_map_def def;
};

/* May change a map's definition, or set its fd to one to be used in its place. */
typedef void (*fixup_map_cb)(struct bpf_map_data *map, int idx);

/* One of each in a program, whichever of its files include this. */
#define SHMAP_COMPAT_WEAK __attribute__((weak))

SHMAP_COMPAT_WEAK int map_fd[MAX_MAPS];
SHMAP_COMPAT_WEAK struct bpf_map_data map_data[MAX_MAPS];
SHMAP_COMPAT_WEAK int map_data_count;
SHMAP_COMPAT_WEAK int prog_fd[MAX_PROGS];
SHMAP_COMPAT_WEAK int event_fd[MAX_PROGS];
SHMAP_COMPAT_WEAK int prog_cnt;
SHMAP_COMPAT_WEAK int prog_array_fd = -1;
SHMAP_COMPAT_WEAK char bpf_log_buf[65536];

/* The object that load_bpf_file() loaded last; it stays for as long as the process. */
SHMAP_COMPAT_WEAK struct bpf_object *shmap_compat_object;

SHMAP_COMPAT_INLINE int shmap_compat_say(const char *path, const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", path, what, strerror(err < 0 ? -err : err));
	return 1;
}

SHMAP_COMPAT_INLINE int shmap_compat_fix_map(struct bpf_map *m, fixup_map_cb fixup)
{
	struct bpf_map_data *d = &map_data[map_data_count];
	int err = 0;

	memset(d, 0, sizeof(*d));
	d->fd = -1;
	d->name = (char *)bpf_map__name(m);
	d->def.type = bpf_map__type(m);
	d->def.key_size = bpf_map__key_size(m);
	d->def.value_size = bpf_map__value_size(m);
	d->def.max_entries = bpf_map__max_entries(m);
	d->def.map_flags = bpf_map__map_flags(m);
	d->def.numa_node = bpf_map__numa_node(m);
	if (fixup) {
		fixup(d, map_data_count);
		if (d->fd >= 0)
			err = bpf_map__reuse_fd(m, d->fd);
		if (!err && d->fd < 0)
			err = bpf_map__set_type(m, (enum bpf_map_type)d->def.type) ?:
			      bpf_map__set_key_size(m, d->def.key_size) ?:
			      bpf_map__set_value_size(m, d->def.value_size) ?:
			      bpf_map__set_max_entries(m, d->def.max_entries) ?:
			      bpf_map__set_map_flags(m, d->def.map_flags) ?:
			      bpf_map__set_numa_node(m, d->def.numa_node);
	}
	map_data_count++;
	return err;
}

/* "kprobe/0", "socket/0": not an event, but a slot of the object's first prog array. */
SHMAP_COMPAT_INLINE const char *shmap_compat_slot(const char *section)
{
	const char *slash = strchr(section, '/');

	return slash && isdigit((unsigned char)slash[1]) ? slash + 1 : NULL;
}

/* The events that were attached to at once. Others ("socket", "xdp") are the loader's to attach. */
SHMAP_COMPAT_INLINE bool shmap_compat_attaches(const char *section)
{
	static const char *const prefixes[] = {"kprobe/",	  "kretprobe/", "tracepoint/",
					       "raw_tracepoint/", "ksyscall/",	"kretsyscall/"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(section, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

SHMAP_COMPAT_INLINE struct bpf_link *shmap_compat_attach(struct bpf_program *p)
{
	const char *section = bpf_program__section_name(p), *slash = strchr(section, '/');
	bool returns = !strncmp(section, "kretprobe/", 10);
	char name[128];

	/* The functions behind system calls have had other names since then. */
	if ((returns || !strncmp(section, "kprobe/", 7)) && !strncmp(slash + 1, "sys_", 4)) {
#if defined(__x86_64__)
		snprintf(name, sizeof(name), "__x64_%s", slash + 1);
#elif defined(__aarch64__)
		snprintf(name, sizeof(name), "__arm64_%s", slash + 1);
#else
		snprintf(name, sizeof(name), "%s", slash + 1);
#endif
		return bpf_program__attach_kprobe(p, returns, name);
	}
	return bpf_program__attach(p);
}

SHMAP_COMPAT_INLINE int shmap_compat_start(const char *path, struct bpf_program *p, int index)
{
	const char *section = bpf_program__section_name(p), *slot = shmap_compat_slot(section);
	struct bpf_link *link;
	int key, fd = bpf_program__fd(p);

	prog_fd[index] = fd;
	event_fd[index] = -1;
	if (slot) {
		key = atoi(slot);
		if (bpf_map_update_elem(prog_array_fd, &key, &fd, BPF_ANY))
			return shmap_compat_say(path, section, errno);
		return 0;
	}
	if (!shmap_compat_attaches(section))
		return 0;
	link = shmap_compat_attach(p);
	if (libbpf_get_error(link))
		return shmap_compat_say(path, section, errno);
	event_fd[index] = bpf_link__fd(link);
	return 0;
}

/*
 * Opens and loads the object, and attaches its kprobe, tracepoint and raw_tracepoint
 * programs. 0, or 1 with a line on standard error. fixup is called for each map before it is
 * made.
 */
SHMAP_COMPAT_INLINE int load_bpf_file_fixup_map(const char *path, fixup_map_cb fixup)
{
	struct bpf_program *p;
	struct bpf_object *obj;
	struct bpf_map *m;
	int err, i = 0;

	map_data_count = prog_cnt = 0;
	prog_array_fd = -1;
	obj = bpf_object__open_file(path, NULL);
	err = libbpf_get_error(obj);
	if (err)
		return shmap_compat_say(path, "it cannot be opened", err);
	bpf_object__for_each_program(p, obj)
	{
		const char *section = bpf_program__section_name(p);

		/* libbpf takes what follows the slash for a function's name */
		if (shmap_compat_slot(section) && !strncmp(section, "kprobe/", 7))
			bpf_program__set_type(p, BPF_PROG_TYPE_KPROBE);
		prog_cnt++;
	}
	bpf_object__for_each_map(m, obj)
	{
		if (bpf_map__is_internal(m))
			continue;
		err = map_data_count < MAX_MAPS ? shmap_compat_fix_map(m, fixup) : -E2BIG;
		if (err)
			goto close;
	}
	err = prog_cnt > MAX_PROGS ? -E2BIG : 0;
close:
	err = err ?: bpf_object__load(obj);
	if (err) {
		bpf_object__close(obj);
		map_data_count = prog_cnt = 0;
		return shmap_compat_say(path, "it cannot be loaded", err);
	}
	shmap_compat_object = obj;
	bpf_object__for_each_map(m, obj)
	{
		if (bpf_map__is_internal(m))
			continue;
		map_fd[i] = map_data[i].fd = bpf_map__fd(m);
		if (bpf_map__type(m) == BPF_MAP_TYPE_PROG_ARRAY && prog_array_fd < 0)
			prog_array_fd = map_fd[i];
		i++;
	}
	i = 0;
	bpf_object__for_each_program(p, obj)
	{
		if (shmap_compat_start(path, p, i++))
			return 1;
	}
	return 0;
}

SHMAP_COMPAT_INLINE int load_bpf_file(const char *path)
{
	return load_bpf_file_fixup_map((char *)path, NULL);
}

/* What programs print, until the process ends: the runtime directory's file, else tracefs'. */
SHMAP_COMPAT_INLINE void read_trace_pipe(void)
{
	char buf[4096], path[4096];
	const char *dir = getenv("SHMAP_DIR");
	ssize_t n;
	int fd = -1;

	if (dir)
		snprintf(path, sizeof(path), "%s/trace_pipe", dir);
	else
		snprintf(path, sizeof(path), "/dev/shm/shmap-%u/trace_pipe",
			 (unsigned int)getuid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = open("/sys/kernel/debug/tracing/trace_pipe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = read(fd, buf, sizeof(buf))) >= 0) {
		if (n)
			fwrite(buf, 1, (size_t)n, stdout), fflush(stdout);
		else
			usleep(100000); /* a file has an end where a pipe would wait */
	}
	close(fd);
}

#endif /* loaders */

#endif
