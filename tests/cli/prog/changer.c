/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a hash, an array and a trie, prints their ids, and changes them as it is told: "u KEY VALUE"
 * and "d KEY" in the hash, "s KEY VALUE" through a mapping of the array, "p BITS ADDRESS VALUE" and
 * "q BITS ADDRESS" in the trie. */
#include <arpa/inet.h>
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
	LIBBPF_OPTS(bpf_map_create_opts, sparse, .map_flags = BPF_F_NO_PREALLOC);
	int trie = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "prefixes", 8, 8, 100, &sparse);
	struct {
		uint32_t bits;
		struct in_addr to;
	} prefix;
	char address[20];
	volatile uint64_t *values = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, array, 0);
	unsigned long value;
	unsigned int key;
	char line[80];

	if (hash < 0 || array < 0 || trie < 0 || values == MAP_FAILED)
		return 1;
	printf("%u %u %u\n", id_of(hash), id_of(array), id_of(trie));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		int err = 1;

		if (sscanf(line, "u %u %lu", &key, &value) == 2)
			err = bpf_map_update_elem(hash, &key, &value, BPF_ANY);
		else if (sscanf(line, "d %u", &key) == 1)
			err = bpf_map_delete_elem(hash, &key);
		else if (sscanf(line, "s %u %lu", &key, &value) == 2)
			values[key] = value, err = 0;
		else if (sscanf(line, "p %u %19s %lu", &prefix.bits, address, &value) == 3 &&
			 inet_aton(address, &prefix.to))
			err = bpf_map_update_elem(trie, &prefix, &value, BPF_ANY);
		else if (sscanf(line, "q %u %19s", &prefix.bits, address) == 2 &&
			 inet_aton(address, &prefix.to))
			err = bpf_map_delete_elem(trie, &prefix);
		if (err)
			return 1;
	}
	return 0;
}
