/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attr of bpf(2), with the layout of Linux 6.18.
 *
 * linux/bpf.h of the build machine may be older (Debian 12: 6.1), and the checks
 * of bpf(2) depend on the last field of each command, so the layout is ours.
 * Members are named after the commands that use them. Pointers are 64 bits
 * wide on every machine: see sys_ptr().
 */
#ifndef SHMAP_SYS_ATTR_H
#define SHMAP_SYS_ATTR_H

#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "base/uaccess.h"

#define SYS_NAME_LEN 16

union sys_attr {
	struct { /* MAP_CREATE */
		uint32_t map_type;
		uint32_t key_size;
		uint32_t value_size;
		uint32_t max_entries;
		uint32_t map_flags;
		uint32_t inner_map_fd;
		uint32_t numa_node;
		char map_name[SYS_NAME_LEN];
		uint32_t map_ifindex;
		uint32_t btf_fd;
		uint32_t btf_key_type_id;
		uint32_t btf_value_type_id;
		uint32_t btf_vmlinux_value_type_id;
		__aligned_u64 map_extra;
		int32_t value_type_btf_obj_fd;
		int32_t map_token_fd;
		__aligned_u64 excl_prog_hash;
		uint32_t excl_prog_hash_size;
	} map_create;

	struct { /* MAP_*_ELEM, MAP_GET_NEXT_KEY, MAP_FREEZE */
		uint32_t map_fd;
		__aligned_u64 key;
		union {
			__aligned_u64 value;
			__aligned_u64 next_key;
		};
		__aligned_u64 flags;
	} elem;

	struct { /* MAP_*_BATCH */
		__aligned_u64 in_batch;
		__aligned_u64 out_batch;
		__aligned_u64 keys;
		__aligned_u64 values;
		uint32_t count;
		uint32_t map_fd;
		__aligned_u64 elem_flags;
		__aligned_u64 flags;
	} batch;

	struct { /* PROG_LOAD */
		uint32_t prog_type;
		uint32_t insn_cnt;
		__aligned_u64 insns;
		__aligned_u64 license;
		uint32_t log_level;
		uint32_t log_size;
		__aligned_u64 log_buf;
		uint32_t kern_version;
		uint32_t prog_flags;
		char prog_name[SYS_NAME_LEN];
		uint32_t prog_ifindex;
		uint32_t expected_attach_type;
		uint32_t prog_btf_fd;
		uint32_t func_info_rec_size;
		__aligned_u64 func_info;
		uint32_t func_info_cnt;
		uint32_t line_info_rec_size;
		__aligned_u64 line_info;
		uint32_t line_info_cnt;
		uint32_t attach_btf_id;
		union {
			uint32_t attach_prog_fd;
			uint32_t attach_btf_obj_fd;
		};
		uint32_t core_relo_cnt;
		__aligned_u64 fd_array;
		__aligned_u64 core_relos;
		uint32_t core_relo_rec_size;
		uint32_t log_true_size;
		int32_t prog_token_fd;
		uint32_t fd_array_cnt;
		__aligned_u64 signature;
		uint32_t signature_size;
		int32_t keyring_id;
	} prog_load;

	struct { /* OBJ_PIN, OBJ_GET */
		__aligned_u64 pathname;
		uint32_t bpf_fd;
		uint32_t file_flags;
		int32_t path_fd;
	} obj;

	struct { /* PROG_ATTACH, PROG_DETACH */
		uint32_t target_fd;
		uint32_t attach_bpf_fd;
		uint32_t attach_type;
		uint32_t attach_flags;
		uint32_t replace_bpf_fd;
		uint32_t relative_fd;
		__aligned_u64 expected_revision;
	} prog_attach;

	struct { /* PROG_TEST_RUN */
		uint32_t prog_fd;
		uint32_t retval;
		uint32_t data_size_in;
		uint32_t data_size_out;
		__aligned_u64 data_in;
		__aligned_u64 data_out;
		uint32_t repeat;
		uint32_t duration;
		uint32_t ctx_size_in;
		uint32_t ctx_size_out;
		__aligned_u64 ctx_in;
		__aligned_u64 ctx_out;
		uint32_t flags;
		uint32_t cpu;
		uint32_t batch_size;
	} test;

	struct { /* *_GET_NEXT_ID, *_GET_FD_BY_ID */
		union {
			uint32_t start_id;
			uint32_t prog_id;
			uint32_t map_id;
			uint32_t btf_id;
			uint32_t link_id;
		};
		uint32_t next_id;
		uint32_t open_flags;
		int32_t fd_by_id_token_fd;
	} id;

