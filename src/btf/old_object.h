/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Objects from before libbpf 1.0, made into ones that libbpf 1.x opens.
 *
 *   struct bpf_map_def SEC("maps") name = { .type = ..., ... };
 *
 * Section "maps", and "maps/..." of any name (a section for each map, as some loaders wanted
 * it), become one section ".maps"; the BTF gets the definitions that libbpf wants to see
 * there, an object without BTF one of its own. BPF_ANNOTATE_KV_PAIR() of a map gives it its
 * key and value type.
 */
#ifndef SHMAP_BTF_OLD_OBJECT_H
#define SHMAP_BTF_OLD_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OLD_OBJECT_WHY 256

/*
 * 1: *out (malloc()ed) is the object to open in its place; 0: nothing old in it, or nothing
 * that can be judged (libbpf will say what is wrong with it); -errno with a sentence in why.
 */
int old_object_convert(const void *elf, size_t size, void **out, size_t *out_size,
		       char *why); /* OLD_OBJECT_WHY bytes */

/*
 * What libbpf 0.x took a section's program for by the beginning of its name alone ("socket1",
 * "xdp_prog", "classifier_in"), and 1.x does not know. False: neither of them did.
 */
bool old_section_type(const char *section, uint32_t *prog_type, uint32_t *attach_type);

/* The whole file, malloc()ed, with *size; NULL and errno. Only regular files up to 256 MiB. */
void *old_object_read(const char *path, size_t *size);

/* Writes the sentence to why (OLD_OBJECT_WHY bytes): -EINVAL. */
int old_object_fail(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
