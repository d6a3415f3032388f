/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The changes of a committed transaction: by who committed it, or after its death by who found
 * it so. Each may be done again; deletes come first, as they make room, of what gives way too.
 */
#include <string.h>
#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/txn.h"

#define APPLY_TRIES 1000

static bool is_delete(const struct txn_entry *e)
{
	return e->op == TXN_DELETE || e->op == TXN_EVICT;
}

static int apply_one(struct map *m, struct txn_entry *e)
{
	/* Not beside a holder of the lock in the value. */
	uint64_t flags = m->attr.spin_lock_off >= 0 ? BPF_F_LOCK : 0;
	int err;

	if (e->op == TXN_PUT_OVER && m->ops->gate->put_over &&
	    m->ops->gate->put_over(m, txn_key(e), txn_seen(e), txn_value(e)))
		return 0;
	if (!is_delete(e))
		return m->ops->write(m, txn_key(e), txn_value(e), BPF_ANY | flags);
	err = m->ops->erase(m, txn_key(e));
	if (!err && e->op == TXN_EVICT && m->ops->gate->evicted)
		m->ops->gate->evicted(m, txn_key(e));
	return err == -ENOENT ? 0 : err;
}

static int apply_surely(struct map *m, struct txn_entry *e)
{
	struct timespec nap = {.tv_nsec = 1000000};
	int err, i;

	for (i = 0; i < APPLY_TRIES; i++) {
		err = apply_one(m, e);
		if (err != -EBUSY && err != -ENOMEM && err != -EAGAIN)
			break;
		raw_nanosleep(&nap, NULL);
	}
	return err;
}

/* An entry of shared memory; NULL: damage. head: a copy of what was checked. */
static struct txn_entry *entry_at(const struct map *m, const uint8_t *data, uint32_t at,
				  uint32_t bytes, struct txn_entry *head)
{
	uint64_t key, value;

	if (at % 8 || bytes < sizeof(*head) || at > bytes - sizeof(*head))
		return NULL;
	memcpy(head, data + at, sizeof(*head));
	key = round_up_u64(head->key_size, 8);
	value = round_up_u64(head->value_size, 8) * (head->op == TXN_PUT_OVER ? 2 : 1);
	if (head->size != sizeof(*head) + key + value || head->size > bytes - at)
		return NULL;
	return (struct txn_entry *)(data + at);
}

int txn_replay(struct map *m, uint32_t nr, const uint8_t *data, uint32_t bytes)
{
	struct txn_entry head, *e;
	uint32_t i, at;
	int err;

	for (i = 0; i < 2; i++) {
		for (at = 0; at < bytes; at += head.size) {
			e = entry_at(m, data, at, bytes, &head);
			if (!e)
				break;
			if (head.map != nr || is_delete(&head) != !i)
				continue;
			if (head.key_size != m->attr.key_size ||
			    (i && head.value_size != m->user_value_size))
				continue;
			err = apply_surely(m, e);
			if (err == -EBUSY || err == -ENOMEM || err == -EAGAIN)
				return err;
		}
	}
	return 0;
}
