/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys and values that cannot be read or written, wholly or at their ends, are EFAULT, for
 * each size that has a short way of its own; and change nothing. */
#include <sys/mman.h>
#include <unistd.h>

#include "bpf.h"

static char *wall; /* no access from here on */

/* `size` bytes of which the last ones are behind the wall. */
static void *half(unsigned int size)
{
	return wall - size + (size > 2 ? 2 : 1);
}

static void bad_calls(int fd, unsigned int key_size, unsigned int value_size, bool keyed)
{
	char key[20] = {0}, value[1024] = {1}, next[20];
	void *const bad[] = {NULL, (void *)8, wall, half(key_size)};
	void *const bad_value[] = {NULL, (void *)8, wall, half(value_size)};

	CHECK_EQ(bpf_map_update_elem(fd, key, value, 0), 0);
	for (unsigned int i = 0; i < 4; i++) {
		CHECK_EQ(bpf_map_lookup_elem(fd, bad[i], value), -EFAULT);
		CHECK_EQ(bpf_map_update_elem(fd, bad[i], value, 0), -EFAULT);
		if (i) /* NULL: the first key */
			CHECK_EQ(bpf_map_get_next_key(fd, bad[i], next), -EFAULT);
		CHECK_EQ(bpf_map_get_next_key(fd, NULL, bad[i]), -EFAULT);
		if (keyed)
			CHECK_EQ(bpf_map_delete_elem(fd, bad[i]), -EFAULT);
		CHECK_EQ(bpf_map_lookup_elem(fd, key, bad_value[i]), -EFAULT);
		CHECK_EQ(bpf_map_update_elem(fd, key, bad_value[i], 0), -EFAULT);
	}
	CHECK_EQ(bpf_map_lookup_elem(fd, key, value), 0);
	CHECK_EQ(value[0], 1);
}

int main(void)
{
	static const unsigned int types[] = {BPF_MAP_TYPE_HASH,	    BPF_MAP_TYPE_PERCPU_HASH,
					     BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH,
					     BPF_MAP_TYPE_ARRAY,    BPF_MAP_TYPE_PERCPU_ARRAY};
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	close(make_map(BPF_MAP_TYPE_ARRAY, 4, 1, 0)); /* or skip */
	wall = page + 4096;
	CHECK_EQ(mprotect(wall, 4096, PROT_NONE), 0);
	for (unsigned int t = 0; t < 6; t++) {
		for (unsigned int key = 4; key <= (t < 4 ? 20U : 4U); key += 4) {
			for (unsigned int value = 4; value <= 24; value += 4) {
				int fd = bpf_map_create(types[t], "bad", key, value, 16, NULL);

				CHECK_EQ(fd >= 0, 1);
				bad_calls(fd, key, value, t < 4);
				close(fd);
			}
		}
	}
	return check_done();
}
