// SPDX-License-Identifier: BSD-2-Clause
/* Objects with map definitions of each old form are opened, loaded and run. */
#include <linux/bpf.h>
#include <bpf/btf.h>

#include "../check.h"
#include "bpf_load.h"

static const char *dir;

static const char *object(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s.bpf.o", dir, name);
	return path;
}

static struct bpf_map_info info_of(int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	REQUIRE(fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len));
	return info;
}

static int fd_of(const char *name)
{
	for (int i = 0; i < map_data_count; i++)
		if (!strcmp(map_data[i].name, name)) {
			CHECK_EQ(map_data[i].fd, map_fd[i]);
			return map_fd[i];
		}
	fprintf(stderr, "no map %s\n", name);
	return -1;
}

static void check_map(const char *name, __u32 type, __u32 key, __u32 value, __u32 max, __u32 flags)
{
	struct bpf_map_info info = info_of(fd_of(name));

	CHECK(!strcmp(info.name, name));
	CHECK_EQ(info.type, type);
	CHECK_EQ(info.key_size, key);
	CHECK_EQ(info.value_size, value);
	CHECK_EQ(info.max_entries, max);
	CHECK_EQ(info.map_flags, flags);
}

static __u32 run(int fd)
{
	unsigned char packet[64] = {0};
	__u32 retval = 0;

	REQUIRE(!bpf_prog_test_run(fd, 1, packet, sizeof(packet), NULL, NULL, &retval, NULL));
	return retval;
}

/* debug: the object was compiled with -g, and so has BTF. */
static void check_forms(const char *name, bool debug)
{
	struct {
		__u32 a, b;
	} pair = {1, 2};
	__u32 key = 2, len = 50;
	__u64 value = 0;
	struct bpf_map_info info;
	struct btf *btf;

	REQUIRE(!load_bpf_file(object(name)));
	CHECK_EQ(map_data_count, 6);
	CHECK_EQ(prog_cnt, 2);
	check_map("a_hash", BPF_MAP_TYPE_HASH, 8, 8, 100, BPF_F_NO_PREALLOC);
	check_map("an_array", BPF_MAP_TYPE_ARRAY, 4, 8, 3, 0);
	check_map("short_one", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 5, 0);
	check_map("outer", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 7, 0);
	check_map("jumps", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, 0);
	check_map("hidden", BPF_MAP_TYPE_LRU_HASH, 4, 8, 50, 0);
	CHECK_EQ(prog_array_fd, fd_of("jumps"));
	/* "socket/2" is in its slot of the prog array */
	CHECK_EQ(run(prog_fd[1]), 77);
	CHECK(!bpf_lookup_elem(fd_of("an_array"), &key, &value));
	CHECK_EQ(value, len);
	CHECK(!bpf_lookup_elem(fd_of("a_hash"), &pair, &value));
	CHECK_EQ(value, 1);
	CHECK(!bpf_lookup_elem(fd_of("hidden"), &len, &value));
	CHECK(!bpf_delete_elem(prog_array_fd, &key));
	CHECK_EQ(run(prog_fd[1]), 5);
	/* an inner map like an_array fits, one like short_one does not */
	value = fd_of("an_array");
	CHECK(!bpf_map_update_elem(fd_of("outer"), &key, &value, BPF_ANY));
	value = fd_of("short_one");
	CHECK(bpf_map_update_elem(fd_of("outer"), &key, &value, BPF_ANY) && errno == EINVAL);
	info = info_of(fd_of("a_hash"));
	CHECK_EQ(!!info.btf_key_type_id, debug);
	if (debug) {
		btf = btf__load_from_kernel_by_id(info.btf_id);
		REQUIRE(btf);
		CHECK_EQ(btf__resolve_size(btf, info.btf_key_type_id), 8);
		CHECK(!strcmp(btf__name_by_offset(
				      btf, btf__type_by_id(btf, info.btf_key_type_id)->name_off),
			      "pair"));
		btf__free(btf);
		/* the program's own records are still there */
		struct bpf_prog_info prog = {0};
		__u32 len = sizeof(prog);

		REQUIRE(!bpf_obj_get_info_by_fd(prog_fd[1], &prog, &len));
		CHECK_EQ(prog.nr_func_info, 1);
		CHECK(prog.nr_line_info > 5);
	}
}

static void fix_array(struct bpf_map_data *map, int index)
{
	if (!strcmp(map->name, "zero"))
		map->def.max_entries = 99;
}

static void check_numbered(void)
{
	__u16 k = 1;
	__u32 key = 3, v;
	__u64 n;

	REQUIRE(!load_bpf_file(object("numbered")));
	CHECK_EQ(map_data_count, 3);
	check_map("zero", BPF_MAP_TYPE_ARRAY, 4, 8, 10, 0);
	check_map("one", BPF_MAP_TYPE_HASH, 2, 4, 11, 0);
	check_map("two", BPF_MAP_TYPE_LPM_TRIE, 8, 1, 12, BPF_F_NO_PREALLOC);
	CHECK_EQ(run(prog_fd[0]), XDP_TX);
	CHECK(!bpf_lookup_elem(fd_of("zero"), &key, &n));
	CHECK_EQ(n, 1);
	CHECK(!bpf_lookup_elem(fd_of("one"), &k, &v));
	CHECK_EQ(v, 9);
	REQUIRE(!load_bpf_file_fixup_map(object("numbered"), fix_array));
	check_map("zero", BPF_MAP_TYPE_ARRAY, 4, 8, 99, 0);
}

/* libbpf's own opening calls take them, too. */
static void check_libbpf(void)
{
	static char data[1 << 20];
	struct bpf_object *obj;
	struct bpf_program *p;
	size_t size;
	FILE *f;
	int fd;

	REQUIRE(!bpf_prog_load(object("numbered"), BPF_PROG_TYPE_XDP, &obj, &fd));
	CHECK_EQ(run(fd), XDP_TX);
	CHECK(!strcmp(bpf_object__name(obj), "numbered"));
	p = bpf_object__find_program_by_title(obj, "xdp_numbered");
	CHECK(p && bpf_program__fd(p) == fd &&
	      !strcmp(bpf_program__title(p, false), "xdp_numbered"));
	bpf_object__close(obj);
	obj = bpf_object__open(object("forms"));
	REQUIRE(obj);
	CHECK(!strcmp(bpf_object__name(obj), "forms"));
	CHECK(bpf_object__find_map_by_name(obj, "forms.bss"));
	CHECK(!bpf_map__resize(bpf_object__find_map_by_name(obj, "an_array"), 33));
	REQUIRE(!bpf_object__load(obj));
	CHECK_EQ(info_of(bpf_object__find_map_fd_by_name(obj, "an_array")).max_entries, 33);
	bpf_object__close(obj);
	f = fopen(object("forms"), "r");
	REQUIRE(f);
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	obj = bpf_object__open_buffer(data, size, "buffered");
	REQUIRE(obj);
	CHECK(bpf_object__find_map_by_name(obj, "buffered.bss"));
	bpf_object__close(obj);
}

int main(int argc, char **argv)
{
	dir = getenv("TEST_FILES");
	REQUIRE(dir);
	check_forms("forms", true);
	check_forms("forms-nodebug", false);
	check_numbered();
	check_libbpf();
	return check_done();
}
