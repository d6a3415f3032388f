// SPDX-License-Identifier: BSD-2-Clause
/*
 * Program objects: opening, their maps, their statistics.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <bpf/btf.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "btf/btf.h"
#include "map/map.h"
#include "map/objref.h"
#include "sync/lock.h"
#include "sys/btf_obj.h"
#include "sys/fd.h"
#include "sys/objfd.h"
#include "sys/prog.h"
#include "sys/sys.h"

#define VALUE_OFF_MAX (1U << 29)

static struct prog_shared *prog_shared(const struct object *obj)
{
	return &((struct prog_body *)obj->trailer->body)->shared;
}

static struct sys_prog *to_sys_prog(struct vm_prog *p)
{
	return container_of(p, struct sys_prog, vm);
}

/* ---- maps ---- */

int prog_maps_add_id(struct prog_maps *pm, uint32_t id)
{
	uint32_t i = pm->cnt;
	int err;

	if (i == PROG_USED_MAPS_MAX)
		return -E2BIG;
	/* Not the caller's fd: a program may write where a read-only fd may not. */
	pm->fds[i] = object_open_id(OBJECT_MAP, id, O_RDWR);
	if (pm->fds[i] < 0)
		return pm->fds[i];
	err = map_open(pm->fds[i], &pm->maps[i]);
	if (err) {
		raw_close(pm->fds[i]);
		return err;
	}
	pm->ids[i] = id;
	pm->cnt++;
	return i;
}

int prog_maps_add(struct prog_maps *pm, int fd, struct vm_log *log)
{
	uint32_t id, i;
	int err = objfd_id(fd, OBJECT_MAP, &id);

	if (!err) {
		for (i = 0; i < pm->cnt; i++)
			if (pm->ids[i] == id)
				return i;
		if (pm->cnt == PROG_USED_MAPS_MAX) {
			vm_logf(log,
				"The total number of maps per program has reached the limit of "
				"%u\n",
				PROG_USED_MAPS_MAX);
			return -E2BIG;
		}
		err = prog_maps_add_id(pm, id);
	}
	if (err == -ENOENT)
		err = -EBADF; /* closed by another thread between the two steps */
	if (err == -EBADF || err == -EINVAL)
		vm_logf(log, "fd %d is not pointing to valid bpf_map\n", fd);
	return err;
}

int prog_maps_give(struct prog_maps *pm, struct vm_prog *p)
{
	uint32_t i;

	p->maps = calloc(pm->cnt + 1, sizeof(p->maps[0]));
	p->map_ids = calloc(pm->cnt + 1, sizeof(p->map_ids[0]));
	if (!p->maps || !p->map_ids)
		return -ENOMEM;
	for (i = 0; i < pm->cnt; i++) {
		p->maps[i] = pm->maps[i];
		p->map_ids[i] = pm->ids[i];
		pm->maps[i] = NULL;
	}
	p->map_cnt = pm->cnt;
	return 0;
}

void prog_maps_close(struct prog_maps *pm)
{
	uint32_t i;

	for (i = 0; i < pm->cnt; i++) {
		if (pm->maps[i])
			map_put(pm->maps[i]);
		raw_close(pm->fds[i]);
	}
	pm->cnt = 0;
}

int prog_map_value_check(struct map *m, uint32_t off, struct vm_log *log)
{
	int err = 0;

	if (!m->ops->direct_value) {
		vm_logf(log, "no direct value access support for this map type\n");
		return -EINVAL;
	}
	if (off >= VALUE_OFF_MAX) {
		vm_logf(log, "direct value offset of %u is not allowed\n", off);
		return -EINVAL;
	}
	if (m->attr.max_entries != 1)
		err = -ENOTSUPP;
	else if (off >= m->attr.value_size)
		err = -EINVAL;
	if (err)
		vm_logf(log, "invalid access to map value pointer, value_size=%u off=%u\n",
			m->attr.value_size, off);
	return err;
}

/* ---- opening ---- */

static uint64_t parts_size(uint32_t insns, uint32_t funcs, uint32_t lines)
{
	return (uint64_t)insns * sizeof(struct bpf_insn) + (uint64_t)funcs * PROG_FUNC_REC +
	       (uint64_t)lines * PROG_LINE_REC;
}

