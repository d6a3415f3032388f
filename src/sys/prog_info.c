// SPDX-License-Identifier: BSD-2-Clause
/*
 * bpf_prog_info. The translated instructions are those that were loaded without dead code,
 * with map ids where the loader wrote fds. Native code is this process's own (each makes it
 * from a copy that it has verified): it is shown where it is here, as it is here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "sys/check.h"
#include "sys/command.h"
#include "sys/info.h"
#include "sys/objfd.h"
#include "sys/prog.h"
#include "sys/prog_cache.h"
#include "vm/jit.h"

#define JITED_LINE_REC 8

static uint32_t at_most(uint32_t n, uint32_t max)
{
	return n < max ? n : max;
}

/* A record size is asked for by leaving the field and the count 0. */
static int record_size_asked(uint32_t cnt, uint32_t size, uint32_t known)
{
	return (cnt || size) && size != known ? -EINVAL : 0;
}

static int set_record_sizes(struct prog_info *info)
{
	if (record_size_asked(info->nr_func_info, info->func_info_rec_size, PROG_FUNC_REC) ||
	    record_size_asked(info->nr_line_info, info->line_info_rec_size, PROG_LINE_REC) ||
	    record_size_asked(info->nr_jited_line_info, info->jited_line_info_rec_size,
			      JITED_LINE_REC))
		return -EINVAL;
	info->func_info_rec_size = PROG_FUNC_REC;
	info->line_info_rec_size = PROG_LINE_REC;
	info->jited_line_info_rec_size = JITED_LINE_REC;
	return 0;
}

/* Copies file bytes [from, from + n) through private memory. */
static int copy_part(const struct object *obj, uint64_t from, uint32_t n, uint64_t user)
{
	return uaccess_copy(sys_ptr(user), obj->base + from, n);
}

/* Map indices become ids; a local call gets its distance in off and the number of
 * the function in imm, as the kernel's translation leaves it. */
static void translate(struct bpf_insn *insns, const struct prog_body *body, const uint32_t *func)
{
	uint32_t i, target;

	for (i = 0; i < body->xlated_insn_cnt; i++) {
		struct bpf_insn *insn = &insns[i];

		if (insn->code == (BPF_LD | BPF_IMM | BPF_DW)) {
			if ((insn->src_reg == BPF_PSEUDO_MAP_FD ||
			     insn->src_reg == BPF_PSEUDO_MAP_VALUE) &&
			    (uint32_t)insn->imm < body->used_map_cnt)
				insn->imm = body->shared.map_ids[insn->imm];
			i++;
		} else if (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL) {
			target = i + 1 + insn->imm;
			if (target >= body->xlated_insn_cnt)
				continue;
			insn->off = insn->imm;
			insn->imm = func[target];
		}
	}
}

/* The number of the function that each instruction is in, malloc()ed. */
static uint32_t *number_functions(const struct vm_prog *p)
{
	uint32_t *func = calloc(p->insn_cnt, sizeof(*func)), functions, i;
	uint8_t *starts = prog_find_functions(p, &functions);

	for (i = 1; func && starts && i < p->insn_cnt; i++)
		func[i] = func[i - 1] + starts[i];
	if (!starts) {
		free(func);
		func = NULL;
	}
	free(starts);
	return func;
}

/* A private copy, malloc()ed. */
static struct bpf_insn *read_insns(const struct object *obj, const struct prog_body *body)
{
	uint32_t bytes = body->insn_cnt * sizeof(struct bpf_insn);
	struct bpf_insn *insns = malloc(bytes);

	if (insns && uaccess_copy(insns, obj->base, bytes)) {
		free(insns);
		insns = NULL;
	}
	return insns;
}

static int copy_insns(const struct object *obj, const struct prog_body *body, uint32_t room,
		      uint64_t user)
{
	uint32_t bytes = body->xlated_insn_cnt * sizeof(struct bpf_insn), *func;
	struct vm_prog p = {.insns = malloc(bytes), .insn_cnt = body->xlated_insn_cnt};
	int err = -EFAULT;

	if (!p.insns)
		return -ENOMEM;
	if (uaccess_copy(p.insns, obj->base + prog_data_size(body), bytes))
		goto out;
	func = number_functions(&p);
	if (!func) {
		err = -ENOMEM;
		goto out;
	}
	translate(p.insns, body, func);
	free(func);
	err = uaccess_copy(sys_ptr(user), p.insns, at_most(room, bytes));
out:
	free(p.insns);
	return err;
}

