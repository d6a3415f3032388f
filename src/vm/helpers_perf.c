/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers that write to perf events, and those that walk stacks. */
#include <string.h>
#include <linux/bpf.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/change.h"
#include "map/perf.h"
#include "map/stack_trace.h"
#include "vm/helpers.h"

/* ---- perf events ---- */

static bool has_packet(const struct vm_prog *p)
{
	switch (p->type) {
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
	case BPF_PROG_TYPE_XDP:
		return true;
	}
	return false;
}

/* For programs on packets, the flags' upper half says how much of the packet follows. */
HELPER(perf_event_output)
{
	struct perf_part parts[2] = {{PTR(d), e}, {0}};
	const struct vm_env *env = vc->env;
	struct map *m = PTR(b);
	uint64_t flags = c, known = BPF_F_INDEX_MASK;

	if (has_packet(vc->prog)) {
		known |= BPF_F_CTXLEN_MASK;
		parts[1].size = (flags & BPF_F_CTXLEN_MASK) >> 32;
		parts[1].data = env->pkt;
	}
	if (unlikely(flags & ~known))
		return ERR(-EINVAL);
	if (unlikely(parts[1].size >
		     (uint64_t)((env->pkt_last ? env->pkt_last : env->pkt_end) - env->pkt)))
		return ERR(-EFAULT);
	if (unlikely(!m->ops->perf))
		return ERR(-ENOTSUPP);
	return ERR(m->ops->perf->output(m, flags & BPF_F_INDEX_MASK, parts, parts[1].size ? 2 : 1));
}

static long read_event(struct map *m, uint64_t flags, uint64_t out[3])
{
	if (flags & ~BPF_F_INDEX_MASK)
		return -EINVAL;
	return m->ops->perf ? m->ops->perf->read(m, flags, out) : -ENOTSUPP;
}

HELPER(perf_event_read)
{
	uint64_t out[3];
	long err = read_event(PTR(a), b, out);

	return err ? ERR(err) : out[0];
}

HELPER(perf_event_read_value)
{
	uint64_t out[3];
	long err = -EINVAL;

	if (d == sizeof(struct bpf_perf_event_value))
		err = read_event(PTR(a), b, out);
	if (err)
		memset(PTR(c), 0, d);
	else
		memcpy(PTR(c), out, sizeof(out));
	return ERR(err);
}

/* ---- stacks ---- */

/* struct bpf_stack_build_id, as the kernel lays it out */
struct build_id_frame {
	int32_t status;
	uint8_t build_id[20];
	uint64_t offset; /* or the address, when there is no build id */
};

_Static_assert(sizeof(struct build_id_frame) == STACK_BUILD_ID_SIZE, "struct bpf_stack_build_id");

#define DEPTH_LOCAL STACK_DEPTH_MAX

struct walk {
	struct vm_context *vc;
	uint64_t ip, fp;
	bool first, ended;
};

/* Only the traced thread's own stack can be had: there is no kernel one here. */
static int walk_begin(struct walk *w, struct vm_context *vc)
{
	const struct vm_env *env = vc->env;

	*w = (struct walk){.vc = vc, .first = true};
	if (!env->user_regs || !env->read_user)
		return -EFAULT;
	return env->user_regs(env, &w->ip, &w->fp) ? -EFAULT : 0;
}

/* The next address; false at the end. As the kernel: by frame pointers. */
static bool walk_next(struct walk *w, uint64_t *ip)
{
	const struct vm_env *env = w->vc->env;
	uint64_t frame[2]; /* the caller's frame, the return address */

	if (w->ended)
		return false;
	if (w->first) {
		w->first = false;
		*ip = w->ip;
		return true;
	}
	if (!w->fp || env->read_user(env, frame, w->fp, sizeof(frame))) {
		w->ended = true;
		return false;
	}
	*ip = frame[1];
	w->fp = frame[0];
	return true;
}