uint64_t prog_data_size(const struct prog_body *body)
{
	return parts_size(body->insn_cnt, body->func_info_cnt, body->line_info_cnt);
}

int prog_read_body(const struct object *obj, struct prog_body *body)
{
	uint64_t need;

	if (obj->kind != OBJECT_PROG)
		return -EINVAL;
	if (uaccess_copy(body, obj->trailer->body, sizeof(*body)))
		return -EFAULT;
	if (!body->insn_cnt || body->insn_cnt > PROG_INSNS_MAX ||
	    body->func_info_cnt > body->insn_cnt || body->line_info_cnt > body->insn_cnt ||
	    body->used_map_cnt > PROG_USED_MAPS_MAX)
		return -EPROTO;
	if (!body->xlated_insn_cnt || body->xlated_insn_cnt > body->insn_cnt ||
	    body->xlated_func_info_cnt > body->func_info_cnt ||
	    body->xlated_line_info_cnt > body->line_info_cnt)
		return -EPROTO;
	need = prog_data_size(body) + parts_size(body->xlated_insn_cnt, body->xlated_func_info_cnt,
						 body->xlated_line_info_cnt);
	if (need > obj->size - OBJECT_TRAILER_SIZE)
		return -EPROTO;
	body->name[SYS_NAME_LEN - 1] = '\0';
	body->attach_func[sizeof(body->attach_func) - 1] = '\0';
	body->license[PROG_LICENSE_LEN - 1] = '\0';
	/* pairs with the store that binds a map: the ids below it are there */
	body->shared.map_cnt = load_acquire(&prog_shared(obj)->map_cnt);
	if (body->shared.map_cnt > PROG_BOUND_MAPS_MAX || body->shared.map_cnt < body->used_map_cnt)
		return -EPROTO;
	return 0;
}

static void *copy_file_part(const struct object *obj, uint64_t from, uint64_t n)
{
	void *p = malloc(n ? n : 1);

	if (p && uaccess_copy(p, obj->base + from, n)) {
		free(p);
		return NULL;
	}
	return p;
}

/* The private copy of data and body; what the verifier relies on is checked. */
static int prog_copy(struct vm_prog *p, const struct object *obj, const struct prog_body *body)
{
	uint64_t funcs = (uint64_t)body->insn_cnt * sizeof(struct bpf_insn);
	uint64_t lines = funcs + (uint64_t)body->func_info_cnt * PROG_FUNC_REC;

	p->type = body->type;
	p->expected_attach_type = body->expected_attach_type;
	p->attach_btf_id = body->attach_btf_id;
	memcpy(p->name, body->name, sizeof(p->name));
	memcpy(p->tag, body->tag, sizeof(p->tag));
	p->gpl_compatible = body->gpl_compatible;
	p->sleepable = body->flags & BPF_F_SLEEPABLE;
	p->insns = copy_file_part(obj, 0, funcs);
	p->func_info = copy_file_part(obj, funcs, lines - funcs);
	p->line_info = copy_file_part(obj, lines, (uint64_t)body->line_info_cnt * PROG_LINE_REC);
	if (!p->insns || !p->func_info || !p->line_info)
		return -ENOMEM;
	p->insn_cnt = body->insn_cnt;
	p->func_info_cnt = body->func_info_cnt;
	p->func_info_rec_size = PROG_FUNC_REC;
	p->line_info_cnt = body->line_info_cnt;
	p->line_info_rec_size = PROG_LINE_REC;
	return 0;
}

/* A file may hold any bytes: each map reference is checked as at its load. */
static int prog_check_map_refs(const struct vm_prog *p)
{
	struct vm_log none = {0};
	const struct bpf_insn *insn;
	uint32_t i;
	int err;

	for (i = 0; i < p->insn_cnt; i++) {
		insn = &p->insns[i];
		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (i + 1 == p->insn_cnt)
			return -EINVAL;
		i++;
		if (insn->src_reg != BPF_PSEUDO_MAP_FD && insn->src_reg != BPF_PSEUDO_MAP_VALUE)
			continue;
		if ((uint32_t)insn->imm >= p->map_cnt)
			return -EINVAL;
		if (insn->src_reg == BPF_PSEUDO_MAP_FD)
			continue;
		err = prog_map_value_check(p->maps[insn->imm], insn[1].imm, &none);
		if (err)
			return err;
	}
	return 0;
}

