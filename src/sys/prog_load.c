// SPDX-License-Identifier: BSD-2-Clause
/*
 * PROG_LOAD: the checks of the attr in the kernel's order, the references to
 * maps and BTF, the verifier, the file.
 */
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/objref.h"
#include "sys/btf_obj.h"
#include "sys/check.h"
#include "sys/fd.h"
#include "sys/objfd.h"
#include "sys/prog.h"
#include "sys/prog_cache.h"

#define F_XDP_DEV_BOUND_ONLY (1U << 6)
#define F_TEST_REG_INVARIANTS (1U << 7)
#define PROG_FLAGS                                                                                 \
	(BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_RND_HI32 |                      \
	 BPF_F_TEST_STATE_FREQ | BPF_F_SLEEPABLE | BPF_F_XDP_HAS_FRAGS | F_XDP_DEV_BOUND_ONLY |    \
	 F_TEST_REG_INVARIANTS | SHMAP_F_TOKEN_FD)
#define TYPE_NETFILTER 32
#define SIGNATURE_MAX 8192
#define SYSTEM_KEYRING_MAX 2

/* Everything of one load; freed by load_free(). */
struct prog_load {
	const union sys_attr *attr;
	union sys_attr *uattr;
	struct vm_prog *p;
	struct prog_maps maps;
	struct btf_ref btf;	/* the program's own; fd -1: none */
	struct btf_ref vmlinux; /* what attach_btf_id is looked up in */
	struct sys_log log;
	char license[PROG_LICENSE_LEN];
	struct prog_body before; /* the counts of what was loaded, and its parts: */
	uint8_t *data;
};

static void load_free(struct prog_load *l)
{
	if (l->p)
		vm_prog_free(l->p);
	free(l->data);
	prog_maps_close(&l->maps);
	sys_btf_close(&l->btf);
	sys_btf_close(&l->vmlinux);
}

