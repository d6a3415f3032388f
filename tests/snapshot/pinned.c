/* SPDX-License-Identifier: BSD-2-Clause */
/* pinned: a map and its snapshot, pinned; then the map changes. */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdint.h>

#include "../check.h"
#include "shmap.h"

int main(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "accounts", 4, 8, 8, NULL), snap;
	uint64_t v;
	uint32_t k;

	REQUIRE(fd >= 0 && shmap_snapshot);
	for (k = 1; k <= 3; k++) {
		v = 16 * k;
		REQUIRE(!bpf_map_update_elem(fd, &k, &v, 0));
	}
	snap = shmap_snapshot(fd);
	REQUIRE(snap >= 0);
	k = 1;
	v = 255;
	REQUIRE(!bpf_map_update_elem(fd, &k, &v, 0));
	k = 3;
	REQUIRE(!bpf_map_delete_elem(fd, &k));
	REQUIRE(!bpf_obj_pin(fd, "/sys/fs/bpf/accounts"));
	REQUIRE(!bpf_obj_pin(snap, "/sys/fs/bpf/snapshot"));
	return check_done();
}