/* hold: the copy keeps its maps alive, else the program's own references do. */
static int prog_open_refs(struct vm_prog *p, const struct prog_body *body, bool hold)
{
	struct prog_maps pm = {.cnt = 0};
	struct btf_ref ref;
	uint32_t i;
	int err = 0;

	for (i = 0; err >= 0 && i < body->used_map_cnt; i++)
		err = prog_maps_add_id(&pm, body->shared.map_ids[i]);
	if (err >= 0)
		err = prog_maps_give(&pm, p);
	for (i = 0; !hold && i < pm.cnt; i++)
		raw_flock(pm.fds[i], LOCK_UN);
	prog_maps_close(&pm);
	if (err || !body->btf_id)
		return err;
	err = sys_btf_open(body->btf_id, &ref);
	if (err)
		return err;
	p->btf = ref.btf;
	ref.btf = NULL;
	sys_btf_close(&ref);
	return p->btf ? 0 : -EINVAL;
}

/* Takes over the mapping. */
static int prog_open_object(struct object *obj, struct vm_prog **out, bool hold, uint64_t *owner)
{
	struct sys_prog *sp = calloc(1, sizeof(*sp));
	struct vm_log none = {0};
	struct prog_body body;
	int err;

	if (!sp) {
		object_unmap(obj);
		return -ENOMEM;
	}
	sp->obj = *obj;
	err = prog_read_body(obj, &body);
	if (!err)
		err = prog_copy(&sp->vm, obj, &body);
	if (!err)
		err = prog_open_refs(&sp->vm, &body, hold);
	if (!err)
		err = prog_check_map_refs(&sp->vm);
	if (!err && sp->vm.btf)
		err = prog_check_records(&sp->vm, &none);
	if (!err)
		err = prog_check_target(&sp->vm, &none);
	if (!err)
		err = vm_verify(&sp->vm, &none);
	if (err) {
		sys_prog_put(&sp->vm);
		return err;
	}
	if (owner)
		*owner = prog_owner(body.type, body.expected_attach_type, body.flags,
				    body.attach_btf_id);
	*out = &sp->vm;
	return 0;
}

int sys_prog_open(uint32_t id, struct vm_prog **out)
{
	struct object obj;
	int err;

	fd_inside_begin();
	err = objfd_map_id(OBJECT_PROG, id, O_RDWR, &obj);
	if (!err)
		err = prog_open_object(&obj, out, true, NULL);
	fd_inside_end();
	return err;
}

int prog_open_unheld(uint32_t id, struct vm_prog **out, uint64_t *owner)
{
	struct object obj;
	int fd, err;

	fd_inside_begin();
	fd = object_open_id(OBJECT_PROG, id, O_RDWR);
	err = fd < 0 ? fd : object_map(fd, &obj);
	if (!err)
		err = prog_open_object(&obj, out, false, owner);
	if (fd >= 0) {
		/* The mapping goes on without a hold. */
		raw_flock(fd, LOCK_UN);
		raw_close(fd);
		object_collect(OBJECT_PROG, id);
	}
	fd_inside_end();
	return err;
}

uint64_t prog_owner(uint32_t type, uint32_t expected, uint32_t flags, uint32_t attach_btf_id)
{
	const struct btf *btf = attach_btf_id ? btf_vmlinux() : NULL;
	const struct btf_type *t = btf ? btf__type_by_id(btf, attach_btf_id) : NULL;

	return objref_owner_make(type, expected,
				 (flags & BPF_F_XDP_HAS_FRAGS ? OBJREF_OWNER_FRAGS : 0) |
					 (flags & BPF_F_SLEEPABLE ? OBJREF_OWNER_SLEEPABLE : 0),
				 t ? t->type : 0);
}

