/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BTF blobs: checked when they are loaded, looked up by the map and program
 * sides. Parsing of types is libbpf's (bpf/btf.h); this adds what BPF_BTF_LOAD
 * checks, and the questions that the kernel asks of BTF.
 */
#ifndef SHMAP_BTF_BTF_H
#define SHMAP_BTF_BTF_H

#include <stddef.h>
#include <stdint.h>

struct btf; /* libbpf's */

/* BTF_LOAD's checks: 0, -EINVAL, -E2BIG, -ENOTSUPP... *out is freed by btf__free(). */
int btf_check(const void *data, uint32_t size, struct btf **out, char *log, size_t log_size);

/* The special fields of a map's value. */
struct btf_map_fields {
	int32_t spin_lock_off;	  /* or -1 */
	uint32_t timer_at, wq_at; /* the offset + 1, or 0 */
};

/* MAP_CREATE's checks of key and value type (map_check_btf): sizes match; finds
 * the special fields in the value. key_type_id 0: no key
 * type. 0, -EINVAL; -EACCES (a lock, and BPF_F_RDONLY_PROG or WRONLY_PROG);
 * -EOPNOTSUPP (the map type may not hold it); -ENOTSUPP (the map type takes no BTF). */
int btf_check_map(const struct btf *btf, uint32_t map_type, uint32_t map_flags, uint32_t key_size,
		  uint32_t value_size, uint32_t max_entries, uint32_t key_type_id,
		  uint32_t value_type_id, struct btf_map_fields *out);

/* The running kernel's BTF (/sys/kernel/btf/vmlinux), loaded once; NULL when absent. */
const struct btf *btf_vmlinux(void);

#endif
