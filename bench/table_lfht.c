/* SPDX-License-Identifier: BSD-2-Clause */
/* liburcu's lfht: an update replaces the node; the old one is freed after a grace period. */
#include "tables.h"

#define URCU_API_MAP
#define RCU_MEMB
#include <urcu.h>
#include <urcu/rculfhash.h>

#include <stddef.h>
#include <stdlib.h>

struct node {
	struct cds_lfht_node node;
	struct rcu_head head;
	uint32_t key;
	int64_t value;
};

static unsigned long hash(uint32_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15ULL;

	return h ^ h >> 32;
}

static int match(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct node, node)->key == *(const uint32_t *)key;
}

static void *make(uint32_t entries)
{
	unsigned long buckets = 1;

	while (buckets < entries)
		buckets *= 2;
	rcu_register_thread();
	return cds_lfht_new(buckets, buckets, buckets, 0, NULL);
}

static void node_free(struct rcu_head *head)
{
	free(caa_container_of(head, struct node, head));
}

static void drop(void *t)
{
	struct cds_lfht *ht = (struct cds_lfht *)t;
	struct cds_lfht_iter iter;
	struct node *n;

	rcu_read_lock();
	cds_lfht_for_each_entry(ht, &iter, n, node)
	{
		if (!cds_lfht_del(ht, &n->node))
			call_rcu(&n->head, node_free);
	}
	rcu_read_unlock();
	rcu_barrier();
	cds_lfht_destroy(ht, NULL);
	rcu_unregister_thread();
}

static void thread_begin(void)
{
	rcu_register_thread();
}

static void thread_end(void)
{
	rcu_unregister_thread();
}

static int64_t lookup(void *t, const uint32_t *keys, long n)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	int64_t sum = 0;

	for (long i = 0; i < n; i++) {
		rcu_read_lock();
		cds_lfht_lookup((struct cds_lfht *)t, hash(keys[i]), match, &keys[i], &iter);
		node = cds_lfht_iter_get_node(&iter);
		if (node)
			sum += caa_container_of(node, struct node, node)->value;
		rcu_read_unlock();
		if (!node)
			return -1;
	}
	return sum;
}

static int update(void *t, const uint32_t *keys, long n)
{
	for (long i = 0; i < n; i++) {
		struct node *fresh = (struct node *)malloc(sizeof(*fresh));
		struct cds_lfht_node *old;

		if (!fresh)
			return -1;
		cds_lfht_node_init(&fresh->node);
		fresh->key = keys[i];
		fresh->value = i + 1;
		rcu_read_lock();
		old = cds_lfht_add_replace((struct cds_lfht *)t, hash(keys[i]), match, &keys[i],
					   &fresh->node);
		if (old)
			call_rcu(&caa_container_of(old, struct node, node)->head, node_free);
		rcu_read_unlock();
	}
	return 0;
}

const struct table table_lfht = {"liburcu lfht", true,	     make,   drop,
				 thread_begin,	 thread_end, lookup, update};
