/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole maps, element by element through bpf(2). */
#include "cli/dump.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/bits.h"

/* As bpftool names them. */
const char *dump_map_type_name(uint32_t type)
{
	const char *name = libbpf_bpf_map_type_str(type);

	return name ? name : "unknown type";
}

bool dump_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

static bool array_like(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

struct elements {
	FILE *out;
	const struct dump_map *m;
	int cpus;      /* 0: one value */
	size_t stride; /* between two CPUs' values */
	uint8_t *key, *next, *value, *sum;
	unsigned long shown, zero;
	bool no_walk; /* the type has no keys to walk */
};

static bool is_zero(const uint8_t *p, size_t n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

/* Bytes: ["0x01","0x02"] or, as text, 01 02; short ones are numbers in text. */
static void dump_bytes(FILE *out, enum dump_style style, const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	if (style == DUMP_TEXT && (n == 1 || n == 2 || n == 4 || n == 8)) {
		memcpy(&v, p, n);
		fprintf(out, "%llu", (unsigned long long)v);
		return;
	}
	if (style == DUMP_JSON)
		putc('[', out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, style == DUMP_JSON ? "%s\"0x%02x\"" : "%s%02x",
			!i		     ? ""
			: style == DUMP_JSON ? ","
					     : " ",
			p[i]);
	if (style == DUMP_JSON)
		putc(']', out);
}

static bool has_btf(const struct dump_map *m)
{
	return m->btf && m->value_type_id;
}

static int dump_key(struct elements *e, enum dump_style style)
{
	const struct dump_map *m = e->m;

	if (has_btf(m) && m->key_type_id)
		return dump_type(e->out, style, m->btf, m->key_type_id, e->key);
	dump_bytes(e->out, style, e->key, m->key_size);
	return 0;
}

static int dump_value(struct elements *e, enum dump_style style, const uint8_t *value)
{
	const struct dump_map *m = e->m;

	if (has_btf(m))
		return dump_type(e->out, style, m->btf, m->value_type_id, value);
	dump_bytes(e->out, style, value, m->value_size);
	return 0;
}

static int element_json(struct elements *e)
{
	int err = 0;

	fprintf(e->out, e->shown ? ",\n    {" : "\n    {");
	/* The one element of a global data section has no key there. */
	if (!has_btf(e->m) || e->m->key_type_id) {
		fputs("\"key\": ", e->out);
		err = dump_key(e, DUMP_JSON);
		fputs(", ", e->out);
	}
	if (!e->cpus) {
		fputs("\"value\": ", e->out);
		err = err ?: dump_value(e, DUMP_JSON, e->value);
	} else {
		fputs("\"values\": [", e->out);
		for (int cpu = 0; cpu < e->cpus; cpu++) {
			fprintf(e->out, "%s{\"cpu\": %d, \"value\": ", cpu ? "," : "", cpu);
			err = err ?: dump_value(e, DUMP_JSON, e->value + cpu * e->stride);
			putc('}', e->out);
		}
		putc(']', e->out);
	}
	putc('}', e->out);
	return err;
}

/* The sum over all CPUs into e->sum; false when the value is no number. */
static bool element_sum(struct elements *e)
{
	const struct dump_map *m = e->m;
	bool any = false;

	memset(e->sum, 0, e->stride);
	for (int cpu = 0; cpu < e->cpus; cpu++) {
		const uint8_t *value = e->value + cpu * e->stride;

		if (has_btf(m)) {
			any = dump_add(m->btf, m->value_type_id, e->sum, value);
		} else if (m->value_size == 4 || m->value_size == 8) {
			uint64_t a = 0, b = 0;

			memcpy(&a, e->sum, m->value_size);
			memcpy(&b, value, m->value_size);
			a += b;
			memcpy(e->sum, &a, m->value_size);
			any = true;
		}
	}
	return any;
}

static int element_text(struct elements *e)
{
	bool first = true;
	int err = 0;

	/* Thousands of untouched array slots tell nothing. */
	if (array_like(e->m->type) && e->m->max_entries > 1 &&
	    is_zero(e->value, e->cpus ? e->stride * e->cpus : e->m->value_size)) {
		e->zero++;
		return 0;
	}
	fputs("  ", e->out);
	if (!has_btf(e->m) || e->m->key_type_id) {
		err = dump_key(e, DUMP_TEXT);
		fputs(": ", e->out);
	}
	if (!e->cpus) {
		err = err ?: dump_value(e, DUMP_TEXT, e->value);
		putc('\n', e->out);
		return err;
	}
	if (element_sum(e)) {
		err = err ?: dump_value(e, DUMP_TEXT, e->sum);
		putc(' ', e->out);
	}
	putc('(', e->out);
	for (int cpu = 0; cpu < e->cpus; cpu++) {
		const uint8_t *value = e->value + cpu * e->stride;

		if (e->cpus > 4 && is_zero(value, e->m->value_size))
			continue;
		fprintf(e->out, "%scpu%d ", first ? "" : ", ", cpu);
		err = err ?: dump_value(e, DUMP_TEXT, value);
		first = false;
	}
	fputs(")\n", e->out);
	return err;
}

static int elements_each(struct elements *e, enum dump_style style)
{
	const void *prev = NULL;

	if (!e->m->key_size)
		return 0;
	while (!bpf_map_get_next_key(e->m->fd, prev, e->next)) {
		int err;

		memcpy(e->key, e->next, e->m->key_size);
		prev = e->key;
		if (bpf_map_lookup_elem(e->m->fd, e->key, e->value)) {
			if (errno == ENOENT)
				continue; /* deleted meanwhile, or an empty slot */
			if (errno != 524 && errno != EOPNOTSUPP)
				return -errno;
			/* slots that take fds and give nothing back */
			e->no_walk = true;
			return 0;
		}
		err = style == DUMP_JSON ? element_json(e) : element_text(e);
		if (err)
			return err;
		e->shown++;
	}
	/* ENOTSUPP (524) and its like: the type has no keys to walk */
	e->no_walk = errno == 524 || errno == EOPNOTSUPP;
	return errno == ENOENT || errno == 524 || errno == EOPNOTSUPP || errno == EINVAL ? 0
											 : -errno;
}

int dump_part(FILE *out, enum dump_style style, const struct dump_map *m, bool key, const void *data)
{
	uint32_t type_id = key ? m->key_type_id : m->value_type_id;

	if (has_btf(m) && type_id)
		return dump_type(out, style, m->btf, type_id, data);
	dump_bytes(out, style, data, key ? m->key_size : m->value_size);
	return 0;
}

int dump_map(FILE *out, enum dump_style style, const struct dump_map *m)
{
	struct elements e = {.out = out, .m = m};
	size_t value;
	int err = -ENOMEM;

	e.stride = round_up_u64(m->value_size, 8);
	if (dump_per_cpu(m->type)) {
		e.cpus = libbpf_num_possible_cpus();
		if (e.cpus < 1)
			return -EINVAL;
	}
	value = e.stride * (e.cpus ? e.cpus : 1);
	e.key = malloc(m->key_size + 8);
	e.next = malloc(m->key_size + 8);
	e.value = calloc(1, value + 8);
	e.sum = malloc(e.stride + 8);
	if (!e.key || !e.next || !e.value || !e.sum)
		goto free;
	if (style == DUMP_JSON)
		putc('[', out);
	else
		fprintf(out, "%s: %s\n", m->name, dump_map_type_name(m->type));
	err = elements_each(&e, style);
	if (style == DUMP_JSON)
		putc(']', out);
	else if (!e.shown && !err)
		fputs(m->key_size && !e.no_walk ? "  (empty)\n" : "  (no elements to list)\n", out);
	else if (e.zero)
		fprintf(out, "  (%lu other elements are zero)\n", e.zero);
free:
	free(e.key);
	free(e.next);
	free(e.value);
	free(e.sum);
	return err;
}
