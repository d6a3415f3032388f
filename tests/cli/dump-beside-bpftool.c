/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel makes the maps of an object; prints each twice on lines of its own:
 * "NAME ours JSON" and "NAME bpftool ID", for the script to compare.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "cli/dump.h"

int main(int argc, char **argv)
{
	struct bpf_object *obj = bpf_object__open_file(argv[1], NULL);
	struct bpf_program *prog;
	struct bpf_map *map;
	int err;

	if (!obj)
		return 1;
	libbpf_set_print(NULL);
	bpf_object__for_each_program(prog, obj) {
		bpf_program__set_autoload(prog, false);
	}
	err = bpf_object__load(obj);
	if (err == -EPERM || err == -ENOSYS) {
		printf("SKIP: the kernel's bpf(2) is not permitted\n");
		return 77;
	}
	if (err)
		return 1;
	srand(1);
	bpf_object__for_each_map(map, obj)
	{
		struct dump_map m = {
			.fd = bpf_map__fd(map),
			.name = bpf_map__name(map),
			.type = bpf_map__type(map),
			.key_size = bpf_map__key_size(map),
			.value_size = bpf_map__value_size(map),
			.max_entries = bpf_map__max_entries(map),
			.btf = bpf_object__btf(obj),
			.key_type_id = bpf_map__btf_key_type_id(map),
			.value_type_id = bpf_map__btf_value_type_id(map),
		};
		struct bpf_map_info info = {0};
		unsigned int len = sizeof(info);
		static unsigned char key[256], value[65536];

		for (int i = 0; i < 4; i++) {
			/* Small keys: arrays' are indices. */
			key[0] = i;
			for (size_t k = 0; k < sizeof(value); k++)
				value[k] = i == 0 ? 0 : i == 1 ? "text\0and"[k % 8] : rand();
			bpf_map_update_elem(m.fd, key, value, BPF_ANY);
		}
		if (bpf_obj_get_info_by_fd(m.fd, &info, &len))
			return 2;
		printf("%s\t", m.name);
		if (dump_map(stdout, DUMP_JSON, &m))
			return 3;
		/* The maps live as long as we do. */
		printf("\t%u\n.\n", info.id);
	}
	fflush(stdout);
	getchar();
	return 0;
}
