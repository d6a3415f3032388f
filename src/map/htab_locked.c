/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_F_LOCK on hash elements: copies in and out, in place, under the
 * bpf_spin_lock inside the value (G3).
 *
 * A writer finds the element, takes its lock and looks whether it is still in
 * the table, in the life that was found. If so it writes; deleting the element
 * meanwhile does not disturb it, because an element whose lock is held is not
 * used again (htab_elem_busy()): the writer's compare-and-swap and the
 * reuser's stripe lock are both full barriers between "generation" and "lock
 * word", so one of the two sees the other.
 *
 * Death: the write is staged in a redo record (redo.h) named by element and
 * life; who takes the dead writer's lock finishes it, unless that life is over. A program that
 * changes the value in place keeps it there as it was, and who takes its lock puts it back.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/uaccess.h"
#include "map/gate.h"
#include "map/htab.h"
#include "map/redo.h"

static uint32_t *lock_word(const struct map *m, uint32_t index)
{
	return (uint32_t *)(htab_value(m, index, 0) + m->attr.spin_lock_off);
}

bool htab_writer_died(const struct map *m, uint32_t index)
{
	return lock_owner_died(lock_word(m, index));
}

static struct redo_claims claims(const struct map *m)
{
	struct redo_claims c = {
		.base = m->obj.base + m->htab.claim_off,
		.stride = redo_record_size(m->attr.value_size),
		.count = HTAB_CLAIMS,
	};

	return c;
}

/* An element in this life; see redo.h. The top bit is REDO_CLAIMED's. */
static uint64_t claim_id(uint32_t index, uint32_t gen)
{
	return index | (uint64_t)(gen & 0x3fffffff) << 32;
}

static void apply(struct map *m, uint32_t index, const void *value, int cpu)
{
	htab_value_in(m, htab_value(m, index, 0), value);
}

/* Takes the lock, and finishes what a dead holder had begun in this life. */
static int elem_lock(struct map *m, uint32_t index)
{
	struct redo_claims c = claims(m);
	int ret = lock_acquire(lock_word(m, index));

	if (ret < 0)
		return ret;
	/* The lock before any look at the generation: see the top. */
	fence_after_rmw();
	if (unlikely(ret == LOCK_OWNER_DIED))
		redo_claims_settle(m, &c, claim_id(index, load_acquire(&htab_elem(m, index)->gen)),
				   apply);
	return 0;
}

int htab_settle_locked(struct map *m, uint32_t index)
{
	return elem_lock(m, index);
}

int htab_settle(struct map *m, uint32_t index)
{
	int err = elem_lock(m, index);

	if (!err)
		lock_release(lock_word(m, index));
	return err;
}

/* As read_watching(): the lock was free before, between and after two copies that agree.
 * Without the look between both could be made half-way through one section. */
int htab_take_copy(struct map *m, uint32_t index, uint8_t *copy, uint64_t flags)
{
	const uint32_t *word = lock_word(m, index);
	uint32_t size = m->attr.value_size, tries;

	if (m->attr.spin_lock_off >= 0 && htab_writer_died(m, index))
		return -EAGAIN;
	if (!(flags & BPF_F_LOCK))
		return htab_value_out(m, index, copy);
	for (tries = 0; tries < HTAB_READ_TRIES; tries++) {
		if (load_acquire(word))
			return -EAGAIN;
		htab_copy_out(m, htab_value(m, index, 0), copy);
		fence_acquire();
		if (load_acquire(word))
			return -EAGAIN;
		htab_copy_out(m, htab_value(m, index, 0), copy + size);
		fence_acquire();
		if (!load_relaxed(word) && !memcmp(copy, copy + size, size))
			return 0;
	}
	return -EAGAIN;
}

int htab_section_begin(struct map *m, void *value, uint32_t start, void **kept)
{
	uint64_t off = (uint64_t)((uint8_t *)value - (m->obj.base + m->htab.elem_off));
	struct redo_claims c = claims(m);
	uint32_t index = (uint32_t)(off / m->htab.elem_stride);
	int err, tries = 0;

	*kept = NULL;
	if (unlikely((uint8_t *)value < m->obj.base + m->htab.elem_off ||
		     off / m->htab.elem_stride >= m->htab.elems))
		return lock_acquire((uint32_t *)((uint8_t *)value + m->attr.spin_lock_off));
	for (;;) {
		err = elem_lock(m, index);
		if (err || m->attr.value_size > REDO_KEEP_MAX)
			return err;
		*kept = redo_claims_keep(&c,
					 claim_id(index, load_acquire(&htab_elem(m, index)->gen)),
					 start, value, m->attr.value_size, m->attr.spin_lock_off);
		/* More sections than records: without, rather than waiting for them. */
		if (likely(*kept) || tries++)
			return 0;
		lock_release(lock_word(m, index));
		htab_reclaim(m);
	}
}

/*
 * Is a free element's lock held? By a writer that came before the delete, then.
 * A dead one's mark is wiped off: what it had begun concerns a life that is
 * over. Called under the stripe's lock.
 */
bool htab_elem_busy(struct map *m, uint32_t index)
{
	uint32_t *word = lock_word(m, index), old = load_seq_cst(word);

	if (!old)
		return false;
	return !(old & FUTEX_OWNER_DIED) || !cas_seq_cst(word, &old, 0);
}

