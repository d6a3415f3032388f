/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations of one thread on a map and on the simple model give the
 * same results. Arguments: the map type (number), map flags, and a seed.
 * SHMAP_TEST_OPS: operations per map.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <unistd.h>

#include "../check.h"
#include "model.h"
#include "base/bits.h"
#include "sync/lease.h"

static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 11) % n;
}

static struct map *m;
static struct model model;
static uint8_t key[MODEL_KEY_MAX], value[MODEL_VALUE_MAX * 64], out[MODEL_VALUE_MAX * 64];
static uint32_t key_room;
static unsigned long op_no;

static void random_key(uint8_t *k)
{
	uint32_t v = rnd(key_room);

	memset(k, 0, MODEL_KEY_MAX);
	memcpy(k, &v, model.attr->key_size < 4 ? model.attr->key_size : 4);
	/* long keys differ at the end, too */
	if (model.attr->key_size > 4)
		k[model.attr->key_size - 1] = v;
}

static void random_value(void)
{
	uint32_t size = model_value_size(&model);

	for (uint32_t i = 0; i < size; i++)
		value[i] = rnd(256);
}

/* Padding after a program's update is nobody's: not compared in PERCPU_HASH. */
static bool value_equal(const uint8_t *got, const uint8_t *want)
{
	if (model.array || !model.per_cpu)
		return !memcmp(got, want, model_value_size(&model));
	for (uint32_t cpu = 0; cpu < model.cpus; cpu++)
		if (memcmp(got + cpu * model.elem, want + cpu * model.elem, model.attr->value_size))
			return false;
	return true;
}

static bool bpf_side_equal(const uint8_t *k)
{
	int i = model_find(&model, k), err;

	memset(out, 0xa5, sizeof(out));
	err = m->ops->read(m, k, out, 0);
	if (i < 0)
		return err == -ENOENT;
	return !err && value_equal(out, model.value[i]) && out[model_value_size(&model)] == 0xa5;
}

static long visit(void *arg, struct map *map, const void *k, void *v)
{
	int i = model_find(&model, k), cpu = lease_cpu();

	CHECK(i >= 0);
	if (i >= 0)
		CHECK(!memcmp(v, model.value[i] + (model.per_cpu ? cpu * model.elem : 0),
			      model.attr->value_size));
	return ++*(uint32_t *)arg > MODEL_MAX;
}

static void program_side(void)
{
	int cpu = lease_acquire(), i;
	uint64_t flags = rnd(4);
	uint32_t visited = 0, other;
	uint8_t *p;

	REQUIRE(cpu >= 0);
	switch (rnd(6)) {
	case 0:
	case 1:
		p = m->ops->lookup(m, key);
		i = model_find(&model, key);
		CHECK(!p == (i < 0));
		if (!p || i < 0)
			break;
		CHECK(!memcmp(p, model.value[i] + (model.per_cpu ? cpu * model.elem : 0),
			      model.attr->value_size));
		/* a program stores in place */
		p[0] ^= 0x5a;
		model.value[i][model.per_cpu ? cpu * model.elem : 0] ^= 0x5a;
		break;
	case 2:
		CHECK_EQ(m->ops->update(m, key, value, flags),
			 model_update(&model, key, value, flags, cpu));
		break;
	case 3:
		CHECK_EQ(m->ops->delete (m, key), model_delete(&model, key));
		break;
	case 4:
		if (!m->ops->lookup_percpu)
			break;
		other = rnd(model.cpus + 1);
		p = m->ops->lookup_percpu(m, key, other);
		i = model_find(&model, key);
		CHECK(!p == (i < 0 || other >= model.cpus));
		if (p && i >= 0)
			CHECK(!memcmp(p, model.value[i] + other * model.elem,
				      model.attr->value_size));
		break;
	case 5:
		if (rnd(8))
			break;
		CHECK_EQ(m->ops->for_each(m, visit, &visited), model.n);
		CHECK_EQ(visited, model.n);
		break;
	}
	lease_release();
}

/* next_key from the first to the end meets each key of the model once. */
static void walk(void)
{
	uint8_t at[MODEL_KEY_MAX] = {0}, next[MODEL_KEY_MAX] = {0};
	bool seen[MODEL_MAX] = {false};
	uint32_t n = 0;
	int err;

	for (err = m->ops->next_key(m, NULL, next); !err; err = m->ops->next_key(m, at, next)) {
		int i = model_find(&model, next);

		CHECK(i >= 0 && !seen[i]);
		if (i < 0 || ++n > model.n)
			break;
		seen[i] = true;
		memcpy(at, next, sizeof(at));
	}
	CHECK_EQ(err, -ENOENT);
	CHECK_EQ(n, model.n);
}

static void batch_update(void)
{
	uint32_t vs = model_value_size(&model), ks = model.attr->key_size, n = 1 + rnd(6);
	uint8_t *keys = calloc(n, ks), *values = malloc(n * vs);
	struct map_batch b = {.keys = keys, .values = values, .count = n};
	uint32_t done = 0;
	int err = 0, want = 0;

	for (uint32_t i = 0; i < n; i++) {
		random_key(key);
		memcpy(keys + i * ks, key, ks);
		random_value();
		memcpy(values + i * vs, value, vs);
	}
	for (done = 0; done < n && !want; done++) {
		memset(key, 0, sizeof(key));
		memcpy(key, keys + done * ks, ks);
		want = model_update(&model, key, values + done * vs, 0, -1);
	}
	err = m->ops->update_batch(m, &b);
	CHECK_EQ(err, want);
	CHECK_EQ(b.count, want ? done - 1 : done);
	free(keys);
	free(values);
}