static bool license_is_gpl(const char *license)
{
	static const char *const gpl[] = {
		"GPL",		"GPL v2",	"GPL and additional rights",
		"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
	uint32_t i;

	for (i = 0; i < sizeof(gpl) / sizeof(gpl[0]); i++)
		if (!strcmp(license, gpl[i]))
			return true;
	return false;
}

/*
 * Types without an implementation here are those of a kernel built without
 * them: LIRC, LSM, struct_ops, freplace, netfilter.
 */
static bool type_exists(uint32_t type)
{
	switch (type) {
	case BPF_PROG_TYPE_UNSPEC:
	case BPF_PROG_TYPE_LIRC_MODE2:
	case BPF_PROG_TYPE_STRUCT_OPS:
	case BPF_PROG_TYPE_EXT:
	case BPF_PROG_TYPE_LSM:
		return false;
	}
	return type < TYPE_NETFILTER;
}

/* attach_prog_fd (or attach_btf_obj_fd) and attach_btf_id. */
static int load_attach_btf(struct prog_load *l)
{
	const union sys_attr *attr = l->attr;
	uint32_t id;

	if (attr->prog_load.attach_prog_fd) {
		if (!objfd_id(attr->prog_load.attach_prog_fd, OBJECT_PROG, &id))
			return -EINVAL; /* programs are no targets here */
		if (sys_btf_open_fd(attr->prog_load.attach_btf_obj_fd, &l->vmlinux))
			return -EINVAL;
		return l->vmlinux.kernel ? 0 : -ENOTSUPP;
	}
	if (attr->prog_load.attach_btf_id && !btf_vmlinux())
		return -EINVAL;
	return 0;
}

static int load_insns(struct prog_load *l)
{
	const union sys_attr *attr = l->attr;
	struct vm_prog *p = l->p;
	size_t n = (size_t)attr->prog_load.insn_cnt * sizeof(struct bpf_insn);

	p->insns = malloc(n);
	if (!p->insns)
		return -ENOMEM;
	if (uaccess_copy(p->insns, sys_ptr(attr->prog_load.insns), n))
		return -EFAULT;
	p->insn_cnt = attr->prog_load.insn_cnt;
	/* a longer license is cut, not refused */
	if (uaccess_copy_string(l->license, sys_ptr(attr->prog_load.license), sizeof(l->license)) ==
	    -EFAULT)
		return -EFAULT;
	p->gpl_compatible = license_is_gpl(l->license);
	return 0;
}

/* As a kernel without the key type that signatures need. */
static int load_signature(const union sys_attr *attr)
{
	uint8_t signature[SIGNATURE_MAX];

	if (attr->prog_load.signature_size > SIGNATURE_MAX)
		return -EINVAL;
	if (attr->prog_load.keyring_id < 0 || attr->prog_load.keyring_id > SYSTEM_KEYRING_MAX)
		return -EINVAL;
	if (uaccess_copy(signature, sys_ptr(attr->prog_load.signature),
			 attr->prog_load.signature_size))
		return -ENOMEM; /* so says the kernel */
	return -EOPNOTSUPP;
}

/* The checks that come before the verifier. */
static int load_check_attr(struct prog_load *l)
{
	const union sys_attr *attr = l->attr;
	struct vm_prog *p = l->p;
	uint32_t type = attr->prog_load.prog_type;
	int err;

	if (attr->prog_load.prog_flags & ~PROG_FLAGS)
		return -EINVAL;
	p->type = type;
	p->expected_attach_type = prog_fix_attach_type(type, attr->prog_load.expected_attach_type);
	p->attach_btf_id = attr->prog_load.attach_btf_id;
	p->sleepable = attr->prog_load.prog_flags & BPF_F_SLEEPABLE;
	if (attr->prog_load.prog_flags & SHMAP_F_TOKEN_FD)
		return objfd_token(attr->prog_load.prog_token_fd);
	if (!attr->prog_load.insn_cnt || attr->prog_load.insn_cnt > PROG_INSNS_MAX)
		return -E2BIG;
	err = load_attach_btf(l);
	if (err)
		return err;
	if (prog_check_load_attach(type, p->expected_attach_type,
				   l->vmlinux.fd >= 0 || attr->prog_load.attach_btf_id,
				   attr->prog_load.attach_btf_id))
		return -EINVAL;
	err = load_insns(l);
	if (err)
		return err;
	if (attr->prog_load.signature) {
		err = load_signature(attr);
		if (err)
			return err;
	}
	if (attr->prog_load.prog_ifindex) /* no device takes programs here */
		return -EINVAL;
	if (!type_exists(type))
		return -EINVAL;
	return sys_check_name(p->name, attr->prog_load.prog_name);
}

static int load_fd_array(struct prog_load *l)
{
	const union sys_attr *attr = l->attr;
	struct vm_log none = {0};
	struct btf_ref ref;
	uint32_t i;
	int32_t fd;
	int err;

	if (attr->prog_load.fd_array_cnt >= UINT32_MAX / sizeof(fd)) {
		vm_logf(&l->log.log, "fd_array_cnt is too big (%u)\n",
			attr->prog_load.fd_array_cnt);
		return -EINVAL;
	}
	for (i = 0; i < attr->prog_load.fd_array_cnt; i++) {
		if (uaccess_copy(&fd, uaccess_at(sys_ptr(attr->prog_load.fd_array), i * sizeof(fd)),
				 sizeof(fd)))
			return -EFAULT;
		err = prog_maps_add(&l->maps, fd, &none);
		if (err >= 0)
			continue;
		if (err == -EINVAL && !sys_btf_open_fd(fd, &ref)) {
			sys_btf_close(&ref);
			continue;
		}
		if (err == -EBADF || err == -EINVAL)
			vm_logf(&l->log.log, "fd %d is not pointing to valid bpf_map or btf\n", fd);
		return err;
	}
	return 0;
}

/* The caller learns which record size is known. */
static int tell_record_size(const uint32_t *user, uint32_t known)
{
	return uaccess_copy((void *)user, &known, sizeof(known)) ? -EFAULT : -E2BIG;
}

static bool record_size_ok(uint32_t size, uint32_t least)
{
	return size >= least && size <= 252 && size % sizeof(uint32_t) == 0;
}

/*
 * The kernel looks at a record when it has copied it, before it copies the next: so what is
 * wrong with the records before a fault is reported first. More records than
 * instructions are wrong in any case and not all copied.
 */
static int load_func_info(struct prog_load *l)
{
	const union sys_attr *attr = l->attr;
	uint32_t size = attr->prog_load.func_info_rec_size, cnt = attr->prog_load.func_info_cnt;
	struct vm_prog *p = l->p;
	struct prog_records r;
	int err, copy_err;

	if (!cnt)
		return 0;
	if (!record_size_ok(size, PROG_FUNC_REC)) {
		vm_logf(&l->log.log, "invalid func info rec size %u\n", size);
		return -EINVAL;
	}
	if (cnt > p->insn_cnt)
		cnt = p->insn_cnt + 1;
	copy_err =
		prog_copy_records(&r, sys_ptr(attr->prog_load.func_info), cnt, size, PROG_FUNC_REC);
	p->func_info = r.data;
	p->func_info_cnt = r.cnt;
	p->func_info_rec_size = PROG_FUNC_REC;
	err = prog_check_func_types(p, &l->log.log);
	if (err || !copy_err)
		return err ? err : prog_check_func_layout(p, &l->log.log);
	if (copy_err != -E2BIG)
		return copy_err;
	vm_logf(&l->log.log, "nonzero tailing record in func info");
	return tell_record_size(sys_field(l->uattr, prog_load.func_info_rec_size), PROG_FUNC_REC);
}

static int load_line_info(struct prog_load *l)
{
	const union sys_attr *attr = l->attr;
	uint32_t size = attr->prog_load.line_info_rec_size, cnt = attr->prog_load.line_info_cnt;
	struct vm_prog *p = l->p;
	struct prog_records r;
	int err, copy_err;

	if (!cnt)
		return 0;
	if (cnt > INT32_MAX / PROG_LINE_REC || !record_size_ok(size, PROG_LINE_REC))
		return -EINVAL;
	if (cnt > p->insn_cnt)
		cnt = p->insn_cnt + 1;
	copy_err =
		prog_copy_records(&r, sys_ptr(attr->prog_load.line_info), cnt, size, PROG_LINE_REC);
	p->line_info = r.data;
	p->line_info_cnt = r.cnt;
	p->line_info_rec_size = PROG_LINE_REC;
	err = prog_check_lines(p, !copy_err, &l->log.log);
	if (err || !copy_err)
		return err;
	if (copy_err != -E2BIG)
		return copy_err;
	vm_logf(&l->log.log, "nonzero tailing record in line_info");
	return tell_record_size(sys_field(l->uattr, prog_load.line_info_rec_size), PROG_LINE_REC);
}

/* prog_btf_fd is looked at only when there are records. */
static int load_records(struct prog_load *l)
{
	const union sys_attr *attr = l->attr;
	int err;

	if (!attr->prog_load.func_info_cnt && !attr->prog_load.line_info_cnt)
		return 0;
	err = sys_btf_open_fd(attr->prog_load.prog_btf_fd, &l->btf);
	if (err)
		return err;
	if (l->btf.kernel)
		return -EACCES;
	l->p->btf = l->btf.btf;
	l->btf.btf = NULL;
	err = load_func_info(l);
	if (!err)
		err = load_line_info(l);
	/* libbpf's light skeletons only: relocations that the kernel would make */
	if (!err && attr->prog_load.core_relo_cnt) {
		vm_logf(&l->log.log, "CO-RE relocations are the loader's work\n");
		err = -EINVAL;
	}
	return err;
}

static bool is_index_form(uint8_t src)
{
	return src == BPF_PSEUDO_MAP_IDX || src == BPF_PSEUDO_MAP_IDX_VALUE;
}

/* One 16-byte load that names a map: its fd becomes the index into maps[]. */
static int resolve_load(struct prog_load *l, struct bpf_insn *insn)
{
	struct vm_log *log = &l->log.log;
	bool value =
		insn->src_reg == BPF_PSEUDO_MAP_VALUE || insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
	int32_t fd = insn->imm;
	int index, err;

	if (insn->src_reg > BPF_PSEUDO_MAP_IDX_VALUE || (!value && insn[1].imm)) {
		vm_logf(log, "unrecognized bpf_ld_imm64 insn\n");
		return -EINVAL;
	}
	if (is_index_form(insn->src_reg)) {
		const int32_t *fds = sys_ptr(l->attr->prog_load.fd_array);

		if (!fds) {
			vm_logf(log, "fd_idx without fd_array is invalid\n");
			return -EPROTO;
		}
		if (uaccess_copy(&fd, uaccess_at(fds, (size_t)insn->imm * sizeof(fd)), sizeof(fd)))
			return -EFAULT;
	}
	index = prog_maps_add(&l->maps, fd, log);
	if (index < 0)
		return index;
	if (l->maps.maps[index]->ops->needs_jit) {
		vm_logf(log, "JIT is required to use %s\n", l->maps.maps[index]->ops->name);
		return -EOPNOTSUPP;
	}
	if (l->p->sleepable && l->maps.maps[index]->ops->not_sleepable) {
		vm_logf(log, "Sleepable programs can only use array, hash, ringbuf and local "
			     "storage maps\n");
		return -EINVAL;
	}
	if (value) {
		err = prog_map_value_check(l->maps.maps[index], insn[1].imm, log);
		if (err)
			return err;
	}
	insn->src_reg = value ? BPF_PSEUDO_MAP_VALUE : BPF_PSEUDO_MAP_FD;
	insn->imm = index;
	return 0;
}

static int load_resolve_maps(struct prog_load *l)
{
	struct vm_prog *p = l->p;
	struct bpf_insn *insn;
	uint32_t i;
	int err;

	for (i = 0; i < p->insn_cnt; i++) {
		insn = &p->insns[i];
		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (i + 1 == p->insn_cnt || insn[1].code || insn[1].dst_reg || insn[1].src_reg ||
		    insn[1].off) {
			vm_logf(&l->log.log, "invalid bpf_ld_imm64 insn\n");
			return -EINVAL;
		}
		if (insn->off) {
			vm_logf(&l->log.log, "uses reserved fields\n");
			return -EINVAL;
		}
		i++;
		if (!insn->src_reg || insn->src_reg == BPF_PSEUDO_FUNC ||
		    insn->src_reg == BPF_PSEUDO_BTF_ID)
			continue; /* the verifier's */
		err = resolve_load(l, insn);
		if (err)
			return err;
	}
	return prog_maps_give(&l->maps, p);
}

static int load_before_verify(struct prog_load *l)
{
	int err = load_fd_array(l);

	if (!err)
		err = load_records(l);
	if (err)
		return err;
	/* over the user's own form of the map references */
	vm_prog_tag(l->p, l->p->tag);
	err = load_resolve_maps(l);
	return err ? err : prog_check_target(l->p, &l->log.log);
}

/* Writes p's three parts one after the other. */
static uint8_t *put_parts(uint8_t *to, const struct vm_prog *p)
{
	const size_t insns = (size_t)p->insn_cnt * sizeof(p->insns[0]);
	const size_t funcs = (size_t)p->func_info_cnt * PROG_FUNC_REC;
	const size_t lines = (size_t)p->line_info_cnt * PROG_LINE_REC;

	memcpy(to, p->insns, insns);
	if (funcs)
		memcpy(to + insns, p->func_info, funcs);
	if (lines)
		memcpy(to + insns + funcs, p->line_info, lines);
	return to + insns + funcs + lines;
}

/* The verifier changes them: who opens the program verifies what was loaded. */
static int load_keep(struct prog_load *l)
{
	l->before.insn_cnt = l->p->insn_cnt;
	l->before.func_info_cnt = l->p->func_info_cnt;
	l->before.line_info_cnt = l->p->line_info_cnt;
	l->data = malloc(prog_data_size(&l->before));
	if (!l->data)
		return -ENOMEM;
	put_parts(l->data, l->p);
	return 0;
}

static int load_verify(struct prog_load *l)
{
	int err = load_before_verify(l);

	if (!err) {
		err = load_keep(l);
		return err ? err : vm_verify(l->p, &l->log.log);
	}
	/* the log ends as after a verification that did not begin */
	vm_logf(&l->log.log,
		"processed 0 insns (limit %u) max_states_per_insn 0 total_states 0 "
		"peak_states 0 mark_read 0\n",
		PROG_INSNS_MAX);
	return err;
}

/* Prog arrays take programs of one sort; a program that uses one is of that sort. */
static int load_adopt(struct prog_load *l)
{
	const struct vm_prog *p = l->p;
	uint64_t owner = prog_owner(p->type, p->expected_attach_type, l->attr->prog_load.prog_flags,
				    p->attach_btf_id);
	int err = 0;

	for (uint32_t i = 0; !err && i < p->map_cnt; i++) {
		struct map *m = p->maps[i];

		if (m->ops->objref && m->ops->objref->adopt)
			err = m->ops->objref->adopt(m, owner);
	}
	return err;
}

/* ---- the file ---- */

static void fill_body(const struct prog_load *l, struct prog_body *body)
{
	const struct vm_prog *p = l->p;

	body->type = p->type;
	body->expected_attach_type = p->expected_attach_type;
	body->flags = l->attr->prog_load.prog_flags;
	body->attach_btf_id = p->attach_btf_id;
	body->attach_btf_obj_id = l->vmlinux.id;
	body->btf_id = l->btf.id;
	body->insn_cnt = l->before.insn_cnt;
	body->func_info_cnt = l->before.func_info_cnt;
	body->line_info_cnt = l->before.line_info_cnt;
	body->xlated_insn_cnt = p->insn_cnt;
	body->xlated_func_info_cnt = p->func_info_cnt;
	body->xlated_line_info_cnt = p->line_info_cnt;
	body->used_map_cnt = p->map_cnt;
	body->verified_insns = p->verified_insns;
	body->gpl_compatible = p->gpl_compatible;
	memcpy(body->name, p->name, sizeof(body->name));
	memcpy(body->tag, p->tag, sizeof(body->tag));
	memcpy(body->attach_func, p->attach_func, sizeof(body->attach_func));
	memcpy(body->license, l->license, sizeof(body->license));
	body->shared.map_cnt = p->map_cnt;
	memcpy(body->shared.map_ids, p->map_ids, p->map_cnt * sizeof(p->map_ids[0]));
}

/* *obj says which it is; it is not mapped. */
static int load_publish(struct prog_load *l, struct object *obj)
{
	const struct vm_prog *p = l->p;
	const size_t data = prog_data_size(&l->before);
	size_t size = data + (size_t)p->insn_cnt * sizeof(p->insns[0]) +
		      (size_t)p->func_info_cnt * PROG_FUNC_REC +
		      (size_t)p->line_info_cnt * PROG_LINE_REC;
	uint8_t *bytes = calloc(1, object_file_size(size));
	struct object_trailer *t;
	int fds[PROG_USED_MAPS_MAX + 2];
	struct objfd_refs refs = {.fds = fds};
	int fd;

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, l->data, data);
	put_parts(bytes + data, p);
	t = (struct object_trailer *)(bytes + object_file_size(size) - OBJECT_TRAILER_SIZE);
	fill_body(l, (struct prog_body *)t->body);

	memcpy(fds, l->maps.fds, l->maps.cnt * sizeof(fds[0]));
	refs.cnt = l->maps.cnt;
	if (l->btf.fd >= 0)
		fds[refs.cnt++] = l->btf.fd;
	if (l->vmlinux.fd >= 0)
		fds[refs.cnt++] = l->vmlinux.fd;
	fd = objfd_publish_written(OBJECT_PROG, size, bytes, &refs, obj);
	free(bytes);
	return fd;
}

