/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations that the map kill test kills, and what each should have done. */
#include "kill-map.h"

/* ---- values ---- */

static uint8_t encode(int ver, uint32_t key)
{
	return ver ? ver * 20 + key : 0;
}

void *kill_value(struct fixture *f, int ver, uint32_t key)
{
	static uint8_t buf[65536];

	REQUIRE(f->m->user_value_size <= sizeof(buf));
	memset(buf, encode(ver, key), f->m->user_value_size);
	if (f->v->lock_off >= 0)
		memset(buf + f->v->lock_off, 0, 4);
	return buf;
}

/* ---- operations, in the child ---- */

static void end(int ret, int want)
{
	if (ret != want) {
		fprintf(stderr, "the operation returned %d, not %d\n", ret, want);
		_exit(1);
	}
	store_relaxed(op_ended, 1);
}

#define OLD_KEY 1u
#define NEW_KEY(f) (n_keys(f) - 1)
/* One more than there is room for */
#define EXTRA_KEY(f) (n_keys(f))

static void run_read(struct fixture *f)
{
	uint8_t buf[65536];

	end(f->m->ops->read(f->m, &f->keys[OLD_KEY], buf, 0), 0);
}

static void run_read_lock(struct fixture *f)
{
	uint8_t buf[65536];

	end(f->m->ops->read(f->m, &f->keys[OLD_KEY], buf, BPF_F_LOCK), 0);
}

static void run_read_missing(struct fixture *f)
{
	uint8_t buf[65536];

	end(f->m->ops->read(f->m, &f->keys[NEW_KEY(f)], buf, 0), -ENOENT);
}

static void write_key(struct fixture *f, uint32_t key, uint64_t flags, int want)
{
	end(f->m->ops->write(f->m, &f->keys[key], kill_value(f, 2, key), flags), want);
}

static void run_update(struct fixture *f)
{
	write_key(f, OLD_KEY, BPF_ANY, 0);
}

static void run_update_exist(struct fixture *f)
{
	write_key(f, OLD_KEY, BPF_EXIST, 0);
}

static void run_update_lock(struct fixture *f)
{
	write_key(f, OLD_KEY, BPF_F_LOCK, 0);
}

static void run_update_new(struct fixture *f)
{
	write_key(f, NEW_KEY(f), BPF_ANY, 0);
}

static void run_update_noexist(struct fixture *f)
{
	write_key(f, NEW_KEY(f), BPF_NOEXIST, 0);
}

static void run_update_new_lock(struct fixture *f)
{
	write_key(f, NEW_KEY(f), BPF_F_LOCK, 0);
}

static void run_update_extra(struct fixture *f)
{
	write_key(f, EXTRA_KEY(f), BPF_ANY, -E2BIG);
}

/* Refused, so that the map is known to be full; and then it is not. */
static void run_erase_when_full(struct fixture *f)
{
	if (f->m->ops->write(f->m, &f->keys[EXTRA_KEY(f)], kill_value(f, 2, EXTRA_KEY(f)),
			     BPF_ANY) != -E2BIG)
		_exit(1);
	end(f->m->ops->erase(f->m, &f->keys[OLD_KEY]), 0);
}

static void run_update_evicts(struct fixture *f)
{
	write_key(f, EXTRA_KEY(f), BPF_ANY, 0);
}

static void run_update_noexist_fails(struct fixture *f)
{
	write_key(f, OLD_KEY, BPF_NOEXIST, -EEXIST);
}

static void run_erase(struct fixture *f)
{
	end(f->m->ops->erase(f->m, &f->keys[OLD_KEY]), 0);
}

static void run_erase_last(struct fixture *f)
{
	end(f->m->ops->erase(f->m, &f->keys[n_initial(f) - 1]), 0);
}

static void run_erase_missing(struct fixture *f)
{
	end(f->m->ops->erase(f->m, &f->keys[NEW_KEY(f)]), -ENOENT);
}

static void run_next_key(struct fixture *f)
{
	uint32_t next;

	if (f->m->ops->next_key(f->m, NULL, &next))
		_exit(1);
	end(f->m->ops->next_key(f->m, &f->keys[OLD_KEY], &next) == -ENOENT, 0);
}

