/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A deliberately simple map: arrays of keys and values, searched from the
 * front. What the real ones do is compared with it.
 */
#ifndef SHMAP_TESTS_MAP_MODEL_H
#define SHMAP_TESTS_MAP_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "map/map.h"

#define MODEL_MAX 96
#define MODEL_KEY_MAX 64
#define MODEL_VALUE_MAX 2048

struct model {
	const struct map_attr *attr;
	bool array, per_cpu;
	uint32_t cpus, elem; /* elem: round_up(value_size, 8) */
	uint32_t n;
	uint8_t key[MODEL_MAX][MODEL_KEY_MAX];
	uint8_t *value[MODEL_MAX]; /* elem * cpus (per-CPU) or value_size */
};

static inline uint32_t model_value_size(const struct model *o)
{
	return o->per_cpu ? o->elem * o->cpus : o->attr->value_size;
}

static inline void model_init(struct model *o, const struct map_attr *attr, uint32_t cpus)
{
	memset(o, 0, sizeof(*o));
	o->attr = attr;
	o->array =
		attr->map_type == BPF_MAP_TYPE_ARRAY || attr->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
	o->per_cpu = attr->map_type == BPF_MAP_TYPE_PERCPU_ARRAY ||
		     attr->map_type == BPF_MAP_TYPE_PERCPU_HASH ||
		     attr->map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	o->cpus = cpus;
	o->elem = (attr->value_size + 7) & ~7u;
	if (!o->array)
		return;
	for (uint32_t i = 0; i < attr->max_entries; i++) {
		memcpy(o->key[i], &i, 4);
		o->value[i] = calloc(1, model_value_size(o));
	}
	o->n = attr->max_entries;
}

static inline void model_free(struct model *o)
{
	for (uint32_t i = 0; i < MODEL_MAX; i++)
		free(o->value[i]);
}

static inline int model_find(const struct model *o, const void *key)
{
	for (uint32_t i = 0; i < o->n; i++)
		if (!memcmp(o->key[i], key, o->attr->key_size))
			return i;
	return -1;
}

/* One CPU's value (cpu >= 0: a program's) or the whole of bpf(2)'s (-1). */
static inline void model_store(struct model *o, int i, const void *value, int cpu)
{
	if (o->per_cpu && cpu >= 0)
		memcpy(o->value[i] + cpu * o->elem, value, o->attr->value_size);
	else
		memcpy(o->value[i], value, model_value_size(o));
}

static inline int model_update(struct model *o, const void *key, const void *value, uint64_t flags,
			       int cpu)
{
	int i = model_find(o, key);

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (i >= 0) {
		if (flags == BPF_NOEXIST)
			return -EEXIST;
		model_store(o, i, value, cpu);
		return 0;
	}
	if (o->array)
		return -E2BIG;
	if (flags == BPF_EXIST)
		return -ENOENT;
	if (o->n >= o->attr->max_entries)
		return -E2BIG;
	i = o->n++;
	memcpy(o->key[i], key, o->attr->key_size);
	o->value[i] = calloc(1, model_value_size(o));
	model_store(o, i, value, cpu);
	return 0;
}

static inline int model_delete(struct model *o, const void *key)
{
	int i = model_find(o, key);

	if (o->array)
		return -EINVAL;
	if (i < 0)
		return -ENOENT;
	free(o->value[i]);
	o->n--;
	memcpy(o->key[i], o->key[o->n], MODEL_KEY_MAX);
	o->value[i] = o->value[o->n];
	o->value[o->n] = NULL;
	return 0;
}

#endif