/* At most max addresses behind the first skip ones. *total: with the skipped. */
static uint32_t walk(struct walk *w, uint64_t *ips, uint32_t max, uint32_t skip, uint32_t *total)
{
	uint32_t limit = stack_max_depth(), n = 0;
	uint64_t ip;

	if (limit > max + skip)
		limit = max + skip;
	for (*total = 0; *total < limit && walk_next(w, &ip); ++*total)
		if (*total >= skip)
			ips[n++] = ip;
	return n;
}

static void build_id_frames(struct vm_context *vc, const uint64_t *ips, uint32_t nr, uint8_t *out)
{
	const struct vm_env *env = vc->env;

	for (uint32_t i = 0; i < nr; i++, out += sizeof(struct build_id_frame)) {
		struct build_id_frame f = {.status = BPF_STACK_BUILD_ID_VALID};

		if (!env->build_id || env->build_id(env, ips[i], f.build_id, &f.offset))
			f = (struct build_id_frame){.status = BPF_STACK_BUILD_ID_IP,
						    .offset = ips[i]};
		memcpy(out, &f, sizeof(f));
	}
}

#define STACKID_FLAGS                                                                              \
	(BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP | BPF_F_REUSE_STACKID)

HELPER(get_stackid)
{
	uint8_t frames[DEPTH_LOCAL * STACK_BUILD_ID_SIZE];
	uint32_t skip = c & BPF_F_SKIP_FIELD_MASK, max, nr, total;
	uint64_t ips[DEPTH_LOCAL];
	struct map *m = PTR(b);
	struct walk w;
	long id;
	int err;

	if (c & ~(uint64_t)STACKID_FLAGS)
		return ERR(-EINVAL);
	if (!m->ops->stack)
		return ERR(-ENOTSUPP);
	err = c & BPF_F_USER_STACK ? walk_begin(&w, vc) : -EFAULT;
	if (err)
		return ERR(err);
	max = m->ops->stack->frames(m);
	nr = walk(&w, ips, max < DEPTH_LOCAL ? max : DEPTH_LOCAL, skip, &total);
	if (!nr)
		return ERR(-EFAULT);
	if (change_by_program(m))
		return ERR(-EBUSY);
	if (m->ops->stack->build_id(m))
		build_id_frames(vc, ips, nr, frames);
	id = m->ops->stack->put(m, ips, m->ops->stack->build_id(m) ? (void *)frames : ips, nr, c);
	if (unlikely(load_relaxed(&m->shared->hooks) & MAP_WATCHED) && id >= 0)
		change_noted(m, MAP_CHANGE_UPDATE, NULL, 1);
	return ERR(id);
}

#define STACK_FLAGS (BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_USER_BUILD_ID)

/* The number of bytes, or -errno; what is behind them is cleared. */
static long get_stack(struct vm_context *vc, uint8_t *out, uint32_t size, uint64_t flags)
{
	uint32_t elem = flags & BPF_F_USER_BUILD_ID ? STACK_BUILD_ID_SIZE : sizeof(uint64_t);
	uint32_t skip = flags & BPF_F_SKIP_FIELD_MASK, max = size / elem, nr, total;
	uint64_t ips[DEPTH_LOCAL];
	struct walk w;
	int err;

	if (flags & ~(uint64_t)STACK_FLAGS ||
	    (flags & BPF_F_USER_BUILD_ID && !(flags & BPF_F_USER_STACK)) || size % elem)
		return -EINVAL;
	err = flags & BPF_F_USER_STACK ? walk_begin(&w, vc) : -EFAULT;
	if (err)
		return err;
	nr = walk(&w, ips, max < DEPTH_LOCAL ? max : DEPTH_LOCAL, skip, &total);
	if (total < skip)
		return -EFAULT;
	if (flags & BPF_F_USER_BUILD_ID)
		build_id_frames(vc, ips, nr, out);
	else
		memcpy(out, ips, nr * sizeof(ips[0]));
	return (long)nr * elem;
}

HELPER(get_stack)
{
	uint32_t size = (uint32_t)c;
	long n = get_stack(vc, PTR(b), size, d);

	memset((uint8_t *)PTR(b) + (n > 0 ? n : 0), 0, size - (n > 0 ? n : 0));
	return ERR(n);
}