static void run_pop(struct fixture *f)
{
	uint8_t buf[65536];

	end(f->m->ops->pop(f->m, &f->keys[OLD_KEY], buf, 0), 0);
}

/* Batches: of three elements, or of all */
static uint8_t batch_values[KEYS_MAX * 4096];
static uint32_t batch_keys[KEYS_MAX], batch_token[16];

struct map_batch kill_batch(struct fixture *f, uint32_t n, int ver)
{
	uint32_t size = f->m->user_value_size;

	REQUIRE(size * KEYS_MAX <= sizeof(batch_values));
	for (uint32_t i = 0; i < n; i++) {
		batch_keys[i] = f->keys[i];
		memcpy(batch_values + i * size, kill_value(f, ver, i), size);
	}
	return (struct map_batch){
		.out_batch = batch_token, .keys = batch_keys, .values = batch_values, .count = n};
}

static void run_lookup_batch(struct fixture *f)
{
	struct map_batch b = kill_batch(f, KEYS_MAX, 2);

	end(f->m->ops->lookup_batch(f->m, &b), -ENOENT);
}

static void run_pop_batch(struct fixture *f)
{
	struct map_batch b = kill_batch(f, KEYS_MAX, 2);

	end(f->m->ops->lookup_and_delete_batch(f->m, &b), -ENOENT);
}

static void run_update_batch(struct fixture *f)
{
	struct map_batch b = kill_batch(f, 3, 2);

	end(f->m->ops->update_batch(f->m, &b), 0);
}

static void run_delete_batch(struct fixture *f)
{
	struct map_batch b = kill_batch(f, 3, 2);

	end(f->m->ops->delete_batch(f->m, &b), 0);
}

/* Programs: from taking the lease to giving it back */
static void prog_begin(void)
{
	if (lease_acquire() != this_cpu)
		_exit(1);
}

static void prog_end(int ret, int want)
{
	lease_release();
	end(ret, want);
}

static void run_prog_lookup(struct fixture *f)
{
	prog_begin();
	prog_end(!f->m->ops->lookup(f->m, &f->keys[OLD_KEY]), 0);
}

static void run_prog_lookup_percpu(struct fixture *f)
{
	prog_begin();
	prog_end(f->m->ops->lookup_percpu && !f->m->ops->lookup_percpu(f->m, &f->keys[OLD_KEY], 0),
		 0);
}

long kill_visit(void *arg, struct map *m, const void *key, void *value)
{
	++*(long *)arg;
	return 0;
}

static void run_prog_for_each(struct fixture *f)
{
	long n = 0;

	prog_begin();
	prog_end(f->m->ops->for_each(f->m, kill_visit, &n) != (long)n_initial(f), 0);
}

static void prog_update(struct fixture *f, uint32_t key, uint64_t flags, int want)
{
	prog_begin();
	prog_end(f->m->ops->update(f->m, &f->keys[key], kill_value(f, 2, key), flags), want);
}

static void run_prog_update(struct fixture *f)
{
	prog_update(f, OLD_KEY, BPF_ANY, 0);
}

static void run_prog_update_new(struct fixture *f)
{
	prog_update(f, NEW_KEY(f), BPF_ANY, 0);
}

static void run_prog_update_evicts(struct fixture *f)
{
	prog_update(f, EXTRA_KEY(f), BPF_ANY, 0);
}

static void run_prog_update_lock(struct fixture *f)
{
	prog_update(f, OLD_KEY, BPF_F_LOCK, 0);
}

static void run_prog_delete(struct fixture *f)
{
	prog_begin();
	prog_end(f->m->ops->delete (f->m, &f->keys[OLD_KEY]), 0);
}

/* Deleted and made again in one run, which may use the element at once */
static void run_prog_replace(struct fixture *f)
{
	prog_begin();
	if (f->m->ops->delete (f->m, &f->keys[OLD_KEY]))
		_exit(1);
	prog_end(f->m->ops->update(f->m, &f->keys[NEW_KEY(f)], kill_value(f, 2, NEW_KEY(f)),
				   BPF_ANY),
		 0);
}

/* ---- what they should have done ---- */