int sys_prog_open_fd(int fd, struct vm_prog **out)
{
	struct object obj;
	uint32_t id;
	int err = objfd_id(fd, OBJECT_PROG, &id);

	if (!err)
		err = object_map(fd, &obj);
	return err ? err : prog_open_object(&obj, out, true, NULL);
}

void sys_prog_put(struct vm_prog *p)
{
	struct object obj;

	if (!p)
		return;
	obj = to_sys_prog(p)->obj;
	vm_prog_free(p); /* frees the sys_prog, whose first member it is */
	if (!obj.base)
		return;
	object_unmap(&obj);
	/* the mapping may have been the last that held it */
	fd_inside_begin();
	object_collect(OBJECT_PROG, obj.id);
	fd_inside_end();
}

/* What was loaded here and never opened is not mapped. (Whoever has it is alone with it: a
 * command's user of prog_cache.h.) Nothing when it is gone. */
static void map_loaded(struct sys_prog *sp)
{
	struct object obj;

	fd_inside_begin();
	if (!objfd_map_id(OBJECT_PROG, sp->obj.id, O_RDWR, &obj)) {
		if (obj.dev == sp->obj.dev && obj.ino == sp->obj.ino)
			sp->obj = obj;
		else
			object_unmap(&obj);
	}
	fd_inside_end();
}

void sys_prog_account(struct vm_prog *p, uint64_t ns, bool missed)
{
	struct sys_prog *sp = to_sys_prog(p);
	struct prog_shared *shared;

	if (!sp->obj.base)
		map_loaded(sp);
	if (!sp->obj.writable)
		return;
	shared = prog_shared(&sp->obj);
	if (missed) {
		fetch_add_relaxed(&shared->recursion_misses, 1);
	} else {
		fetch_add_relaxed(&shared->run_cnt, 1);
		fetch_add_relaxed(&shared->run_time_ns, ns);
	}
}

/* ---- commands ---- */

long sys_cmd_prog_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return object_open_id(OBJECT_PROG, attr->id.prog_id, O_RDWR);
}

/*
 * Under bind_lock. The program's reference comes first and the count that shows the id last: a
 * death between them leaves a reference that goes with the program.
 */
static int bind_map_locked(const struct object *obj, struct prog_shared *shared, int map_fd,
			   uint32_t map_id)
{
	uint32_t i, cnt = load_relaxed(&shared->map_cnt);
	int err;

	if (cnt > PROG_BOUND_MAPS_MAX)
		return -EPROTO;
	for (i = 0; i < cnt; i++)
		if (load_relaxed(&shared->map_ids[i]) == map_id)
			return 0;
	if (cnt == PROG_BOUND_MAPS_MAX)
		return -ENOMEM;
	err = object_ref(OBJECT_PROG, obj->id, map_fd);
	if (err && err != -EEXIST)
		return err;
	store_relaxed(&shared->map_ids[cnt], map_id);
	/* pairs with prog_read_body() */
	store_release(&shared->map_cnt, cnt + 1);
	return 0;
}

long sys_cmd_prog_bind_map(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	uint32_t prog_id, map_id;
	struct object obj;
	int map_fd, err;

	if (attr->prog_bind_map.flags)
		return -EINVAL;
	err = objfd_id(attr->prog_bind_map.prog_fd, OBJECT_PROG, &prog_id);
	if (err)
		return err;
	map_fd = objfd_reopen(attr->prog_bind_map.map_fd, OBJECT_MAP, O_RDWR, &map_id);
	if (map_fd < 0)
		return map_fd;
	err = object_map(attr->prog_bind_map.prog_fd, &obj);
	if (!err) {
		struct prog_shared *shared = prog_shared(&obj);

		err = obj.writable ? lock_acquire(&shared->bind_lock) : -EPERM;
		/* a dead owner left nothing half done: see bind_map_locked() */
		if (err >= 0) {
			err = bind_map_locked(&obj, shared, map_fd, map_id);
			lock_release(&shared->bind_lock);
		}
		object_unmap(&obj);
	}
	raw_close(map_fd);
	return err;
}
