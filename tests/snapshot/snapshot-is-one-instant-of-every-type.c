/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap_snapshot() gives a read-only map with what there was, of each type that has
 * snapshots; it stays so whatever becomes of the map. The other types say so.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../check.h"
#include "shmap.h"

#define N 300
#define WORDS (3 * 4096) /* of a value on all CPUs, at most */

static int cpus;

struct kind {
	const char *name;
	enum bpf_map_type type;
	unsigned int key_size, value_size, max, flags;
	int lock; /* value: struct bpf_spin_lock, pad, words */
};

static const struct kind kinds[] = {
	{"array", BPF_MAP_TYPE_ARRAY, 4, 8, N},
	{"array of large values", BPF_MAP_TYPE_ARRAY, 4, 40, N},
	{"array with locks", BPF_MAP_TYPE_ARRAY, 4, 32, N, 0, 1},
	{"mmapable array", BPF_MAP_TYPE_ARRAY, 4, 8, N, BPF_F_MMAPABLE},
	{"percpu array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, N},
	{"percpu array of large values", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 24, N},
	{"hash", BPF_MAP_TYPE_HASH, 4, 8, N},
	{"sparse hash", BPF_MAP_TYPE_HASH, 12, 72, 200000, BPF_F_NO_PREALLOC},
	{"hash with locks", BPF_MAP_TYPE_HASH, 8, 32, N, 0, 1},
	{"percpu hash", BPF_MAP_TYPE_PERCPU_HASH, 4, 16, N},
	{"lru hash", BPF_MAP_TYPE_LRU_HASH, 4, 8, 4096},
	{"lru percpu hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, 8, 4096},
	{"lpm trie", BPF_MAP_TYPE_LPM_TRIE, 8, 8, N, BPF_F_NO_PREALLOC},
};

/* struct { struct bpf_spin_lock lock; int pad; long w[3]; } with int keys of its size. */
static int lock_btf(unsigned int key_size, int *key, int *value)
{
	struct btf *btf = btf__new_empty();
	int i32, u64, lock, arr, fd;

	REQUIRE(btf);
	i32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	u64 = btf__add_int(btf, "unsigned long", 8, 0);
	lock = btf__add_struct(btf, "bpf_spin_lock", 4);
	REQUIRE(!btf__add_field(btf, "val", i32, 0, 0));
	arr = btf__add_array(btf, i32, u64, 3);
	*value = btf__add_struct(btf, "value", 32);
	REQUIRE(!btf__add_field(btf, "lock", lock, 0, 0));
	REQUIRE(!btf__add_field(btf, "pad", i32, 32, 0));
	REQUIRE(!btf__add_field(btf, "w", arr, 64, 0));
	*key = key_size == 8 ? u64 : i32;
	REQUIRE(!btf__load_into_kernel(btf));
	fd = fcntl(btf__fd(btf), F_DUPFD_CLOEXEC, 0);
	btf__free(btf);
	return fd;
}

static int make(const struct kind *k)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = k->flags);
	int key, value, fd;

	if (k->lock) {
		opts.btf_fd = (unsigned int)lock_btf(k->key_size, &key, &value);
		opts.btf_key_type_id = (unsigned int)key;
		opts.btf_value_type_id = (unsigned int)value;
	}
	fd = bpf_map_create(k->type, "m", k->key_size, k->value_size, k->max, &opts);
	if (k->lock)
		close((int)opts.btf_fd);
	return fd;
}

