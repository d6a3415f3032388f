/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK's rte_hash, readers without locks, several writers. */
#include "tables.h"

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>
#include <stdio.h>

static void *make(uint32_t entries)
{
	static bool begun;
	static int count;
	char name[32];
	struct rte_hash_parameters p = {
		.name = name,
		.entries = entries,
		.key_len = 4,
		.hash_func = rte_hash_crc,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF |
			      RTE_HASH_EXTRA_FLAGS_MULTI_WRITER_ADD,
	};

	if (!begun) {
		char *argv[] = {"tables",	 "--no-huge", "--no-pci", "--no-telemetry",
				"--log-level=1", "-m",	      "1024",	  NULL};

		if (rte_eal_init(7, argv) < 0)
			return NULL;
		begun = true;
	}
	snprintf(name, sizeof(name), "tables%d", count++);
	return rte_hash_create(&p);
}

static void drop(void *t)
{
	rte_hash_free((struct rte_hash *)t);
}

static void thread_begin(void)
{
	rte_thread_register();
}

static void thread_end(void)
{
	rte_thread_unregister();
}

static int64_t lookup(void *t, const uint32_t *keys, long n)
{
	int64_t sum = 0;
	void *value;

	for (long i = 0; i < n; i++) {
		if (rte_hash_lookup_data((struct rte_hash *)t, &keys[i], &value) < 0)
			return -1;
		sum += (intptr_t)value;
	}
	return sum;
}

static int update(void *t, const uint32_t *keys, long n)
{
	for (long i = 0; i < n; i++)
		if (rte_hash_add_key_data((struct rte_hash *)t, &keys[i], (void *)(i + 1)))
			return -1;
	return 0;
}

const struct table table_rte = {"DPDK rte_hash", true,	     make,   drop,
				thread_begin,	 thread_end, lookup, update};
