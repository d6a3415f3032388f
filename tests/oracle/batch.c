/* SPDX-License-Identifier: BSD-2-Clause */
/* The batch commands. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oracle.h"

#define BATCH_END (offsetof(union sys_attr, batch.flags) + 8)
#define BATCH_MAX 24u

/* A batch with anything wrong in it, and small ones: what both must answer
 * alike. For hashes, lookups that would succeed are left to the walks. */
static void batch_random(int cmd)
{
	bool out = cmd == BPF_MAP_LOOKUP_BATCH || cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH;
	bool token_in = one_in(2), lookups_differ = out && twin.hash, wrong = false;
	enum pointer keys = random_pointer(out), values = random_pointer(out);
	enum pointer in = random_pointer(false), out_token = random_pointer(true);
	uint32_t count = one_in(20) ? 0 : 1 + rnd(BATCH_MAX - 1), bad_fd = rnd(100);
	uint64_t elem_flags = 0, flags = 0;
	unsigned int size;
	long ret[SIDES];

	if (one_in(15))
		elem_flags = one_in(4) ? rnd64() : rnd(9);
	else if (twin.lock_off >= 0 && one_in(2))
		elem_flags = BPF_F_LOCK;
	if (one_in(25))
		flags = one_in(2) ? 1 : rnd64();
	if (!out || !token_in)
		in = PTR_NULL;
	if (lookups_differ) {
		/* only what is refused whatever the table looks like */
		wrong = bad_fd < 2 || !count || elem_flags & ~4ull || flags ||
			(elem_flags & 4 && twin.lock_off < 0);
		if (!wrong)
			return;
	}
	for (uint32_t i = 0; i < BATCH_MAX; i++) {
		random_key(AT_KEYS + i * twin.key_size);
		random_value(AT_VALUES + i * twin.user_value);
	}
	fill_both(MEM_SIZE - VALUE_MAX * 4, VALUE_MAX * 4);
	random_key(AT_IN_TOKEN);
	mark_both(AT_OUT_TOKEN, twin.key_size);
	if (out) {
		mark_both(AT_KEYS, count * twin.key_size);
		mark_both(AT_VALUES, count * twin.user_value);
	}
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		union sys_attr *a = attr_of(s);

		a->batch.map_fd = bad_fd == 0	? 1000000u
				  : bad_fd == 1 ? (uint32_t)STDIN_FILENO
						: (uint32_t)twin.fd[s][FD_RW];
		if (bad_fd > 80 && twin.fd[s][FD_RO] >= 0)
			a->batch.map_fd = twin.fd[s][FD_RO];
		if (bad_fd > 90 && twin.fd[s][FD_WO] >= 0)
			a->batch.map_fd = twin.fd[s][FD_WO];
		a->batch.in_batch = pointer_to(s, in, AT_IN_TOKEN, twin.key_size);
		a->batch.out_batch = pointer_to(s, out_token, AT_OUT_TOKEN, twin.key_size);
		a->batch.keys = pointer_to(s, keys, AT_KEYS, count * twin.key_size);
		a->batch.values = pointer_to(s, values, AT_VALUES, count * twin.user_value);
		if (cmd == BPF_MAP_DELETE_BATCH)
			a->batch.values = 0;
		a->batch.count = count;
		a->batch.elem_flags = elem_flags;
		a->batch.flags = flags;
	}
	size = random_size(BATCH_END);
	if (size < BATCH_END)
		/* without what is wrong in it, it would succeed */
		size = lookups_differ ? BATCH_END : size & ~7u;
	note("batch command %d size %u fd %u count %u in %s out %s keys %s values %s elem_flags "
	     "%#llx "
	     "flags %#llx",
	     cmd, size, bad_fd, count, pointer_name(in), pointer_name(out_token),
	     pointer_name(keys), pointer_name(values), (unsigned long long)elem_flags,
	     (unsigned long long)flags);
	if (!call_both(cmd, size, ret, true) || !out)
		return;
	if (ret[KERNEL] == -EFAULT) {
		difference_used(DIFF_FAULT_PREFIX);
		return;
	}
	if (twin.objects && values == PTR_GOOD)
		objects_names(AT_VALUES, count * twin.user_value);
	if (keys == PTR_GOOD && same_bytes(AT_KEYS, count * twin.key_size, "keys of a batch") &&
	    values == PTR_GOOD &&
	    same_bytes(AT_VALUES, count * twin.user_value, "values of a batch") &&
	    out_token == PTR_GOOD && !lookups_differ)
		same_bytes(AT_OUT_TOKEN, twin.key_size, "token of a batch");
}

