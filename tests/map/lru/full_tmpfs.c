/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tmpfs without a page for one more element is to an LRU map as if it were full: inserts
 * go on, at the cost of others. With room again it grows to max_entries.
 */
#include <fcntl.h>
#include <sys/mount.h>

#include "../htab/util.h"

#define MAX 1000U

static char dir[] = "/tmp/shmap-full-XXXXXX";

static void unmount(void)
{
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

static int fill_up(void)
{
	static char zeros[4096];
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/filler", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	REQUIRE(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	return fd;
}

static uint64_t entries(struct map *m)
{
	struct map_stats stats;

	CHECK_EQ(m->ops->stats(m, &stats), 0);
	CHECK_EQ(stats.failed, 0);
	return stats.entries;
}

static void check(uint32_t type)
{
	struct map *m = make_map(type, 4, 100, MAX, 0, -1);
	uint8_t value[128 * 64] = {0};
	uint64_t before, after;
	uint32_t n;
	int filler;

	for (n = 0; n < MAX / 2; n++)
		CHECK_EQ(m->ops->write(m, &n, value, 0), 0);
	before = entries(m);
	filler = fill_up();
	for (; n < 5 * MAX; n++)
		CHECK_EQ(m->ops->write(m, &n, value, 0), 0);
	after = entries(m);
	CHECK(after >= before / 2 && after < MAX);
	n--;
	CHECK_EQ(m->ops->read(m, &n, value, 0), 0);
	must_be_valid(m);
	CHECK_EQ(ftruncate(filler, 0), 0);
	close(filler);
	for (; n < 10 * MAX; n++)
		CHECK_EQ(m->ops->write(m, &n, value, 0), 0);
	CHECK_EQ(entries(m), MAX);
	must_be_valid(m);
	map_put(m);
}

int main(void)
{
	char options[] = "size=8m,mode=0700";

	REQUIRE(mkdtemp(dir));
	if (mount("shmap-test", dir, "tmpfs", MS_NOSUID | MS_NODEV, options)) {
		int err = errno;

		rmdir(dir);
		SKIP("a small tmpfs needs mount(2), which is not permitted here: %s",
		     strerror(err));
	}
	atexit(unmount);
	setenv("SHMAP_DIR", dir, 1);
	check(BPF_MAP_TYPE_LRU_HASH);
	check(BPF_MAP_TYPE_LRU_PERCPU_HASH);
	return check_done();
}
