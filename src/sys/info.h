/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What OBJ_GET_INFO_BY_FD answers for programs, BTF and links, with the layouts
 * of Linux 6.18 (the build machine's linux/bpf.h may be older).
 */
#ifndef SHMAP_SYS_INFO_H
#define SHMAP_SYS_INFO_H

#include <stdint.h>
#include <linux/types.h>

#include "sys/attr.h"

struct prog_info {
	uint32_t type;
	uint32_t id;
	uint8_t tag[8];
	uint32_t jited_prog_len;
	uint32_t xlated_prog_len;
	__aligned_u64 jited_prog_insns;
	__aligned_u64 xlated_prog_insns;
	uint64_t load_time; /* ns since boot */
	uint32_t created_by_uid;
	uint32_t nr_map_ids;
	__aligned_u64 map_ids;
	char name[SYS_NAME_LEN];
	uint32_t ifindex;
	uint32_t gpl_compatible; /* bit 0 */
	uint64_t netns_dev;
	uint64_t netns_ino;
	uint32_t nr_jited_ksyms;
	uint32_t nr_jited_func_lens;
	__aligned_u64 jited_ksyms;
	__aligned_u64 jited_func_lens;
	uint32_t btf_id;
	uint32_t func_info_rec_size;
	__aligned_u64 func_info;
	uint32_t nr_func_info;
	uint32_t nr_line_info;
	__aligned_u64 line_info;
	__aligned_u64 jited_line_info;
	uint32_t nr_jited_line_info;
	uint32_t line_info_rec_size;
	uint32_t jited_line_info_rec_size;
	uint32_t nr_prog_tags;
	__aligned_u64 prog_tags;
	uint64_t run_time_ns;
	uint64_t run_cnt;
	uint64_t recursion_misses;
	uint32_t verified_insns;
	uint32_t attach_btf_obj_id;
	uint32_t attach_btf_id;
	uint32_t pad;
};

struct btf_info {
	__aligned_u64 btf;
	uint32_t btf_size;
	uint32_t id;
	__aligned_u64 name;
	uint32_t name_len;
	uint32_t kernel_btf;
};

enum perf_info_type { /* bpf_link_info.perf_event.type */
		      PERF_INFO_KPROBE = 3,
		      PERF_INFO_KRETPROBE = 4,
		      PERF_INFO_TRACEPOINT = 5,
};

struct link_info {
	uint32_t type;
	uint32_t id;
	uint32_t prog_id;
	union {
		struct {
			__aligned_u64 tp_name;
			uint32_t tp_name_len;
			__aligned_u64 cookie;
		} raw_tracepoint;
		struct {
			uint32_t attach_type;
			uint32_t target_obj_id;
			uint32_t target_btf_id;
			__aligned_u64 cookie;
		} tracing;
		struct {
			__aligned_u64 addrs;
			uint32_t count;
			uint32_t flags;
			uint64_t missed;
			__aligned_u64 cookies;
		} kprobe_multi;
		struct {
			__aligned_u64 path;
			__aligned_u64 offsets;
			__aligned_u64 ref_ctr_offsets;
			__aligned_u64 cookies;
			uint32_t path_size;
			uint32_t count;
			uint32_t flags;
			uint32_t pid;
		} uprobe_multi;
		struct {
			uint32_t type;
			union {
				struct {
					__aligned_u64 func_name;
					uint32_t name_len;
					uint32_t offset;
					uint64_t addr;
					uint64_t missed;
					uint64_t cookie;
				} kprobe;
				struct {
					__aligned_u64 tp_name;
					uint32_t name_len;
					uint64_t cookie;
				} tracepoint;
			};
		} perf_event;
	};
};

_Static_assert(sizeof(struct prog_info) == 232, "bpf_prog_info of Linux 6.18");
_Static_assert(sizeof(struct btf_info) == 32, "bpf_btf_info of Linux 6.18");
_Static_assert(sizeof(struct link_info) == 64, "bpf_link_info of Linux 6.18");

#endif
