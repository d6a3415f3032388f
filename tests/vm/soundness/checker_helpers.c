/* SPDX-License-Identifier: BSD-2-Clause */
/* What helpers do with memory, locks and references, as far as programs see it. */
#include <inttypes.h>
#include <string.h>

#include "checker.h"
#include "map/map.h"

static const struct map *arg_map(struct checker *c, uint64_t r1, uint32_t *index)
{
	const struct vm_aux *aux = &c->prog->aux[c->pc];
	int64_t off = 0;
	struct thing *o = checker_object(c, r1, &off);

	if (!o || o->kind != OBJ_MAP || off) {
		checker_fails(c, "%#" PRIx64 " is not a map", r1);
		return NULL;
	}
	if (aux->map_index != VM_MAP_UNKNOWN && aux->map_index != o->map) {
		checker_fails(c, "map %u, noted: %u", o->map, aux->map_index);
		return NULL;
	}
	*index = o->map;
	return c->prog->maps[o->map];
}

static uint64_t some_value(struct checker *c, uint32_t map)
{
	if (!checker_rnd(c, 4))
		return 0;
	return OBJ_ADDR(c->first_value + map * VALUES_PER_MAP + checker_rnd(c, VALUES_PER_MAP), 0);
}

static uint64_t noise(struct checker *c)
{
	const uint32_t r = checker_rnd(c, 8);

	return r < 3 ? checker_rnd(c, 64) : r < 5 ? c->seed : r == 5 ? -1 : 0;
}

/* size bytes that the helper reads, or writes with whatever comes */
static bool reads(struct checker *c, uint64_t addr, uint64_t size)
{
	return !size || checker_mem(c, addr, size, false);
}

static bool writes(struct checker *c, uint64_t addr, uint64_t size)
{
	uint8_t *at;

	if (!size)
		return true;
	at = checker_mem(c, addr, size, true);
	for (uint64_t i = 0; at && i < size; i++)
		at[i] = checker_rnd(c, 3) ? 0 : noise(c);
	return at;
}

static bool lock(struct checker *c, uint64_t addr, bool take)
{
	int64_t off = 0;
	struct thing *o = checker_object(c, addr, &off);

	if (!o || o->kind != OBJ_VALUE || o->lock_off < 0 || off != o->lock_off)
		return checker_fails(c, "%#" PRIx64 " is not a lock", addr);
	if (take ? c->lock != 0 : c->lock != addr)
		return checker_fails(c, "%#" PRIx64 " is %s with %#" PRIx64 " held", addr,
				     take ? "locked" : "unlocked", c->lock);
	c->lock = take ? addr : 0;
	return true;
}

uint64_t checker_reserve(struct checker *c, uint64_t size)
{
	struct thing *o;

	if (c->record_cnt == RECORDS || !checker_rnd(c, 4) || size > RECORD_MAX)
		return 0;
	o = &c->obj[c->first_record + c->record_cnt++];
	*o = (struct thing){.kind = OBJ_RECORD, .mem = o->mem, .size = size, .lock_off = -1};
	c->held++;
	return OBJ_ADDR(o - c->obj, 0);
}

static bool give_back(struct checker *c, uint64_t addr)
{
	int64_t off = 0;
	struct thing *o = checker_object(c, addr, &off);

	if (!o || o->kind != OBJ_RECORD || o->dead || off)
		return checker_fails(c, "%#" PRIx64 " is not a record that was reserved", addr);
	o->dead = true;
	checker_part_end(c, o);
	c->held--;
	return true;
}

/* The packet ends earlier, or not. */
static void resize(struct checker *c)
{
	if (c->packet + 1 < c->first_packet + PACKETS && checker_rnd(c, 3))
		c->pkt_len = checker_rnd(c, c->pkt_len + 1);
	checker_packet_moves(c);
}

bool checker_helper(struct checker *c, uint32_t id, uint64_t *r0)
{
	const uint64_t *r = c->f[c->depth].r;
	const struct map *m;
	uint32_t map;

	*r0 = noise(c);
	switch (id) {
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_get_prandom_u32:
	case BPF_FUNC_get_smp_processor_id:
	case BPF_FUNC_get_current_pid_tgid:
	case BPF_FUNC_jiffies64:
		return true;
	case BPF_FUNC_map_lookup_elem:
	case BPF_FUNC_map_lookup_percpu_elem:
		m = arg_map(c, r[1], &map);
		if (!m || !reads(c, r[2], m->attr.key_size))
			return false;
		*r0 = some_value(c, map);
		return true;
	case BPF_FUNC_map_update_elem:
		m = arg_map(c, r[1], &map);
		return m && reads(c, r[2], m->attr.key_size) && reads(c, r[3], m->attr.value_size);
	case BPF_FUNC_map_delete_elem:
		m = arg_map(c, r[1], &map);
		return m && reads(c, r[2], m->attr.key_size);
	case BPF_FUNC_probe_read_kernel:
		return writes(c, r[1], r[2]);
	case BPF_FUNC_probe_read_kernel_str:
		*r0 = r[2] && checker_rnd(c, 3) ? 1 + checker_rnd(c, r[2]) : (uint64_t)-14;
		return writes(c, r[1], checker_rnd(c, 2) ? r[2] : 0);
	case BPF_FUNC_strtol:
	case BPF_FUNC_strtoul:
		return reads(c, r[1], r[2]) && writes(c, r[4], 8);
	case BPF_FUNC_get_current_comm:
		return writes(c, r[1], r[2]);
	case BPF_FUNC_trace_printk:
		return reads(c, r[1], r[2]);
	case BPF_FUNC_ringbuf_output:
		return arg_map(c, r[1], &map) && reads(c, r[2], r[3]);
	case BPF_FUNC_ringbuf_query:
		return arg_map(c, r[1], &map);
	case BPF_FUNC_ringbuf_reserve:
		if (!arg_map(c, r[1], &map))
			return false;
		*r0 = checker_reserve(c, r[2]);
		return true;
	case BPF_FUNC_ringbuf_submit:
	case BPF_FUNC_ringbuf_discard:
		return give_back(c, r[1]);
	case BPF_FUNC_spin_lock:
		return lock(c, r[1], true);
	case BPF_FUNC_spin_unlock:
		return lock(c, r[1], false);
	case BPF_FUNC_tail_call:
		if (c->held || c->rcu || c->preempt)
			return checker_fails(c, "a tail call while something is held");
		return arg_map(c, r[2], &map); /* empty slots: it goes on */
	case BPF_FUNC_skb_load_bytes:
		return writes(c, r[3], r[4]);
	case BPF_FUNC_skb_store_bytes:
		if (!reads(c, r[3], r[4]))
			return false;
		checker_packet_moves(c);
		return true;
	case BPF_FUNC_skb_pull_data:
		checker_packet_moves(c);
		return true;
	case BPF_FUNC_skb_change_tail:
	case BPF_FUNC_xdp_adjust_tail:
	case BPF_FUNC_xdp_adjust_head:
		resize(c);
		return true;
	}
	return checker_dynptr_helper(c, id, r, r0);
}
