/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of two changes of one value none is lost, when another process takes the element out, or commits
 * a transaction, between what shmap_modify() reads and what it writes.
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "../check.h"
#include "shmap.h"

static int fd;
static bool transaction;
static volatile int asked, done;
static uint64_t taken;

static void *other(void *arg)
{
	uint32_t k = 1;
	uint64_t v = 0;

	while (!asked)
		sched_yield();
	if (transaction) {
		struct shmap_txn *t = shmap_txn_begin();

		CHECK_EQ(shmap_txn_get(t, fd, &k, &v), 0);
		v += 10;
		CHECK_EQ(shmap_txn_put(t, fd, &k, &v, BPF_EXIST), 0);
		CHECK_EQ(shmap_txn_commit(t), 0);
	} else {
		CHECK_EQ(bpf_map_lookup_and_delete_elem(fd, &k, &taken), 0);
	}
	done = 1;
	return NULL;
}

static int add_one(void *value, void *arg)
{
	uint64_t v;

	asked = 1;
	while (!done)
		sched_yield();
	memcpy(&v, value, 8);
	v++;
	memcpy(value, &v, 8);
	return 0;
}

static void between(enum bpf_map_type type, bool txn)
{
	struct shmap_handle *h;
	uint32_t k = 1;
	uint64_t v = 5;
	pthread_t t;
	int ret;

	transaction = txn;
	asked = done = 0;
	taken = 0;
	fd = bpf_map_create(type, "m", 4, 8, 16, NULL);
	REQUIRE(fd >= 0);
	CHECK_EQ(bpf_map_update_elem(fd, &k, &v, 0), 0);
	h = shmap_handle_open(fd);
	REQUIRE(h);
	REQUIRE(!pthread_create(&t, NULL, other, NULL));
	ret = shmap_modify(h, &k, add_one, NULL);
	pthread_join(t, NULL);
	if (txn) {
		CHECK_EQ(ret, 0);
		CHECK_EQ(bpf_map_lookup_elem(fd, &k, &v), 0);
		CHECK_EQ(v, 16);
	} else {
		CHECK_EQ(ret, -ENOENT);
		CHECK_EQ(taken, 5);
		CHECK_EQ(bpf_map_lookup_elem(fd, &k, &v), -ENOENT);
	}
	shmap_handle_close(h);
	close(fd);
}

int main(void)
{
	check_private_rundir();
	between(BPF_MAP_TYPE_ARRAY, true);
	between(BPF_MAP_TYPE_HASH, true);
	between(BPF_MAP_TYPE_HASH, false);
	between(BPF_MAP_TYPE_LRU_HASH, false);
	return check_done();
}
