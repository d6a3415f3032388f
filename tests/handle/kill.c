/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap_modify() and sections killed after each of their instructions: the value has changed or
 * not, as a whole, and nobody waits for the dead.
 */
#include "../kill/harness.h"
#include "../shm/area.h"
#include "map/gate.h"
#include "shmap.h"
#include "sync/lease.h"
#include "sys/atomic_maps.h"
#include "sys/fd.h"
#include "sys/sys.h"

struct modify {
	uint32_t type, value_size;
	int32_t lock_off;
	struct map *m;
	struct shmap_handle *h;
	int fd;
	int *ended;
};

static void value_set(const struct modify *c, uint64_t *value, uint64_t v)
{
	for (uint32_t i = c->lock_off < 0 ? 0 : 1; i < c->value_size / 8; i++)
		value[i] = v + i;
}

static void setup(void *arg)
{
	uint64_t value[3 * LEASE_CPUS_MAX] = {0};
	struct modify *c = arg;
	uint32_t key = 1;

	if (!c->m) {
		struct map_attr attr = {.map_type = c->type,
					.key_size = 4,
					.value_size = c->value_size,
					.max_entries = 4,
					.spin_lock_off = c->lock_off,
					.possible_cpus = lease_possible_cpus()};

		REQUIRE(!map_create(&attr, -1, &c->m, &c->fd));
		map_get(c->m);
		fd_install_map(c->fd, c->m, FD_READ | FD_WRITE);
		REQUIRE(!sys_handle_open(c->fd, &c->h));
		c->ended =
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		REQUIRE(c->ended != MAP_FAILED);
	}
	*c->ended = 0;
	for (uint32_t cpu = 0; cpu < (c->m->ops->per_cpu ? c->m->attr.possible_cpus : 1); cpu++)
		value_set(c, value + cpu * c->m->elem_size / 8, 100);
	REQUIRE(!sys_map_update(c->fd, &key, value, 0));
}

static int change(void *value, void *arg)
{
	value_set(arg, value, 200);
	return 0;
}

static void op(void *arg)
{
	struct modify *c = arg;
	uint32_t key = 1;

	if (sys_section_begin() || sys_section_begin())
		_exit(3);
	if (sys_modify(c->h, &key, change, c))
		_exit(3);
	*c->ended = 1;
	sys_section_end();
	sys_section_end();
}

/* 1: as changed, 0: as before, -1: neither. */
static int what(const struct modify *c, const uint64_t *value)
{
	uint32_t first = c->lock_off < 0 ? 0 : 1, i;
	uint64_t v = value[first] - first;

	for (i = first; i < c->value_size / 8; i++)
		if (value[i] != v + i)
			return -1;
	return v == 200 ? 1 : v == 100 ? 0 : -1;
}

static enum kill_outcome check(void *arg)
{
	uint32_t key = 1, cpu, cpus, changed = 0;
	uint64_t value[3 * LEASE_CPUS_MAX] = {0};
	struct modify *c = arg;
	char why[128] = "";
	int w;

	cpus = c->m->ops->per_cpu ? c->m->attr.possible_cpus : 1;
	if (sys_map_lookup(c->fd, &key, value, c->lock_off >= 0 ? BPF_F_LOCK : 0))
		return KILL_INVALID;
	for (cpu = 0; cpu < cpus; cpu++) {
		w = what(c, value + cpu * c->m->elem_size / 8);
		if (w < 0) {
			kill_why("a mixture");
			return KILL_INVALID;
		}
		changed += (uint32_t)w;
	}
	if (changed > 1 || (*c->ended && !changed))
		return KILL_INVALID;
	/* All of the CPUs can be had again, and the value. */
	for (cpu = 0; cpu < 2 * lease_possible_cpus(); cpu++) {
		if (sys_section_begin())
			return KILL_INVALID;
		if (sys_modify(c->h, &key, change, c))
			return KILL_INVALID;
		sys_section_end();
	}
	if (c->m->ops->recover(c->m) || c->m->ops->validate(c->m, why, sizeof(why))) {
		kill_why("%s", why);
		return KILL_INVALID;
	}
	return changed ? KILL_NEW : KILL_OLD;
}

static struct modify modifies[] = {
	{BPF_MAP_TYPE_ARRAY, 8, -1},	     {BPF_MAP_TYPE_ARRAY, 40, 0},
	{BPF_MAP_TYPE_HASH, 8, -1},	     {BPF_MAP_TYPE_HASH, 40, 0},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 24, -1}, {BPF_MAP_TYPE_PERCPU_HASH, 24, -1},
};

int main(int argc, char **argv)
{
	static const struct kill_case cases[] = {
		{"array", &modifies[0], setup, NULL, op, NULL, check, 150},
		{"array-lock", &modifies[1], setup, NULL, op, NULL, check, 200},
		{"hash", &modifies[2], setup, NULL, op, NULL, check, 150},
		{"hash-lock", &modifies[3], setup, NULL, op, NULL, check, 200},
		{"percpu-array", &modifies[4], setup, NULL, op, NULL, check, 150},
		{"percpu-hash", &modifies[5], setup, NULL, op, NULL, check, 150},
	};

	area_begin();
	return kill_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