struct pair {
	uint8_t key[KEY_MAX];
	uint8_t value[VALUE_MAX];
};

static struct pair pairs[SIDES][ENTRIES_MAX];

static int compare_pairs(const void *a, const void *b)
{
	return memcmp(a, b, KEY_MAX);
}

/* The whole map in batches of `room`: the number of elements, *err the last result. */
static uint32_t batch_all(int s, int cmd, uint32_t room, uint64_t elem_flags, long *err)
{
	uint32_t n = 0;
	bool first = true;

	memset(sides[s].mem + AT_OUT_TOKEN, 0, KEY_MAX);
	do {
		union sys_attr *a = attr_of(s);
		uint32_t done;

		memset(a, 0, sizeof(*a));
		memcpy(sides[s].mem + AT_IN_TOKEN, sides[s].mem + AT_OUT_TOKEN, KEY_MAX);
		a->batch.map_fd = twin.fd[s][FD_RW];
		if (!first)
			a->batch.in_batch = (uintptr_t)sides[s].mem + AT_IN_TOKEN;
		a->batch.out_batch = (uintptr_t)sides[s].mem + AT_OUT_TOKEN;
		a->batch.keys = (uintptr_t)sides[s].mem + AT_KEYS;
		a->batch.values = (uintptr_t)sides[s].mem + AT_VALUES;
		a->batch.count = room;
		a->batch.elem_flags = elem_flags;
		*err = sides[s].bpf(cmd, a, BATCH_END);
		if (*err == -ENOSPC) {
			/* a bucket with more than `room` */
			difference_used(DIFF_BATCH_ROOM);
			if (a->batch.count || room >= ENTRIES_MAX)
				return n;
			room = ENTRIES_MAX;
			*err = 0;
			continue;
		}
		done = a->batch.count;
		if ((*err && *err != -ENOENT) || done > room || n + done > ENTRIES_MAX)
			return n;
		if (twin.objects)
			objects_names(AT_VALUES, done * twin.user_value);
		for (uint32_t i = 0; i < done; i++, n++) {
			memset(&pairs[s][n], 0, sizeof(pairs[s][n]));
			memcpy(pairs[s][n].key, sides[s].mem + AT_KEYS + i * twin.key_size,
			       twin.key_size);
			memcpy(pairs[s][n].value, sides[s].mem + AT_VALUES + i * twin.user_value,
			       twin.user_value);
		}
		first = false;
	} while (!*err);
	return n;
}

static void batch_walk(int cmd)
{
	uint32_t room = 1 + rnd(one_in(2) ? 8 : ENTRIES_MAX), n[SIDES];
	uint64_t elem_flags = twin.lock_off >= 0 && one_in(2) ? BPF_F_LOCK : 0;
	long err[SIDES];

	/* what fits in the memory */
	if (room * twin.user_value > 1000000)
		room = 1000000 / twin.user_value;
	note("batch walk, command %d, room %u, elem_flags %llu", cmd, room,
	     (unsigned long long)elem_flags);
	for (int s = 0; s < SIDES; s++) {
		n[s] = batch_all(s, cmd, room, elem_flags, &err[s]);
		if (twin.hash)
			qsort(pairs[s], n[s], sizeof(pairs[s][0]), compare_pairs);
	}
	if (n[KERNEL] != n[SHMAP] || err[KERNEL] != err[SHMAP]) {
		differ("batch walk: %u elements and %ld on the kernel, %u and %ld on shmap",
		       n[KERNEL], err[KERNEL], n[SHMAP], err[SHMAP]);
		return;
	}
	for (uint32_t i = 0; i < n[KERNEL]; i++) {
		if (memcmp(pairs[KERNEL][i].key, pairs[SHMAP][i].key, KEY_MAX)) {
			differ("batch walk: other keys");
			return;
		}
		if (memcmp(pairs[KERNEL][i].value, pairs[SHMAP][i].value, VALUE_MAX)) {
			differ("batch walk: other values");
			return;
		}
	}
}

void op_batch(void)
{
	static const int commands[] = {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
				       BPF_MAP_UPDATE_BATCH, BPF_MAP_UPDATE_BATCH,
				       BPF_MAP_DELETE_BATCH};

	if (!twin.usable)
		return;
	if (one_in(8))
		batch_walk(BPF_MAP_LOOKUP_BATCH);
	else if (twin.hash && one_in(40))
		batch_walk(BPF_MAP_LOOKUP_AND_DELETE_BATCH);
	else
		batch_random(pick(commands));
}
