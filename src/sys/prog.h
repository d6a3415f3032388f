/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Program objects.
 *
 * A program is a file: its instructions, function and line records are the
 * data, struct prog_body is the trailer's body. The process that loads it
 * verifies it; a process that opens it copies everything to private memory and
 * verifies that copy again, so that nothing another process writes to
 * the file later (or before) decides what runs here.
 *
 *   data   | insns | func_info (8 bytes each) | line_info (16 bytes each) |
 *          | the same three as the verifier left them: for prog info only |
 */
#ifndef SHMAP_SYS_PROG_H
#define SHMAP_SYS_PROG_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/bpf.h>

#include "base/uapi.h"
#include "shm/object.h"
#include "sys/attr.h"
#include "sys/log.h"
#include "vm/vm.h"

#define PROG_INSNS_MAX 1000000U
#define PROG_USED_MAPS_MAX 64	/* by its instructions */
#define PROG_BOUND_MAPS_MAX 256 /* with PROG_BIND_MAP's */
#define PROG_LICENSE_LEN 128

/* Written by whoever runs the program or binds a map to it. */
struct prog_shared {
	uint64_t run_time_ns;
	uint64_t run_cnt;
	uint64_t recursion_misses;
	uint32_t bind_lock; /* robust; covers map_cnt and the ids above it */
	uint32_t map_cnt;   /* the store that binds a map is this one's */
	uint32_t map_ids[PROG_BOUND_MAPS_MAX];
};

struct prog_body {
	uint32_t type;
	uint32_t expected_attach_type;
	uint32_t flags;
	uint32_t attach_btf_id;
	uint32_t attach_btf_obj_id;
	uint32_t btf_id;
	uint32_t insn_cnt;
	uint32_t func_info_cnt;
	uint32_t line_info_cnt;
	uint32_t used_map_cnt; /* maps that instructions name: map_ids[0..) */
	uint32_t verified_insns;
	uint32_t gpl_compatible;
	uint32_t xlated_insn_cnt; /* without dead code */
	uint32_t xlated_func_info_cnt;
	uint32_t xlated_line_info_cnt;
	char name[SYS_NAME_LEN];
	uint8_t tag[8];
	char attach_func[128];
	char license[PROG_LICENSE_LEN];
	uint8_t pad[512 - 340];
	struct prog_shared shared;
};

_Static_assert(offsetof(struct prog_body, shared) == 512, "shared part on its own lines");
_Static_assert(sizeof(struct prog_body) <= OBJECT_BODY_SIZE, "fits the trailer");

/* An open program: the verified private copy, and the file for its statistics. */
struct sys_prog {
	struct vm_prog vm; /* first: vm_prog_free() frees the whole */
	struct object obj; /* keeps the program and what it refers to alive; base NULL: loaded
			    * here, and the fd does */
	int cached_fd;	   /* private to prog_cache.c */
};

/* The open program behind a caller's fd: 0; -EBADF, -EINVAL (no program)... */
int sys_prog_open_fd(int fd, struct vm_prog **out);

/*
 * A verified copy of program `id` that does not hold it: for the slot of a prog
 * array, which does. *owner: see map/objref.h. sys_prog_put() closes it.
 */
int prog_open_unheld(uint32_t id, struct vm_prog **out, uint64_t *owner);
/* What a prog array asks of its programs. */
uint64_t prog_owner(uint32_t type, uint32_t expected_attach_type, uint32_t flags,
		    uint32_t attach_btf_id);

/* Bytes of the first three parts of the data. */
uint64_t prog_data_size(const struct prog_body *body);
/* A checked private copy of the body of a mapped program. */
int prog_read_body(const struct object *obj, struct prog_body *body);

/* The maps of a program while it is put together. Fds are ours. */
struct prog_maps {
	struct map *maps[PROG_USED_MAPS_MAX];
	uint32_t ids[PROG_USED_MAPS_MAX];
	int fds[PROG_USED_MAPS_MAX];
	uint32_t cnt;
};

/* Adds the map behind a caller's fd: its index, or -errno with a line in the log. */
int prog_maps_add(struct prog_maps *pm, int fd, struct vm_log *log);
/* Adds map `id` without looking for an equal one. Its index or -errno. */
int prog_maps_add_id(struct prog_maps *pm, uint32_t id);
/* Moves the maps (not the fds) into p. 0 or -ENOMEM. */
int prog_maps_give(struct prog_maps *pm, struct vm_prog *p);
void prog_maps_close(struct prog_maps *pm);

/* May a 16-byte load refer to offset off of map m's only value? 0 or -errno. */
int prog_map_value_check(struct map *m, uint32_t off, struct vm_log *log);

/* prog_records.c: the checks of func_info and line_info against p's
 * instructions and BTF. 0 or -errno with a line in the log. */
#define PROG_FUNC_REC 8
#define PROG_LINE_REC 16
int prog_check_records(const struct vm_prog *p, struct vm_log *log);
/* The same in the kernel's steps. all: every function must have its line. */
int prog_check_func_types(const struct vm_prog *p, struct vm_log *log);
int prog_check_func_layout(const struct vm_prog *p, struct vm_log *log);
int prog_check_lines(const struct vm_prog *p, bool all, struct vm_log *log);
/* One byte per instruction, malloc()ed: 1 where a function starts. Targets out of
 * range are the verifier's to refuse. */
uint8_t *prog_find_functions(const struct vm_prog *p, uint32_t *cnt);

struct prog_records {
	void *data; /* malloc()ed */
	uint32_t cnt;
};
/* Copies cnt records of user_size bytes each, keeping the first `size` of each;
 * the rest must be zero (-E2BIG). After an error r holds the records before it. */
int prog_copy_records(struct prog_records *r, const void *user, uint32_t cnt, uint32_t user_size,
		      uint32_t size);

/* prog_attach.c: what a program is attached to by its load attributes. */
int prog_check_load_attach(uint32_t type, uint32_t expected, bool attach_btf, uint32_t btf_id);
int prog_check_target(struct vm_prog *p, struct vm_log *log);
uint32_t prog_fix_attach_type(uint32_t type, uint32_t expected);

long sys_cmd_prog_load(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_prog_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_prog_bind_map(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_prog_test_run(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_enable_stats(union sys_attr *attr, union sys_attr *uattr, unsigned int size);

#endif
