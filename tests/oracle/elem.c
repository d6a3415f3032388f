/* SPDX-License-Identifier: BSD-2-Clause */
/* The element commands, and walks over all keys. */
#include <stdlib.h>
#include <string.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "oracle.h"
#include "sys/sys.h"

#define ELEM_END (offsetof(union sys_attr, elem.flags) + 8)

/* A prefix, often one that covers another, or is covered. */
static void random_prefix(uint32_t at)
{
	uint8_t key[KEY_MAX + 8] = {0};
	uint32_t bits = (twin.key_size - 4) * 8, v = rnd(twin.key_room);
	uint32_t plen = bits < 8 * 4 || one_in(3) ? rnd(bits + 1) : bits - rnd(9);

	if (one_in(30))
		plen = one_in(2) ? bits + 1 : (uint32_t)rnd64();
	memcpy(key, &plen, 4);
	key[4] = v % 5 * 64;
	key[twin.key_size - 1] ^= v;
	if (twin.key_size > 6)
		key[twin.key_size / 2] ^= v >> 3;
	put_both(at, key, twin.key_size <= KEY_MAX ? twin.key_size : KEY_MAX);
}

void random_key(uint32_t at)
{
	uint8_t key[KEY_MAX + 8] = {0};
	uint32_t v = rnd(twin.key_room), n = twin.key_size < 4 ? twin.key_size : 4;

	if (twin.type == BPF_MAP_TYPE_LPM_TRIE) {
		random_prefix(at);
		return;
	}
	if (is_storage(twin.type)) {
		int owner = random_owner(twin.type);

		put_both(at, &owner, sizeof(owner));
		return;
	}
	if (!twin.hash && one_in(20))
		v = rnd64();
	memcpy(key, &v, n);
	if (twin.key_size > 4 && twin.key_size <= KEY_MAX)
		key[twin.key_size - 1] = v * 7;
	put_both(at, key, twin.key_size <= KEY_MAX ? twin.key_size : KEY_MAX);
}

/* The value of a PERF_EVENT_ARRAY: the fd of a perf event, or of something else. */
static void random_event(uint32_t at)
{
	static int events[SIDES][3];
	struct perf_event_attr like = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(like),
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
	};
	uint32_t i = rnd(ARRAY_SIZE(events[0]) + 2);

	for (int e = 0; e < 3 && !events[KERNEL][e]; e++) {
		events[KERNEL][e] = syscall(SYS_perf_event_open, &like, -1, 0, -1, 8);
		events[SHMAP][e] = sys_perf_event_open(&like, -1, 0, -1, 8);
	}
	fill_both(at, 4);
	for (int s = 0; s < SIDES && i < ARRAY_SIZE(events[0]); s++)
		if (events[KERNEL][i] > 0)
			memcpy(sides[s].mem + at, &events[s][i], 4);
}

#define BLOOM_VALUES 64

/* Few different ones, so that many of those asked for are in the filter. */
static void random_member(uint32_t at)
{
	uint32_t n = rnd(BLOOM_VALUES);

	for (int s = 0; s < SIDES; s++)
		for (uint32_t i = 0; i < twin.user_value; i++)
			sides[s].mem[at + i] = (uint8_t)(n * (2 * i + 1) + i);
}

