/* SPDX-License-Identifier: BSD-2-Clause */
/* Values by their BTF, and whole maps, as JSON or as text. */
#ifndef SHMAP_CLI_DUMP_H
#define SHMAP_CLI_DUMP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct btf;

enum dump_style {
	DUMP_JSON, /* as bpftool prints maps with BTF, always valid JSON */
	DUMP_TEXT, /* {pid=1, comm="ls"} */
};

struct dump_map {
	int fd;
	const char *name;
	uint32_t type, key_size, value_size, max_entries;
	const struct btf *btf; /* or NULL */
	uint32_t key_type_id, value_type_id;
};

/* One value of a type; bit_offset is within the first byte. 0 or -errno. */
int dump_type(FILE *out, enum dump_style style, const struct btf *btf, uint32_t type_id,
	      const void *data);
void dump_string(FILE *out, const char *s);
/* Adds the integers of a value of type_id to those in sum; false when it has none. */
bool dump_add(const struct btf *btf, uint32_t type_id, void *sum, const void *data);

/* All elements: a JSON array, or lines of text. 0 or -errno. */
int dump_map(FILE *out, enum dump_style style, const struct dump_map *m);
/* One key, or one value of one CPU. 0 or -errno. */
int dump_part(FILE *out, enum dump_style style, const struct dump_map *m, bool key,
	      const void *data);
bool dump_per_cpu(uint32_t type);
const char *dump_map_type_name(uint32_t type);

#endif
