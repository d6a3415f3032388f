/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a hash and an array, prints their ids, and changes them as it is told: "u KEY VALUE" and
 * "d KEY" in the hash, "s KEY VALUE" through a mapping of the array. */
#include <bpf/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

static unsigned int id_of(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

int main(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, mmapable, .map_flags = BPF_F_MMAPABLE);
	int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "changing", 4, 8, 100, NULL);
	int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "stored", 4, 8, 100, &mmapable);
	volatile uint64_t *values = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, array, 0);
	unsigned long value;
	unsigned int key;
	char line[80];

	if (hash < 0 || array < 0 || values == MAP_FAILED)
		return 1;
	printf("%u %u\n", id_of(hash), id_of(array));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		int err = 1;

		if (sscanf(line, "u %u %lu", &key, &value) == 2)
			err = bpf_map_update_elem(hash, &key, &value, BPF_ANY);
		else if (sscanf(line, "d %u", &key) == 1)
			err = bpf_map_delete_elem(hash, &key);
		else if (sscanf(line, "s %u %lu", &key, &value) == 2)
			values[key] = value, err = 0;
		if (err)
			return 1;
	}
	return 0;
}