/* Frees the records whose owners are dead, finishing what they had staged. Without a lock. */
void htab_reclaim(struct map *m)
{
	struct redo_claims c = claims(m);
	uint32_t i;

	for (i = 0; i < c.count; i++) {
		uint64_t tag = load_acquire(&redo_claim_at(&c, i)->tag) & ~REDO_CLAIMED;
		uint32_t index = (uint32_t)(tag - 1);

		if (!tag)
			continue;
		if (index >= m->htab.elems) {
			store_release(&redo_claim_at(&c, i)->tag, 0); /* damage */
			continue;
		}
		if (load_relaxed(lock_word(m, index)) && !lock_owner_died(lock_word(m, index)))
			continue;
		if (lock_acquire(lock_word(m, index)) < 0)
			continue;
		redo_claims_settle(m, &c, claim_id(index, load_acquire(&htab_elem(m, index)->gen)),
				   apply);
		lock_release(lock_word(m, index));
	}
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int htab_wait_unheld(struct map *m, uint32_t index, uint64_t *until)
{
	if (!*until)
		*until = (uint64_t)seconds() + LOCK_WAIT_SECONDS;
	else if ((uint64_t)seconds() > *until)
		return -EBUSY;
	return htab_settle(m, index);
}

int htab_write_locked(struct map *m, uint32_t index, uint32_t gen, const void *value)
{
	struct redo_claims c = claims(m);
	time_t until = 0;
	int ret;

	for (;;) {
		ret = elem_lock(m, index);
		if (ret)
			return ret;
		if (unlikely(map_gate_shut(m))) {
			lock_release(lock_word(m, index));
			ret = map_gate_wait(m);
			if (ret)
				return ret;
			continue;
		}
		if (load_acquire(&htab_elem(m, index)->gen) != gen)
			ret = 0;
		else
			ret = redo_claims_write(m, &c, claim_id(index, gen), value,
						m->attr.value_size, apply)
				      ? -EAGAIN
				      : 1;
		lock_release(lock_word(m, index));
		if (ret != -EAGAIN)
			return ret;
		htab_reclaim(m);
		if (!until)
			until = seconds() + LOCK_WAIT_SECONDS;
		else if (seconds() > until)
			return -EBUSY;
		sched_yield();
	}
}

/* The callback's part of htab_modify(), under the element's lock. */
static int modify_locked(struct map *m, const struct htab_hit *hit, void *copy,
			 int (*fn)(void *, void *), void *arg)
{
	struct redo_claims c = claims(m);
	int ret;

	if (load_acquire(&htab_elem(m, hit->index)->gen) != hit->gen)
		return -ESTALE;
	htab_copy_out(m, htab_value(m, hit->index, 0), copy);
	ret = fn(copy, arg);
	if (ret)
		return -ECANCELED;
	return redo_claims_write(m, &c, claim_id(hit->index, hit->gen), copy, m->attr.value_size,
				 apply);
}

int htab_modify(struct map *m, const void *key, void *copy, int (*fn)(void *, void *), void *arg)
{
	uint64_t hash = htab_hash(m, key);
	struct htab_hit hit;
	time_t until = 0;
	int ret;

	for (;;) {
		ret = htab_search(m, key, hash, &hit);
		if (ret <= 0)
			return ret ? ret : -ENOENT;
		ret = elem_lock(m, hit.index);
		if (ret)
			return ret;
		if (unlikely(map_gate_shut(m))) {
			lock_release(lock_word(m, hit.index));
			ret = map_gate_wait(m);
			if (ret)
				return ret;
			continue;
		}
		ret = modify_locked(m, &hit, copy, fn, arg);
		lock_release(lock_word(m, hit.index));
		if (ret == -ESTALE)
			continue;
		if (!ret)
			htab_count_unlocked(m, hash);
		if (ret != -EAGAIN)
			return ret;
		htab_reclaim(m);
		if (!until)
			until = seconds() + LOCK_WAIT_SECONDS;
		else if (seconds() > until)
			return -EBUSY;
		sched_yield();
	}
}

/*
 * A file that is mapped read-only: the lock cannot be taken. What was copied is
 * believed when the lock was free before, between and after two copies that agree; of
 * a dead holder, when what it had staged is still there.
 */
static int read_watching(struct map *m, uint32_t index, uint32_t gen, void *value)
{
	struct redo_claims c = claims(m);
	const uint32_t *word = lock_word(m, index);
	uint32_t size = m->attr.value_size;
	time_t until = seconds() + LOCK_WAIT_SECONDS;
	uint8_t *copy = calloc(2, size);
	int err = -EBUSY;

	if (!copy)
		return -ENOMEM;
	do {
		bool died = lock_owner_died(word);
		struct redo_record *r = died ? redo_claims_find(&c, claim_id(index, gen)) : NULL;
		const uint8_t *from = r ? r->staged : htab_value(m, index, 0);

		if (load_acquire(word) && !died) {
			sched_yield();
			continue;
		}
		htab_copy_out(m, from, copy);
		fence_acquire();
		if (load_acquire(word) && !died)
			continue;
		htab_copy_out(m, from, copy + size);
		fence_acquire();
		if (died == lock_owner_died(word) && (died || !load_relaxed(word)) &&
		    (!died || redo_claims_find(&c, claim_id(index, gen)) == r) &&
		    !memcmp(copy, copy + size, size)) {
			err = uaccess_copy(value, copy, size);
			break;
		}
	} while (seconds() <= until);
	free(copy);
	return err;
}

/* The caller checks the generation afterwards. */
int htab_read_locked(struct map *m, uint32_t index, uint32_t gen, void *value)
{
	int err;

	if (!m->writable)
		return read_watching(m, index, gen, value);
	err = elem_lock(m, index);
	if (err)
		return err;
	err = htab_value_out(m, index, value);
	lock_release(lock_word(m, index));
	return err;
}