void random_value(uint32_t at)
{
	if (twin.objects)
		objects_value(at);
	else if (twin.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		random_event(at);
	else if (twin.bloom)
		random_member(at);
	else
		fill_both(at, twin.user_value);
}

uint32_t value_number(uint32_t at)
{
	return sides[KERNEL].mem[at] % BLOOM_VALUES;
}

bool value_pushed(uint32_t at)
{
	return twin.pushed >> value_number(at) & 1;
}

bool false_positive(uint32_t at, long kernel, long shmap)
{
	if (!twin.bloom || value_pushed(at) || (kernel && kernel != -ENOENT) ||
	    (shmap && shmap != -ENOENT))
		return false;
	difference_used(DIFF_FALSE_POSITIVE);
	return true;
}

bool key_exists(uint32_t at)
{
	static uint8_t saved[SIDES][512];
	bool there[SIDES];

	for (int s = 0; s < SIDES; s++) {
		union sys_attr *a = attr_of(s);

		memcpy(saved[s], a, sizeof(saved[s]));
		memset(a, 0, sizeof(*a));
		/* the fd of MAP_CREATE may be for writing only */
		a->elem.map_fd = twin.fd[s][twin.flags & BPF_F_WRONLY ? FD_RO : FD_RW];
		a->elem.key = (uintptr_t)sides[s].mem + at;
		a->elem.value = (uintptr_t)sides[s].mem + AT_VALUES;
		there[s] = !sides[s].bpf(BPF_MAP_LOOKUP_ELEM, a, ELEM_END);
		memcpy(a, saved[s], sizeof(saved[s]));
	}
	if (there[KERNEL] != there[SHMAP])
		differ("a key is in the map of the %s only", there[KERNEL] ? "kernel" : "shmap");
	return there[KERNEL];
}

static enum fd_mode random_mode(void)
{
	uint32_t r = rnd(20);

	if (r < 2 && twin.fd[KERNEL][FD_RO] >= 0)
		return FD_RO;
	if (r == 2 && twin.fd[KERNEL][FD_WO] >= 0)
		return FD_WO;
	return FD_RW;
}

/* The map's fd, sometimes none. */
static int random_fd(int s, enum fd_mode mode, uint32_t how)
{
	if (how == 0)
		return 1000000; /* closed */
	if (how == 1)
		return -1;
	if (how == 2)
		return STDIN_FILENO; /* no map */
	return twin.fd[s][mode];
}

static uint64_t random_flags(int cmd)
{
	static const uint64_t odd[] = {3, 5, 6, 7, 8, 16, 1ull << 32, (1ull << 32) | 1, ~0ull};

	if (one_in(40))
		return pick(odd);
	if (twin.lock_off >= 0 && one_in(2))
		return BPF_F_LOCK | (cmd == BPF_MAP_UPDATE_ELEM ? rnd(3) : 0);
	if (cmd == BPF_MAP_UPDATE_ELEM)
		return one_in(2) ? 0 : rnd(3);
	return one_in(20) ? rnd(5) : 0;
}

/* The order of a hash is nobody's: which of the two may be chance. */
static bool order_decides(long ret, enum pointer out)
{
	return ret == 0 || ret == -ENOENT || (ret == -EFAULT && out != PTR_GOOD);
}

void op_elem(void)
{
	static const int commands[] = {
		BPF_MAP_LOOKUP_ELEM, BPF_MAP_LOOKUP_ELEM,	    BPF_MAP_LOOKUP_ELEM,
		BPF_MAP_UPDATE_ELEM, BPF_MAP_UPDATE_ELEM,	    BPF_MAP_UPDATE_ELEM,
		BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,	    BPF_MAP_GET_NEXT_KEY,
		BPF_MAP_DELETE_ELEM, BPF_MAP_LOOKUP_AND_DELETE_ELEM};
	int cmd = pick(commands);
	bool out = cmd == BPF_MAP_LOOKUP_ELEM || cmd == BPF_MAP_LOOKUP_AND_DELETE_ELEM ||
		   cmd == BPF_MAP_GET_NEXT_KEY;
	bool next = cmd == BPF_MAP_GET_NEXT_KEY, by_order = false, no_value, by_chance;
	enum pointer key = random_pointer(false), value = random_pointer(out);
	enum fd_mode mode = random_mode();
	uint32_t bad_fd = rnd(200), value_at = next ? AT_NEXT : AT_VALUE;
	uint32_t value_len = next ? twin.key_size : twin.user_value;
	uint64_t flags = random_flags(cmd);
	unsigned int size;
	long ret[SIDES];

	if (!twin.usable)
		return;
	if ((next && one_in(8)) || (!twin.key_size && !one_in(12)))
		key = PTR_NULL;
	/* asked of a filter: the value goes in */
	if (twin.bloom && value == PTR_READ_ONLY)
		value = PTR_GOOD;
	by_chance = twin.bloom && cmd == BPF_MAP_LOOKUP_ELEM && value == PTR_GOOD;
	no_value = cmd == BPF_MAP_DELETE_ELEM && !one_in(30);
	random_key(AT_KEY);
	if (out && !by_chance)
		mark_both(value_at, value_len);
	else
		random_value(AT_VALUE);
	fill_both(MEM_SIZE - VALUE_MAX, VALUE_MAX);
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		union sys_attr *a = attr_of(s);

		a->elem.map_fd = random_fd(s, mode, bad_fd);
		a->elem.key = pointer_to(s, key, AT_KEY, twin.key_size);
		if (!no_value)
			a->elem.value = pointer_to(s, value, value_at, value_len);
		a->elem.flags = flags;
	}
	/* A pointer that is cut in the middle would lead anywhere. */
	size = random_size(cmd == BPF_MAP_DELETE_ELEM ? offsetof(union sys_attr, elem.value)
			   : next		      ? offsetof(union sys_attr, elem.flags)
						      : ELEM_END);
	if (size < ELEM_END)
		size &= ~7u;
	if (next && size < offsetof(union sys_attr, elem.next_key) + 8)
		value = PTR_NULL;
	note("command %d size %u fd mode %d%s key %#x (%s) value %s flags %#llx", cmd, size, mode,
	     bad_fd < 3 ? " (bad)" : "", *(uint32_t *)(sides[KERNEL].mem + AT_KEY),
	     pointer_name(key), no_value ? "none" : pointer_name(value), (unsigned long long)flags);
	/* whatever the mode: where reading is refused both sides say so */
	if (next && twin.hash && key == PTR_GOOD && bad_fd >= 3)
		by_order = key_exists(AT_KEY);
	if (oracle_failed || !call_both(cmd, size, ret, !by_order && !by_chance))
		return;
	if (twin.bloom && cmd == BPF_MAP_UPDATE_ELEM && !ret[KERNEL] && value == PTR_GOOD)
		twin.pushed |= 1ull << value_number(AT_VALUE);
	if (by_chance) {
		if (ret[KERNEL] != ret[SHMAP] && !false_positive(AT_VALUE, ret[KERNEL], ret[SHMAP]))
			differ("the filter of the kernel returns %ld, of shmap %ld", ret[KERNEL],
			       ret[SHMAP]);
		return;
	}
	if (by_order && ret[KERNEL] != ret[SHMAP]) {
		difference_used(DIFF_HASH_ORDER);
		if (!order_decides(ret[KERNEL], value) || !order_decides(ret[SHMAP], value))
			differ("next key: the kernel returns %ld, shmap %ld", ret[KERNEL],
			       ret[SHMAP]);
		return;
	}
	if (!out)
		return;
	if (ret[KERNEL] == -EFAULT) {
		difference_used(DIFF_FAULT_PREFIX);
		return;
	}
	if (next && twin.hash) {
		difference_used(DIFF_HASH_ORDER);
		if (!ret[KERNEL] && value == PTR_GOOD) {
			/* each side's answer must be a key of the other, too */
			for (int s = 0; s < SIDES; s++) {
				put_both(AT_KEY, sides[s].mem + AT_NEXT, twin.key_size);
				if (!key_exists(AT_KEY))
					differ("next key of %s: not in the map", sides[s].name);
			}
		}
		return;
	}
	if (value == PTR_GOOD && twin.objects && !next)
		objects_names(value_at, value_len);
	if (value == PTR_GOOD)
		same_bytes(value_at, value_len, next ? "next key" : "value");
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, twin.key_size);
}

