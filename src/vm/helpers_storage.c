/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The current task as a pointer, and the local storages' helpers.
 *
 * There is no struct task_struct in user space. bpf_get_current_task_btf() returns the
 * address of an image of one: memory of the size and layout that the kernel's BTF says,
 * in which pid, tgid, comm, group_leader and cgroups are those of the task that the
 * run is about, and all else is zero. group_leader leads to an image of the leader,
 * cgroups->dfl_cgrp to one of the cgroup. As an argument of a helper such an
 * address stands for what it is the image of, and any other address for nothing.
 *
 * A run's image belongs to its lease: one per virtual CPU and process, made at the first
 * use and kept, so that it is there for whoever reads a stale pointer.
 */
#include "vm/helpers.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <bpf/btf.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "btf/btf.h"
#include "map/change.h"
#include "map/storage.h"
#include "sync/lease.h"
#include "vm/packet.h"
#include "vm/task_image.h"

static struct {
	uint32_t task_id, task_size, set_size;
	uint32_t pid, tgid, comm, leader, cgroups; /* of task_struct */
	uint32_t dfl_cgrp;			   /* of css_set */
	uint32_t ready;
} layout;

static uint8_t *images[LEASE_CPUS_MAX];

#define IMAGE_ALIGN 64
#define CGROUP_SIZE SHMAP_PAGE /* struct cgroup is about 3 KiB: its image is all zeros */

static bool member_offset(const struct btf *btf, uint32_t id, const char *name, uint32_t *off)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	const struct btf_member *m = btf_members(t);

	for (uint32_t i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, m[i].name_off), name)) {
			*off = btf_member_bit_offset(t, i) / 8;
			return true;
		}
	return false;
}

uint32_t task_image_btf_id(void)
{
	const struct btf *btf;
	int task, set;

	if (load_acquire(&layout.ready))
		return layout.task_id;
	btf = btf_vmlinux();
	task = btf ? btf__find_by_name_kind(btf, "task_struct", BTF_KIND_STRUCT) : -1;
	set = btf ? btf__find_by_name_kind(btf, "css_set", BTF_KIND_STRUCT) : -1;
	if (task <= 0 || set <= 0)
		return 0;
	/* Two threads at once store the same. */
	if (!member_offset(btf, task, "pid", &layout.pid) ||
	    !member_offset(btf, task, "tgid", &layout.tgid) ||
	    !member_offset(btf, task, "comm", &layout.comm) ||
	    !member_offset(btf, task, "group_leader", &layout.leader) ||
	    !member_offset(btf, task, "cgroups", &layout.cgroups) ||
	    !member_offset(btf, set, "dfl_cgrp", &layout.dfl_cgrp))
		return 0;
	layout.task_size = round_up_u64(btf__type_by_id(btf, task)->size, IMAGE_ALIGN);
	layout.set_size = round_up_u64(btf__type_by_id(btf, set)->size, IMAGE_ALIGN);
	layout.task_id = task;
	store_release(&layout.ready, 1);
	return layout.task_id;
}

static uint8_t *image_leader(uint8_t *task)
{
	return task + layout.task_size;
}

static uint8_t *image_set(uint8_t *task)
{
	return task + 2 * (size_t)layout.task_size;
}

static uint8_t *image_cgroup(uint8_t *task)
{
	return image_set(task) + layout.set_size;
}

/* Behind the images: which cgroup that is, once the run has asked for it. */
static struct storage_owner *image_known(uint8_t *task)
{
	return (struct storage_owner *)(image_cgroup(task) + CGROUP_SIZE);
}

static void put_ptr(uint8_t *at, const void *p)
{
	uint64_t v = (uintptr_t)p;

	memcpy(at, &v, sizeof(v));
}

static uint8_t *image_of_cpu(int cpu)
{
	size_t size;
	uint8_t *task, *none = NULL;

	if (cpu < 0 || !task_image_btf_id())
		return NULL;
	task = load_acquire(&images[cpu]);
	if (likely(task))
		return task;
	size = 2 * (size_t)layout.task_size + layout.set_size + CGROUP_SIZE +
	       sizeof(struct storage_owner);
	task = raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(task))
		return NULL;
	put_ptr(task + layout.cgroups, image_set(task));
	put_ptr(image_leader(task) + layout.cgroups, image_set(task));
	put_ptr(image_leader(task) + layout.leader, image_leader(task));
	put_ptr(image_set(task) + layout.dfl_cgrp, image_cgroup(task));
	if (!cas_seq_cst(&images[cpu], &none, task)) {
		raw_munmap(task, size);
		return none;
	}
	return task;
}

/* Under a lease: the thread is known. */
static uint32_t current_tid(const struct vm_context *vc)
{
	return vc->env->pid ? vc->env->pid : thread_self.tid;
}

/* The image of this run's task, filled at the first call. */
static uint8_t *current_image(struct vm_context *vc)
{
	uint8_t *task = vc->task;
	uint32_t pid, tgid;

	if (likely(task))
		return task;
	task = image_of_cpu(lease_cpu());
	if (!task)
		return NULL;
	image_known(task)->number[1] = 0;
	pid = current_tid(vc);
	tgid = vc->env->pid ? vc->env->tgid : thread_self.pid;
	memcpy(task + layout.pid, &pid, sizeof(pid));
	memcpy(task + layout.tgid, &tgid, sizeof(tgid));
	helper_get_current_comm((uintptr_t)(task + layout.comm), 16, 0, 0, 0, vc);
	put_ptr(task + layout.leader, pid == tgid ? task : image_leader(task));
	memcpy(image_leader(task) + layout.pid, &tgid, sizeof(tgid));
	memcpy(image_leader(task) + layout.tgid, &tgid, sizeof(tgid));
	vc->task = task;
	return task;
}

