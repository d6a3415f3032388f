/* SPDX-License-Identifier: BSD-2-Clause */
/* Old map definitions, between the object that has them and the BTF that says the same. */
#ifndef SHMAP_BTF_OLD_MAPS_H
#define SHMAP_BTF_OLD_MAPS_H

#include <stdint.h>

#define OLD_MAPS_MAX 256

/* A map's definition: struct bpf_map_def, with or without the fields that came later. */
struct old_map {
	const char *name;
	uint32_t section, symbol; /* indices in the object */
	uint64_t from;		  /* offset in its section */
	uint32_t size;		  /* of the definition */
	uint32_t to;		  /* offset in the new section */
	const uint8_t *def;
};

struct old_maps {
	uint32_t cnt, size; /* size: of the new section */
	struct old_map map[OLD_MAPS_MAX];
};

/*
 * BTF (malloc()ed) with a section ".maps" of definitions as libbpf 1.x has them, and all that
 * the old BTF (may be NULL) has; its type ids stay. 0 or -errno with a sentence in why.
 */
int old_maps_btf(const struct old_maps *maps, const void *old, uint32_t old_size, void **out,
		 uint32_t *out_size, char *why);

#endif