	struct { /* OBJ_GET_INFO_BY_FD */
		uint32_t bpf_fd;
		uint32_t info_len;
		__aligned_u64 info;
	} info;

	struct { /* PROG_QUERY */
		uint32_t target_fd;
		uint32_t attach_type;
		uint32_t query_flags;
		uint32_t attach_flags;
		__aligned_u64 prog_ids;
		uint32_t prog_cnt;
		__aligned_u64 prog_attach_flags;
		__aligned_u64 link_ids;
		__aligned_u64 link_attach_flags;
		__aligned_u64 revision;
	} prog_query;

	struct { /* RAW_TRACEPOINT_OPEN */
		__aligned_u64 name;
		uint32_t prog_fd;
		__aligned_u64 cookie;
	} raw_tracepoint;

	struct { /* BTF_LOAD */
		__aligned_u64 btf;
		__aligned_u64 btf_log_buf;
		uint32_t btf_size;
		uint32_t btf_log_size;
		uint32_t btf_log_level;
		uint32_t btf_log_true_size;
		uint32_t btf_flags;
		int32_t btf_token_fd;
	} btf_load;

	struct { /* TASK_FD_QUERY */
		uint32_t pid;
		uint32_t fd;
		uint32_t flags;
		uint32_t buf_len;
		__aligned_u64 buf;
		uint32_t prog_id;
		uint32_t fd_type;
		__aligned_u64 probe_offset;
		__aligned_u64 probe_addr;
	} task_fd_query;

	struct { /* LINK_CREATE */
		union {
			uint32_t prog_fd;
			uint32_t map_fd;
		};
		union {
			uint32_t target_fd;
			uint32_t target_ifindex;
		};
		uint32_t attach_type;
		uint32_t flags;
		union {
			uint32_t target_btf_id;
			struct {
				__aligned_u64 iter_info;
				uint32_t iter_info_len;
			};
			struct {
				__aligned_u64 bpf_cookie;
			} perf_event;
			struct {
				uint32_t flags;
				uint32_t cnt;
				__aligned_u64 syms;
				__aligned_u64 addrs;
				__aligned_u64 cookies;
			} kprobe_multi;
			struct {
				uint32_t target_btf_id;
				__aligned_u64 cookie;
			} tracing;
			struct {
				uint32_t pf;
				uint32_t hooknum;
				int32_t priority;
				uint32_t flags;
			} netfilter;
			struct {
				uint32_t relative_fd;
				__aligned_u64 expected_revision;
			} tcx;
			struct {
				__aligned_u64 path;
				__aligned_u64 offsets;
				__aligned_u64 ref_ctr_offsets;
				__aligned_u64 cookies;
				uint32_t cnt;
				uint32_t flags;
				uint32_t pid;
			} uprobe_multi;
		};
	} link_create;

	struct { /* LINK_UPDATE */
		uint32_t link_fd;
		uint32_t new_prog_fd;
		uint32_t flags;
		uint32_t old_prog_fd;
	} link_update;

	struct { /* LINK_DETACH */
		uint32_t link_fd;
	} link_detach;

	struct { /* ENABLE_STATS */
		uint32_t type;
	} enable_stats;

	struct { /* ITER_CREATE */
		uint32_t link_fd;
		uint32_t flags;
	} iter_create;

	struct { /* PROG_BIND_MAP */
		uint32_t prog_fd;
		uint32_t map_fd;
		uint32_t flags;
	} prog_bind_map;

	struct { /* TOKEN_CREATE */
		uint32_t flags;
		uint32_t bpffs_fd;
	} token_create;

	struct { /* PROG_STREAM_READ_BY_FD */
		__aligned_u64 stream_buf;
		uint32_t stream_buf_len;
		uint32_t stream_id;
		uint32_t prog_fd;
	} prog_stream_read;
};

_Static_assert(sizeof(union sys_attr) == 168, "the attr of Linux 6.18 has 168 bytes");

/* A pointer field. A value beyond the address space becomes a pointer that faults. */
static inline void *sys_ptr(uint64_t field)
{
	return field > UINTPTR_MAX ? (void *)UINTPTR_MAX : (void *)(uintptr_t)field;
}

/* The address of a field of the caller's own attr, which may stand anywhere. */
#define sys_field(uattr, field) uaccess_at((uattr), offsetof(union sys_attr, field))

#endif