HELPER(get_current_task_btf)
{
	return (uintptr_t)current_image(vc);
}

/* Its scalar twin: for bpf_probe_read_kernel() of the same fields. */
HELPER(get_current_task)
{
	return (uintptr_t)current_image(vc);
}

static int current_owner(struct vm_context *vc, struct storage_owner *o)
{
	const struct vm_env *env = vc->env;
	int err;

	if (!env->pid)
		return storage_owner_self(o);
	if (env->start && *env->start) {
		*o = (struct storage_owner){.number = {env->pid, *env->start}};
		return 0;
	}
	err = storage_owner_task(env->pid, o);
	if (!err && env->start)
		*env->start = o->number[1];
	return err;
}

static int task_owner(struct vm_context *vc, uint64_t ptr, struct storage_owner *o)
{
	uint8_t *task = vc->task;
	uint32_t tgid;

	if (!ptr || !task)
		return -EINVAL;
	if (ptr == (uintptr_t)task)
		return current_owner(vc, o);
	if (ptr != (uintptr_t)image_leader(task))
		return -EINVAL;
	memcpy(&tgid, task + layout.tgid, sizeof(tgid));
	return storage_owner_task(tgid, o);
}

static int cgroup_owner(struct vm_context *vc, uint64_t ptr, struct storage_owner *o)
{
	struct storage_owner *known = vc->env->cgroup;
	int err = 0;

	if (!ptr || !vc->task || ptr != (uintptr_t)image_cgroup(vc->task))
		return -EINVAL;
	/* the pointer that the program has loaded stands for one cgroup until the run ends */
	if (!known)
		known = image_known(vc->task);
	if (!known->number[1])
		err = storage_owner_cgroup(current_tid(vc), known);
	*o = *known;
	return err;
}

static int sock_owner(struct vm_context *vc, uint64_t ptr, struct storage_owner *o)
{
	if (!ptr || !vc->env->sock || ptr != (uintptr_t)vc->env->sock)
		return -EINVAL;
	*o = vc->env->sock->owner;
	return 0;
}

/* A map that is locked or listened to: making an element is a change. */
static void *hooked_get(struct map *m, struct storage_owner *o, void *init, uint64_t flags,
			struct htab_at *at)
{
	const uint64_t create = BPF_LOCAL_STORAGE_GET_F_CREATE;
	void *value = m->ops->storage->get(m, o, NULL, flags & ~create, at);

	if (value || !(flags & create) || change_by_program(m))
		return value;
	value = m->ops->storage->get(m, o, init, flags, at);
	if (value && load_relaxed(&m->shared->hooks) & MAP_WATCHED)
		change_noted(m, MAP_CHANGE_UPDATE, NULL, 1);
	return value;
}

typedef int (*owner_fn)(struct vm_context *vc, uint64_t ptr, struct storage_owner *o);

static __attribute__((noinline)) uint64_t find(struct vm_context *vc, struct map *m, uint64_t ptr,
					       void *init, uint64_t flags, owner_fn owner_of)
{
	struct vm_found *f = &vc->found;
	struct storage_owner o;

	f->map = NULL;
	if (owner_of(vc, ptr, &o))
		return 0;
	f->value = unlikely(load_relaxed(&m->shared->hooks))
			   ? hooked_get(m, &o, init, flags, &f->at)
			   : m->ops->storage->get(m, &o, init, flags, &f->at);
	if (f->value && f->at.where) {
		f->map = m;
		f->owner = ptr;
	}
	return (uintptr_t)f->value;
}

#define STORAGE_HELPERS(name, owner_of)                                                            \
	HELPER(name##_get)                                                                         \
	{                                                                                          \
		const struct vm_found *f = &vc->found;                                             \
                                                                                                   \
		if (likely(f->map == PTR(a) && f->owner == b &&                                    \
			   d <= BPF_LOCAL_STORAGE_GET_F_CREATE &&                                  \
			   load_acquire(f->at.where) == f->at.link))                               \
			return (uintptr_t)f->value;                                                \
		return find(vc, PTR(a), b, PTR(c), d, owner_of);                                   \
	}                                                                                          \
	HELPER(name##_delete)                                                                      \
	{                                                                                          \
		struct map *m = PTR(a);                                                            \
		struct storage_owner o;                                                            \
		int err = owner_of(vc, b, &o);                                                     \
                                                                                                   \
		if (!err)                                                                          \
			err = change_by_program(m);                                                \
		if (!err)                                                                          \
			err = m->ops->storage->drop(m, &o);                                        \
		if (!err && unlikely(load_relaxed(&m->shared->hooks) & MAP_WATCHED))               \
			change_noted(m, MAP_CHANGE_DELETE, NULL, 1);                               \
		return ERR(err);                                                                   \
	}

STORAGE_HELPERS(task_storage, task_owner)
STORAGE_HELPERS(cgrp_storage, cgroup_owner)
STORAGE_HELPERS(sk_storage, sock_owner)

/* The socket of a test run is a full one. */
HELPER(sk_fullsock)
{
	return a;
}
