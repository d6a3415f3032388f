/* SPDX-License-Identifier: BSD-2-Clause */
/* x86-64: calls that become code. */
#ifndef SHMAP_VM_JIT_X86_CALL_H
#define SHMAP_VM_JIT_X86_CALL_H

#include "map/map.h"
#include "vm/jit_int.h"

/* Is it an array, of sizes that fit an instruction's fields? */
bool x86_can_inline(const struct map_inline *in);
void x86_inline_lookup(struct jit *j, const struct map *m, bool known, const struct map_inline *in);
/* Is it an array of objects, and so on? */
bool x86_can_inline_object(const struct map_inline *in);
void x86_inline_object(struct jit *j, const struct map *m, const struct map_inline *in);
/* Is R1, which instruction i loads with a map's address, needed by nobody? */
bool x86_map_unneeded(const struct jit *j, uint32_t i);
/* Emits the helper's code; false: it has to be called. */
bool x86_inline_helper(struct jit *j, int32_t id);

#endif