static int per_cpu(const struct kind *k)
{
	return k->type == BPF_MAP_TYPE_PERCPU_ARRAY || k->type == BPF_MAP_TYPE_PERCPU_HASH ||
	       k->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static int is_array(const struct kind *k)
{
	return k->type == BPF_MAP_TYPE_ARRAY || k->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static size_t value_bytes(const struct kind *k)
{
	return per_cpu(k) ? (size_t)(k->value_size + 7) / 8 * 8 * (size_t)cpus : k->value_size;
}

static void key_of(const struct kind *k, unsigned int i, unsigned char *key)
{
	memset(key, 0, k->key_size);
	memcpy(key + (k->type == BPF_MAP_TYPE_LPM_TRIE ? 4 : 0), &i, 4);
	if (k->type == BPF_MAP_TYPE_LPM_TRIE)
		key[0] = 32;
}

static void value_of(const struct kind *k, unsigned int i, unsigned long round, void *value)
{
	unsigned long *w = value;

	for (size_t n = 0; n < value_bytes(k) / 8; n++)
		w[n] = round << 32 | i;
	if (k->lock)
		w[0] = 0;
}

static void put(const struct kind *k, int fd, unsigned int i, unsigned long round)
{
	unsigned char key[64];
	unsigned long value[WORDS];

	key_of(k, i, key);
	value_of(k, i, round, value);
	CHECK_EQ(bpf_map_update_elem(fd, key, value, 0), 0);
}

/* Each key of 0..n-1 has the value of the round, and there is no other. */
static void check_all(const struct kind *k, int fd, unsigned int n, unsigned long round)
{
	unsigned long value[WORDS], want[WORDS];
	unsigned char key[64], *last = NULL, next[64];
	unsigned int i, count = 0;

	for (i = 0; i < n; i++) {
		key_of(k, i, key);
		value_of(k, i, round, want);
		memset(value, 0xee, value_bytes(k));
		CHECK_EQ(bpf_map_lookup_elem(fd, key, value), 0);
		CHECK(!memcmp(value, want, value_bytes(k)));
	}
	for (; !bpf_map_get_next_key(fd, last, next); count++) {
		memcpy(key, next, k->key_size);
		last = key;
		if (count > n)
			break;
	}
	CHECK_EQ(count, n);
}

static void check_kind(const struct kind *k)
{
	unsigned int n = is_array(k) ? k->max : N / 2, len, i;
	struct bpf_map_info info = {0};
	unsigned long value[WORDS] = {0};
	unsigned char key[64] = {0};
	int fd = make(k), snap, id_fd;

	if (fd < 0)
		fprintf(stderr, "%s: %s\n", k->name, strerror(errno));
	REQUIRE(fd >= 0);
	for (i = 0; i < n; i++)
		put(k, fd, i, 1);
	snap = shmap_snapshot(fd);
	if (snap < 0)
		fprintf(stderr, "%s: snapshot: %s\n", k->name, strerror(errno));
	REQUIRE(snap >= 0);
	check_all(k, snap, n, 1);

	/* the map goes on, the snapshot does not */
	for (i = 0; i < n; i++)
		put(k, fd, i, 2);
	for (i = n; !is_array(k) && i < N; i++)
		put(k, fd, i, 2);
	check_all(k, snap, n, 1);
	key_of(k, 1, key);
	CHECK_EQ(bpf_map_update_elem(snap, key, value, 0), -EPERM);
	CHECK_EQ(bpf_map_delete_elem(snap, key), -EPERM);
	len = sizeof(info);
	CHECK_EQ(bpf_obj_get_info_by_fd(snap, &info, &len), 0);
	CHECK_EQ(info.type, k->type);
	CHECK_EQ(info.max_entries, k->max);
	CHECK(!strcmp(info.name, "m"));
	CHECK_EQ(info.btf_id != 0, k->lock);

	/* a map like others: by id, writable, it is still frozen */
	id_fd = bpf_map_get_fd_by_id(info.id);
	CHECK(id_fd >= 0);
	CHECK_EQ(bpf_map_update_elem(id_fd, key, value, 0), -EPERM);
	close(fd);
	check_all(k, id_fd, n, 1);
	close(snap);
	check_all(k, id_fd, n, 1);

	/* of a snapshot, and of an fd that is read-only */
	snap = shmap_snapshot(id_fd);
	CHECK(snap >= 0);
	check_all(k, snap, n, 1);
	fd = shmap_snapshot(snap);
	CHECK(fd >= 0);
	check_all(k, fd, n, 1);
	close(fd);
	close(snap);
	close(id_fd);
	CHECK(bpf_map_get_fd_by_id(info.id) < 0);
}

static void check_refused(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, wronly, .map_flags = BPF_F_WRONLY);
	int fds[17], out[17], i;
	int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "h", 4, 8, 8, NULL);
	int queue = bpf_map_create(BPF_MAP_TYPE_QUEUE, "q", 0, 8, 8, NULL);
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "r", 0, 0, 4096, NULL);
	int blind = bpf_map_create(BPF_MAP_TYPE_HASH, "w", 4, 8, 8, &wronly);
	int file = open("/dev/null", O_RDWR);

	CHECK_EQ(shmap_snapshot(queue), -EOPNOTSUPP);
	CHECK_EQ(shmap_snapshot(ring), -EOPNOTSUPP);
	CHECK_EQ(shmap_snapshot(blind), -EPERM);
	CHECK_EQ(shmap_snapshot(file), -EINVAL);
	CHECK_EQ(shmap_snapshot(-1), -EBADF);
	CHECK_EQ(errno, EBADF);
	fds[0] = fds[1] = hash;
	CHECK_EQ(shmap_snapshot_maps(fds, out, 2), -EINVAL);
	CHECK_EQ(shmap_snapshot_maps(fds, out, 0), -EINVAL);
	CHECK_EQ(shmap_snapshot_maps((int *)8, out, 1), -EFAULT);
	CHECK_EQ(shmap_snapshot_maps(fds, (int *)8, 1), -EFAULT);
	for (i = 0; i < 17; i++)
		fds[i] = bpf_map_create(BPF_MAP_TYPE_HASH, "h", 4, 8, 8, NULL);
	CHECK_EQ(shmap_snapshot_maps(fds, out, 17), -E2BIG);
	CHECK_EQ(shmap_snapshot_maps(fds, out, 16), 0);
	for (i = 0; i < 16; i++)
		close(out[i]);
	for (i = 0; i < 17; i++)
		close(fds[i]);
	close(hash), close(queue), close(ring), close(blind), close(file);
}