static void set(struct fixture *f, struct state *s, uint32_t key, uint8_t ver)
{
	if (f->op->need & OWN && f->m->ops->per_cpu) {
		s->ver[key][0] = ver;
		/* a new element is zero on the other CPUs */
		if (s->ver[key][1] == ABSENT)
			s->ver[key][1] = 0;
		if (f->m->attr.possible_cpus == 1)
			s->ver[key][1] = ver;
		return;
	}
	s->ver[key][0] = s->ver[key][1] = ver;
}

static void expect_updated(struct fixture *f, struct state *s)
{
	set(f, s, OLD_KEY, 2);
}

static void expect_new(struct fixture *f, struct state *s)
{
	set(f, s, NEW_KEY(f), 2);
}

static void expect_erased(struct fixture *f, struct state *s)
{
	s->ver[OLD_KEY][0] = s->ver[OLD_KEY][1] = ABSENT;
}

/* The first that was inserted; it may be gone although the new one has not come. */
static void expect_evicted(struct fixture *f, struct state *s)
{
	s->ver[0][0] = s->ver[0][1] = ABSENT;
}

static void expect_erased_last(struct fixture *f, struct state *s)
{
	s->ver[n_initial(f) - 1][0] = s->ver[n_initial(f) - 1][1] = ABSENT;
}

static void expect_replaced(struct fixture *f, struct state *s)
{
	expect_erased(f, s);
	expect_new(f, s);
}

static void expect_all_gone(struct fixture *f, struct state *s)
{
	memset(s, ABSENT, sizeof(*s));
}

static void expect_three_updated(struct fixture *f, struct state *s)
{
	for (int i = 0; i < 3; i++)
		set(f, s, i, 2);
}

static void expect_three_gone(struct fixture *f, struct state *s)
{
	memset(s, ABSENT, 3 * sizeof(s->ver[0]));
}

const struct op kill_ops[] = {
	{"lookup", QUIET, run_read},
	{"lookup-missing", QUIET | HASH, run_read_missing},
	{"lookup-f-lock", QUIET | LOCK, run_read_lock},
	{"next-key", QUIET, run_next_key},
	{"lookup-batch", QUIET, run_lookup_batch},
	{"update", 0, run_update, expect_updated},
	{"update-exist", 0, run_update_exist, expect_updated},
	{"update-f-lock", LOCK, run_update_lock, expect_updated},
	{"update-new", HASH, run_update_new, expect_new},
	{"update-new-noexist", HASH, run_update_noexist, expect_new},
	{"update-new-f-lock", HASH | LOCK, run_update_new_lock, expect_new},
	{"update-noexist-refused", QUIET, run_update_noexist_fails},
	{"update-when-full", HASH | FULL, run_update, expect_updated},
	{"update-new-when-full", QUIET | HASH | FULL | NO_LRU, run_update_extra},
	{"delete-when-full", HASH | FULL | NO_LRU, run_erase_when_full, expect_erased},
	{"update-new-evicts", LRU | FULL | PARTIAL, run_update_evicts, expect_evicted},
	{"program-update-new-evicts", PROG | LRU | FULL | PARTIAL, run_prog_update_evicts,
	 expect_evicted},
	{"delete", HASH, run_erase, expect_erased},
	{"delete-last", HASH, run_erase_last, expect_erased_last},
	{"delete-missing", QUIET | HASH, run_erase_missing},
	{"lookup-and-delete", HASH, run_pop, expect_erased},
	{"update-batch", PARTIAL, run_update_batch, expect_three_updated},
	{"delete-batch", HASH | PARTIAL, run_delete_batch, expect_three_gone},
	{"lookup-and-delete-batch", HASH | PARTIAL, run_pop_batch, expect_all_gone},
	{"program-lookup", QUIET | PROG, run_prog_lookup},
	{"program-lookup-percpu", QUIET | PROG, run_prog_lookup_percpu},
	{"program-for-each", QUIET | PROG, run_prog_for_each},
	{"program-update", PROG | OWN, run_prog_update, expect_updated},
	{"program-update-f-lock", PROG | LOCK, run_prog_update_lock, expect_updated},
	{"program-update-new", PROG | HASH | OWN, run_prog_update_new, expect_new},
	{"program-delete", PROG | HASH, run_prog_delete, expect_erased},
	{"program-replace", PROG | HASH | OWN | PARTIAL, run_prog_replace, expect_replaced},
};

const unsigned int kill_op_count = ARRAY_SIZE(kill_ops);
