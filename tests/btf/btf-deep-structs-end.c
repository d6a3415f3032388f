/* SPDX-License-Identifier: BSD-2-Clause */
/* Structs that hold two of the one before, 31 levels deep, are looked through
 * in bounded time. */
#include "base/errors.h"
#include "btf/btf.h"
#include "sample.h"

int main(void)
{
	struct btf *b = btf__new_empty(), *parsed;
	int u32 = btf__add_int(b, "u32", 4, 0), lock, last, i, id;
	uint32_t size;
	const void *raw;
	char name[16], log[256];

	lock = btf__add_struct(b, "bpf_spin_lock", 4);
	btf__add_field(b, "val", u32, 0, 0);
	last = btf__add_struct(b, "s0", 0);
	for (i = 1; i < 30; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		id = btf__add_struct(b, name, 0);
		btf__add_field(b, "a", last, 0, 0);
		btf__add_field(b, "b", last, 0, 0);
		last = id;
	}
	btf__add_struct(b, "top", 4);
	btf__add_field(b, "lock", lock, 0, 0);
	btf__add_field(b, "deep", last, 32, 0);
	raw = btf__raw_data(b, &size);
	CHECK_EQ(btf_check(raw, size, &parsed, log, sizeof(log)), -E2BIG);
	btf__free(b);
	return check_done();
}