/* All keys by next_key: the same set, each once; and their values. */
void op_walk(void)
{
	static uint8_t keys[SIDES][(ENTRIES_MAX + 1) * KEY_MAX];
	uint32_t n[SIDES] = {0};
	long ret[SIDES];

	if (!one_in(4) || twin.flags & BPF_F_WRONLY)
		return;
	note("walk");
	for (int s = 0; s < SIDES; s++) {
		union sys_attr *a = attr_of(s);

		memset(a, 0, sizeof(*a));
		a->elem.map_fd = twin.fd[s][FD_RW];
		for (;;) {
			a->elem.next_key = (uintptr_t)keys[s] + n[s] * twin.key_size;
			ret[s] = sides[s].bpf(BPF_MAP_GET_NEXT_KEY, a, ELEM_END);
			if (ret[s] || n[s] == ENTRIES_MAX)
				break;
			a->elem.key = a->elem.next_key;
			n[s]++;
		}
		if (twin.hash)
			qsort(keys[s], n[s], twin.key_size, compare_keys);
	}
	if (ret[KERNEL] != ret[SHMAP] || n[KERNEL] != n[SHMAP]) {
		differ("walk: %u keys and %ld on the kernel, %u and %ld on shmap", n[KERNEL],
		       ret[KERNEL], n[SHMAP], ret[SHMAP]);
		return;
	}
	if (memcmp(keys[KERNEL], keys[SHMAP], n[KERNEL] * twin.key_size)) {
		differ("walk: other keys");
		return;
	}
	for (uint32_t i = 0; i < n[KERNEL] && !oracle_failed; i++) {
		attr_clear();
		put_both(AT_KEY, keys[KERNEL] + i * twin.key_size, twin.key_size);
		mark_both(AT_VALUE, twin.user_value);
		for (int s = 0; s < SIDES; s++) {
			attr_of(s)->elem.map_fd = twin.fd[s][FD_RW];
			attr_of(s)->elem.key = (uintptr_t)sides[s].mem + AT_KEY;
			attr_of(s)->elem.value = (uintptr_t)sides[s].mem + AT_VALUE;
		}
		if (!call_both(BPF_MAP_LOOKUP_ELEM, ELEM_END, ret, true))
			continue;
		if (twin.objects)
			objects_names(AT_VALUE, twin.user_value);
		same_bytes(AT_VALUE, twin.user_value, "value in a walk");
	}
}