/* Batches of one size until the end bring each element once. */
static void batch_walk(bool del)
{
	int (*fn)(struct map *, struct map_batch *) =
		del ? m->ops->lookup_and_delete_batch : m->ops->lookup_batch;
	uint32_t vs = model_value_size(&model), ks = model.attr->key_size;
	uint32_t room = 1 + rnd(2 * MODEL_MAX), n = 0;
	uint8_t token[MODEL_KEY_MAX], *keys, *values;
	bool first = true, seen[MODEL_MAX] = {false};
	int err;

	if (!fn)
		return;
	keys = malloc(2 * MODEL_MAX * ks);
	values = malloc(2 * (size_t)MODEL_MAX * vs);
	do {
		struct map_batch b = {.in_batch = first ? NULL : token,
				      .out_batch = token,
				      .keys = keys,
				      .values = values,
				      .count = room};

		err = fn(m, &b);
		if (err == -ENOSPC) { /* a bucket that is larger: allowed, if nothing came */
			CHECK_EQ(b.count, 0);
			CHECK(room < 2 * MODEL_MAX);
			room = 2 * MODEL_MAX;
			err = 0;
			continue;
		}
		CHECK(!err || err == -ENOENT);
		CHECK(b.count <= room);
		for (uint32_t i = 0; i < b.count; i++) {
			uint8_t k[MODEL_KEY_MAX] = {0};
			int at;

			memcpy(k, keys + i * ks, ks);
			at = model_find(&model, k);
			CHECK(at >= 0 && !seen[at]);
			if (at < 0)
				continue;
			seen[at] = true;
			CHECK(value_equal(values + i * vs, model.value[at]));
		}
		n += b.count;
		first = false;
	} while (!err && n <= model.n);
	CHECK_EQ(err, -ENOENT);
	CHECK_EQ(n, model.n);
	while (del && model.n)
		model_delete(&model, model.key[0]);
	free(keys);
	free(values);
}

static void one_op(void)
{
	uint64_t flags = rnd(8) ? rnd(4) : rnd(16);
	int i;

	random_key(key);
	random_value();
	switch (rnd(16)) {
	case 0 ... 3:
		CHECK(bpf_side_equal(key));
		break;
	case 4 ... 6:
		/* BPF_F_LOCK without a lock: refused, after the index for arrays */
		if (flags & BPF_F_LOCK)
			flags = 3;
		CHECK_EQ(m->ops->write(m, key, value, flags),
			 model_update(&model, key, value, flags, -1));
		break;
	case 7:
		CHECK_EQ(m->ops->erase(m, key), model_delete(&model, key));
		break;
	case 8:
		if (!m->ops->pop)
			break;
		i = model_find(&model, key);
		memset(out, 0xa5, sizeof(out));
		CHECK_EQ(m->ops->pop(m, key, out, 0), i < 0 ? -ENOENT : 0);
		if (i >= 0) {
			CHECK(value_equal(out, model.value[i]));
			model_delete(&model, key);
		}
		break;
	case 9:
		if (!rnd(8))
			walk();
		break;
	case 10:
		batch_update();
		break;
	case 11:
		if (!rnd(8))
			batch_walk(false);
		else if (!rnd(32))
			batch_walk(true);
		break;
	default:
		program_side();
	}
}

static void one_map(uint32_t type, uint32_t flags, unsigned long ops)
{
	static const uint32_t value_sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 24, 100, 1000, 2048};
	struct map_attr attr = {
		.map_type = type, .map_flags = flags, .spin_lock_off = -1, .name = "model"};
	struct map *again;
	bool lru;
	char why[256] = "";
	int fd = -1, err;

	attr.value_size = value_sizes[rnd(ARRAY_SIZE(value_sizes))];
	attr.max_entries = 1 + rnd(MODEL_MAX - 1);
	attr.key_size = 4;
	lru = type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	if (lru || type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH)
		attr.key_size = 1 + rnd(MODEL_KEY_MAX - 1);
	key_room = attr.max_entries + 1 + rnd(attr.max_entries + 2);
	if (lru) /* room for all: nothing is evicted */
		key_room = 1 + rnd(attr.max_entries);
	err = map_create(&attr, -1, &m, &fd);
	CHECK_EQ(err, 0);
	if (err)
		return;
	model_init(&model, &attr, lease_possible_cpus());
	CHECK_EQ(map_user_value_size(m), model_value_size(&model));
	for (op_no = 0; op_no < ops && !check_failures; op_no++)
		one_op();
	/* the same through a second mapping, as another process has it */
	REQUIRE(!map_open(fd, &again));
	map_put(m);
	m = again;
	for (; op_no < 2 * ops && !check_failures; op_no++)
		one_op();
	for (uint32_t i = 0; i < model.n; i++)
		CHECK(bpf_side_equal(model.key[i]));
	CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
	CHECK_EQ(m->ops->recover(m), 0);
	if (check_failures)
		fprintf(stderr, "type %u flags %#x key %u value %u max %u, operation %lu%s%s\n",
			type, flags, attr.key_size, attr.value_size, attr.max_entries, op_no,
			*why ? ": " : "", why);
	model_free(&model);
	map_put(m);
	close(fd);
}

int main(int argc, char **argv)
{
	uint32_t type = argc > 1 ? strtoul(argv[1], NULL, 0) : BPF_MAP_TYPE_ARRAY;
	uint32_t flags = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 20240607;
	const char *ops = getenv("SHMAP_TEST_OPS");
	unsigned long per_map = ops ? strtoul(ops, NULL, 0) / 20 : 1500;

	check_private_rundir();
	if (!map_ops_find(type))
		SKIP("map type %u is not there", type);
	rng = seed * 0x9e3779b97f4a7c15ull + 1;
	for (int i = 0; i < 40 && !check_failures; i++)
		one_map(type, flags, per_map);
	if (check_failures)
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	return check_done();
}