/* The tags of p's functions, of room many: 0 or -errno. */
static int copy_tags(const struct vm_prog *p, const uint8_t *starts, uint32_t room, uint64_t user)
{
	uint32_t begin = 0, end, n = 0;

	for (end = 1; end <= p->insn_cnt && n < room; end++) {
		struct vm_prog f = {.insns = p->insns + begin, .insn_cnt = end - begin};
		uint8_t tag[sizeof(f.tag)];

		if (end < p->insn_cnt && !starts[end])
			continue;
		vm_prog_tag(&f, tag);
		if (uaccess_copy(sys_ptr(user + n * sizeof(tag)), tag, sizeof(tag)))
			return -EFAULT;
		begin = end;
		n++;
	}
	return 0;
}

/* A program of several functions has a tag for each besides its own; else just that. */
static int fill_tags(const struct object *obj, const struct prog_body *body, struct prog_info *info)
{
	struct vm_prog p = {.insns = read_insns(obj, body), .insn_cnt = body->insn_cnt};
	uint32_t functions = 0, room;
	uint8_t *starts = p.insns ? prog_find_functions(&p, &functions) : NULL;
	int err = starts ? 0 : -ENOMEM;

	if (!err) {
		room = at_most(info->nr_prog_tags, functions);
		info->nr_prog_tags = functions;
		if (functions > 1)
			err = copy_tags(&p, starts, room, info->prog_tags);
		else if (room)
			err = uaccess_copy(sys_ptr(info->prog_tags), body->tag, sizeof(body->tag))
				      ? -EFAULT
				      : 0;
	}
	free(starts);
	free(p.insns);
	return err;
}

static int fill_records(const struct object *obj, const struct prog_body *body,
			struct prog_info *info)
{
	uint64_t funcs = prog_data_size(body) +
			 (uint64_t)body->xlated_insn_cnt * sizeof(struct bpf_insn);
	uint64_t lines = funcs + (uint64_t)body->xlated_func_info_cnt * PROG_FUNC_REC;
	uint32_t room;

	room = at_most(info->nr_func_info, body->xlated_func_info_cnt);
	info->nr_func_info = body->xlated_func_info_cnt;
	if (room && copy_part(obj, funcs, room * PROG_FUNC_REC, info->func_info))
		return -EFAULT;
	room = at_most(info->nr_line_info, body->xlated_line_info_cnt);
	info->nr_line_info = body->xlated_line_info_cnt;
	if (room && copy_part(obj, lines, room * PROG_LINE_REC, info->line_info))
		return -EFAULT;

	return fill_tags(obj, body, info);
}

static int fill_info(const struct object *obj, struct prog_info *info)
{
	const struct prog_shared *shared = &((struct prog_body *)obj->trailer->body)->shared;
	struct prog_body body;
	uint32_t room;
	int err = prog_read_body(obj, &body);

	if (err)
		return err;
	info->type = body.type;
	info->id = obj->id;
	info->load_time = obj->trailer->load_time;
	info->created_by_uid = obj->trailer->uid;
	info->gpl_compatible = !!body.gpl_compatible;
	memcpy(info->tag, body.tag, sizeof(info->tag));
	memcpy(info->name, body.name, sizeof(info->name));
	info->ifindex = 0;
	info->netns_dev = 0;
	info->netns_ino = 0;

	room = at_most(info->nr_map_ids, body.shared.map_cnt);
	info->nr_map_ids = body.shared.map_cnt;
	if (room && uaccess_copy(sys_ptr(info->map_ids), body.shared.map_ids,
				 room * sizeof(body.shared.map_ids[0])))
		return -EFAULT;
	err = set_record_sizes(info);
	if (err)
		return err;
	info->run_time_ns = load_relaxed(&shared->run_time_ns);
	info->run_cnt = load_relaxed(&shared->run_cnt);
	info->recursion_misses = load_relaxed(&shared->recursion_misses);
	info->verified_insns = body.verified_insns;
	info->btf_id = body.btf_id;
	info->attach_btf_id = body.attach_btf_id;
	info->attach_btf_obj_id = body.attach_btf_obj_id;

	room = info->xlated_prog_len;
	info->xlated_prog_len = body.xlated_insn_cnt * sizeof(struct bpf_insn);
	if (room) {
		err = copy_insns(obj, &body, room, info->xlated_prog_insns);
		if (err)
			return err;
	}
	return fill_records(obj, &body, info);
}

