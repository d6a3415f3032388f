/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside btf_check(): what its stages share.
 *
 *   check.c     header, sections, the order of the stages
 *   meta.c      each type alone: its kind, vlen, flags, size, names
 *   resolve.c   references between types: in range, of the right kinds, no
 *               loops; members inside their structs
 *   fields.c    special fields (struct bpf_spin_lock and its like)
 */
#ifndef SHMAP_BTF_CHECK_H
#define SHMAP_BTF_CHECK_H

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK_DEPTH 32 /* of references, as in the kernel */
#define CHECK_MAX_SIZE (16u << 20)
#define CHECK_NAME_LEN 512

#define KIND(t) BTF_INFO_KIND((t)->info)
#define KIND_BIT(kind) (1u << (kind))
#define IS(t, bits) (!!(KIND_BIT(KIND(t)) & (bits)))

#define KINDS_STRUCT (KIND_BIT(BTF_KIND_STRUCT) | KIND_BIT(BTF_KIND_UNION))
#define KINDS_MODIFIER                                                                             \
	(KIND_BIT(BTF_KIND_TYPEDEF) | KIND_BIT(BTF_KIND_VOLATILE) | KIND_BIT(BTF_KIND_CONST) |     \
	 KIND_BIT(BTF_KIND_RESTRICT) | KIND_BIT(BTF_KIND_TYPE_TAG))
/* Their size member is one. */
#define KINDS_SIZED                                                                                \
	(KINDS_STRUCT | KIND_BIT(BTF_KIND_INT) | KIND_BIT(BTF_KIND_ENUM) |                         \
	 KIND_BIT(BTF_KIND_ENUM64) | KIND_BIT(BTF_KIND_FLOAT) | KIND_BIT(BTF_KIND_DATASEC))
#define KINDS_NOSIZE                                                                               \
	(KIND_BIT(BTF_KIND_UNKN) | KIND_BIT(BTF_KIND_FWD) | KIND_BIT(BTF_KIND_FUNC) |              \
	 KIND_BIT(BTF_KIND_FUNC_PROTO) | KIND_BIT(BTF_KIND_DECL_TAG))
/* Nothing may refer to them but a data section to its variables, a tag to its target. */
#define KINDS_SOURCE                                                                               \
	(KIND_BIT(BTF_KIND_VAR) | KIND_BIT(BTF_KIND_DECL_TAG) | KIND_BIT(BTF_KIND_DATASEC))
#define KINDS_RESOLVE                                                                              \
	(KINDS_MODIFIER | KINDS_STRUCT | KINDS_SOURCE | KIND_BIT(BTF_KIND_PTR) |                   \
	 KIND_BIT(BTF_KIND_ARRAY) | KIND_BIT(BTF_KIND_FUNC))

enum check_state { NOT_VISITED, VISITED, RESOLVED };
enum check_mode { MODE_ANY, MODE_PTR, MODE_STRUCT };

struct check {
	const uint8_t *data;
	uint32_t size;
	struct btf_header hdr;
	const char *strings;
	uint8_t *type_data;	       /* aligned copy of the type section */
	const struct btf_type **types; /* [0] is void */
	uint32_t cnt, room;
	/* resolve.c, per type */
	uint8_t *state;
	uint32_t *resolved_id, *resolved_size;
	enum check_mode mode;
	struct {
		uint32_t id, next;
	} stack[CHECK_DEPTH];
	uint32_t depth;
	char *log;
	size_t log_size, log_len;
};

void check_log(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Logs the reason with the type's id, kind and name; -EINVAL. */
int check_bad(struct check *c, uint32_t id, const char *why);

static inline const struct btf_type *check_type(const struct check *c, uint32_t id)
{
	return id < c->cnt ? c->types[id] : NULL;
}

/* A string of the section, or NULL. */
static inline const char *check_string(const struct check *c, uint32_t off)
{
	return off < c->hdr.str_len ? c->strings + off : NULL;
}

bool check_name_valid(const struct check *c, uint32_t off);

/* meta.c: fills types[]. */
int check_metas(struct check *c);
/* resolve.c */
int check_references(struct check *c);
int check_type_tags(struct check *c);
/* The type behind modifiers that has a size; NULL: none. Moves *id there. */
const struct btf_type *check_sized(const struct check *c, uint32_t *id, uint32_t *size);
/* An int whose bits are whole bytes of a power of two. */
bool check_int_regular(const struct btf_type *t);
/* fields.c */
struct btf;
int btf_check_fields(const struct btf *btf);

#endif
