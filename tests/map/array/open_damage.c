/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map file whose header does not describe a map of its size is refused when
 * it is opened: with an error, whatever the field says.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "../../check.h"
#include "base/bits.h"
#include "map/gate.h"
#include "map/map.h"

static int fd;
static off_t header; /* of struct map_header in the file */

static int reopen(void)
{
	struct map *m;
	int err = map_open(fd, &m);

	if (!err)
		map_put(m);
	return err;
}

/* With `n` other bytes at `off` of the header: the result of opening it. */
static int with(size_t off, const void *bytes, size_t n)
{
	uint8_t saved[64];
	int err;

	REQUIRE(pread(fd, saved, n, header + off) == (ssize_t)n);
	REQUIRE(pwrite(fd, bytes, n, header + off) == (ssize_t)n);
	err = reopen();
	REQUIRE(pwrite(fd, saved, n, header + off) == (ssize_t)n);
	return err;
}

#define WITH(field, value)                                                                         \
	({                                                                                         \
		typeof(((struct map_attr *)0)->field) v_ = (value);                                \
		with(offsetof(struct map_attr, field), &v_, sizeof(v_));                           \
	})

/* A gate that nobody has shut keeps nobody out. */
static void gates(struct map *m)
{
	const uint32_t tags[] = {1, 2, 16, 17, 0xff, 0x100, 0x101, 0x7fffff03, UINT32_MAX};
	uint32_t key = 0;
	uint8_t value[100] = {1};

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		m->shared->gate = tags[i];
		map_gate_settle(m);
		CHECK_EQ(m->ops->write(m, &key, value, BPF_ANY), 0);
		CHECK_EQ(m->shared->gate, 0);
	}
}

int main(void)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
				.key_size = 4,
				.value_size = 100,
				.max_entries = 50,
				.spin_lock_off = -1,
				.name = "damaged"};
	struct map *m;
	struct stat st;
	char long_name[MAP_NAME_LEN];
	uint8_t zeros[64] = {0};

	check_private_rundir();
	REQUIRE(!map_create(&attr, -1, &m, &fd));
	gates(m);
	map_put(m);
	REQUIRE(!fstat(fd, &st));
	header = st.st_size - OBJECT_TRAILER_SIZE + offsetof(struct object_trailer, body);
	CHECK_EQ(reopen(), 0);

	CHECK_EQ(WITH(map_type, 0), -EPROTO);
	CHECK_EQ(WITH(map_type, 1000), -EPROTO);
	CHECK_EQ(WITH(map_type, UINT32_MAX), -EPROTO);
	CHECK_EQ(WITH(key_size, 8), -EPROTO);
	CHECK_EQ(WITH(value_size, 0), -EPROTO);
	CHECK_EQ(WITH(value_size, 1 << 20), -EPROTO);
	CHECK_EQ(WITH(value_size, UINT32_MAX), -EPROTO);
	CHECK_EQ(WITH(max_entries, 0), -EPROTO);
	CHECK_EQ(WITH(max_entries, 5000), -EPROTO);
	CHECK_EQ(WITH(max_entries, UINT32_MAX), -EPROTO);
	CHECK_EQ(WITH(map_flags, 1u << 31), -EPROTO);
	CHECK_EQ(WITH(map_flags, BPF_F_RDONLY), -EPROTO);
	CHECK_EQ(WITH(possible_cpus, 0), -EPROTO);
	CHECK_EQ(WITH(possible_cpus, 1 << 30), -EPROTO);
	CHECK_EQ(WITH(spin_lock_off, 98), -EPROTO);
	CHECK_EQ(WITH(spin_lock_off, 2), -EPROTO);
	CHECK_EQ(WITH(spin_lock_off, -2), -EPROTO);
	CHECK_EQ(WITH(spin_lock_off, 100), -EPROTO);
	memset(long_name, 'x', sizeof(long_name));
	CHECK_EQ(with(offsetof(struct map_attr, name), long_name, sizeof(long_name)), -EPROTO);
	CHECK_EQ(with(0, zeros, sizeof(zeros)), -EPROTO);

	/* A file that was cut, and one that is no object at all. */
	CHECK_EQ(reopen(), 0);
	REQUIRE(!ftruncate(fd, st.st_size - 4096));
	CHECK(reopen() < 0);
	REQUIRE(!ftruncate(fd, 10));
	CHECK_EQ(reopen(), -EINVAL);
	CHECK_EQ(map_open(STDIN_FILENO, &m), -EINVAL);
	CHECK_EQ(map_open(1000000, &m), -EBADF);
	return check_done();
}