/* A map that is open for reading alone is opened once more: which may fail. */
static void check_no_fds(void)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "m", 4, 8, 8, NULL), ro, snap;
	struct rlimit was, none;
	uint64_t v = 7;
	uint32_t k = 1;

	REQUIRE(fd >= 0);
	CHECK_EQ(bpf_map_update_elem(fd, &k, &v, 0), 0);
	REQUIRE(!bpf_obj_pin(fd, "/sys/fs/bpf/read"));
	close(fd);
	ro = bpf_obj_get_opts("/sys/fs/bpf/read", &opts);
	REQUIRE(ro >= 0);
	CHECK_EQ(bpf_map_lookup_elem(ro, &k, &v), 0);
	REQUIRE(!getrlimit(RLIMIT_NOFILE, &was));
	none = was;
	none.rlim_cur = 0;
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &none));
	CHECK_EQ(shmap_snapshot(ro), -EMFILE);
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &was));
	snap = shmap_snapshot(ro);
	CHECK(snap >= 0);
	v = 0;
	CHECK_EQ(bpf_map_lookup_elem(snap, &k, &v), 0);
	CHECK_EQ(v, 7);
	CHECK_EQ(unlink("/sys/fs/bpf/read"), 0);
	close(ro), close(snap);
}

int main(void)
{
	unsigned int last = 0;

	REQUIRE(shmap_snapshot);
	cpus = libbpf_num_possible_cpus();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		check_kind(&kinds[i]);
	check_refused();
	check_no_fds();
	/* nothing is left of them */
	CHECK(bpf_map_get_next_id(0, &last) < 0);
	return check_done();
}