static long load_run(struct prog_load *l, unsigned int size)
{
	const union sys_attr *attr = l->attr;
	uint32_t true_size;
	uint64_t noted;
	int err, log_err, fd;
	struct sys_prog *sp = calloc(1, sizeof(*sp));

	if (!sp)
		return -ENOMEM;
	l->p = &sp->vm;
	err = load_check_attr(l);
	if (err)
		return err;
	err = sys_log_init(&l->log, attr->prog_load.log_level, sys_ptr(attr->prog_load.log_buf),
			   attr->prog_load.log_size);
	if (err)
		return err;
	err = load_verify(l);
	log_err = sys_log_finish(&l->log, &true_size);
	if (log_err)
		err = log_err;
	if (size >= offsetof(union sys_attr, prog_load.prog_token_fd) &&
	    uaccess_copy(sys_field(l->uattr, prog_load.log_true_size), &true_size,
			 sizeof(true_size)))
		err = -EFAULT;
	if (!err)
		err = load_adopt(l);
	/* only programs that stay need the object that stands for the kernel's BTF */
	if (!err && l->p->attach_btf_id && l->vmlinux.fd < 0)
		err = sys_btf_open_vmlinux(&l->vmlinux);
	if (err)
		return err;
	noted = prog_cache_note();
	fd = load_publish(l, &sp->obj);
	/* whoever runs it through this fd need not verify it once more */
	if (fd >= 0) {
		fd_install_object(fd, OBJECT_PROG, sp->obj.id);
		prog_cache_keep(fd, l->p, noted);
		l->p = NULL;
	}
	return fd;
}

long sys_cmd_prog_load(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	struct prog_load *l = calloc(1, sizeof(*l));
	long ret;

	if (!l)
		return -ENOMEM;
	l->attr = attr;
	l->uattr = uattr;
	l->btf.fd = -1;
	l->vmlinux.fd = -1;
	ret = load_run(l, size);
	load_free(l);
	free(l);
	return ret;
}