/* ---- native code ---- */

/* The functions one behind the other, without what lies between them. */
static int copy_code(const struct jit_image *image, uint32_t room, uint64_t user)
{
	uint32_t i, n;

	for (i = 0; i < image->func_cnt && room; i++) {
		const struct jit_func *f = &image->funcs[i];

		n = at_most(f->len, room);
		if (uaccess_copy(sys_ptr(user), image->code + f->start, n))
			return -EFAULT;
		user += n;
		room -= n;
	}
	return 0;
}

static int copy_functions(const struct jit_image *image, uint32_t addresses,
			  uint64_t user_addresses, uint32_t lens, uint64_t user_lens)
{
	for (uint32_t i = 0; i < image->func_cnt; i++) {
		const struct jit_func *f = &image->funcs[i];
		uint64_t addr = (uintptr_t)image->code + f->start;

		if (i < addresses &&
		    uaccess_copy(sys_ptr(user_addresses + i * sizeof(addr)), &addr, sizeof(addr)))
			return -EFAULT;
		if (i < lens &&
		    uaccess_copy(sys_ptr(user_lens + i * sizeof(f->len)), &f->len, sizeof(f->len)))
			return -EFAULT;
	}
	return 0;
}

static int copy_lines(const struct jit_image *image, const struct vm_prog *p, uint32_t room,
		      uint64_t user)
{
	for (uint32_t i = 0; i < room; i++) {
		uint32_t insn;
		uint64_t addr;

		memcpy(&insn, (const uint8_t *)p->line_info + (size_t)i * p->line_info_rec_size,
		       sizeof(insn));
		addr = insn < p->insn_cnt ? (uintptr_t)image->code + image->at[insn] : 0;
		if (uaccess_copy(sys_ptr(user + i * sizeof(addr)), &addr, sizeof(addr)))
			return -EFAULT;
	}
	return 0;
}

static int fill_native(struct vm_prog *p, struct prog_info *info)
{
	const struct jit_image *image = jit_image_of(p);
	uint32_t room = info->jited_prog_len, addresses = info->nr_jited_ksyms;
	uint32_t lens = info->nr_jited_func_lens, lines = info->nr_jited_line_info, i;
	int err;

	info->jited_prog_len = 0;
	info->nr_jited_ksyms = 0;
	info->nr_jited_func_lens = 0;
	info->nr_jited_line_info = 0;
	if (!image)
		return 0;
	for (i = 0; i < image->func_cnt; i++)
		info->jited_prog_len += image->funcs[i].len;
	info->nr_jited_ksyms = info->nr_jited_func_lens = image->func_cnt;
	info->nr_jited_line_info = p->line_info_cnt;
	err = copy_code(image, room, info->jited_prog_insns);
	if (!err)
		err = copy_functions(image, addresses, info->jited_ksyms, lens,
				     info->jited_func_lens);
	if (!err)
		err = copy_lines(image, p, at_most(lines, p->line_info_cnt), info->jited_line_info);
	return err;
}

static int show_native(int fd, struct prog_info *info)
{
	struct prog_use use;
	int err = prog_cache_take(fd, &use);

	if (err)
		return err;
	err = fill_native(use.p, info);
	prog_cache_give(&use);
	return err;
}

long sys_prog_info(int fd, union sys_attr *attr, union sys_attr *uattr)
{
	uint32_t len = attr->info.info_len;
	struct prog_info info = {0};
	struct object obj;
	int err;

	err = sys_check_tail(sys_ptr(attr->info.info), sizeof(info), len);
	if (err)
		return err;
	len = at_most(len, sizeof(info));
	if (uaccess_copy(&info, sys_ptr(attr->info.info), len))
		return -EFAULT;
	err = object_map(fd, &obj);
	if (err)
		return err;
	err = fill_info(&obj, &info);
	object_unmap(&obj);
	if (!err)
		err = show_native(fd, &info);
	return err ? err : objfd_info_out(attr, uattr, &info, len);
}
