/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tmpfs that has no page left: an update that needs one is -ENOMEM, and every other
 * operation, on keys that are there and on keys in every place that never had a page,
 * does what it should. Nobody gets a SIGBUS. With room again, the map goes on.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mount.h>

#include "util.h"

#define MAX 200000

static char dir[] = "/tmp/shmap-full-XXXXXX";
static pid_t owner;

static void unmount(void)
{
	if (getpid() != owner)
		return;
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

/* Takes every page that there is. */
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

static long count(void *arg, struct map *m, const void *key, void *value)
{
	++*(uint32_t *)arg;
	return 0;
}

static void check(uint32_t type, uint32_t flags)
{
	struct map_attr attr = {.map_type = type,
				.key_size = 4,
				.value_size = 24,
				.max_entries = MAX,
				.map_flags = flags,
				.spin_lock_off = -1};
	uint8_t *value, *seen = calloc(MAX, 1);
	uint32_t n, id, missing = 0, next, in = 0, *prev = NULL, found = 0;
	uint64_t no_memory = 0;
	struct map_stats stats;
	int filler, fd, err;
	struct map *m;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	value = calloc(1, m->user_value_size);
	/* some elements here and there, then no memory any more */
	for (n = 0; n < 300; n++)
		CHECK_EQ(m->ops->write(m, &n, value, 0), 0);
	for (n = 0; n < 300; n++)
		seen[n] = 1;
	filler = fill_up();
	for (; n < MAX; n++) {
		err = m->ops->write(m, &n, value, 0);
		if (err) {
			CHECK_EQ(err, -ENOMEM);
			no_memory++;
		} else {
			seen[n] = 1;
		}
	}
	CHECK(no_memory > MAX / 2);
	CHECK_EQ(m->ops->stats(m, &stats), 0);
	CHECK_EQ(stats.failed, no_memory);
	for (n = 0; n < MAX; n++) {
		err = m->ops->read(m, &n, value, 0);
		CHECK_EQ(err, seen[n] ? 0 : -ENOENT);
		if (!seen[n]) {
			CHECK_EQ(m->ops->erase(m, &n), -ENOENT);
			CHECK_EQ(m->ops->write(m, &n, value, BPF_EXIST), -ENOENT);
			missing++;
		} else {
			CHECK_EQ(m->ops->write(m, &n, value, BPF_NOEXIST), -EEXIST);
		}
	}
	CHECK_EQ(stats.entries, MAX - missing);
	while (!m->ops->next_key(m, prev, &next)) {
		in = next;
		prev = &in;
		CHECK(next < MAX && seen[next]);
		found++;
	}
	CHECK_EQ(found, MAX - missing);
	found = 0;
	REQUIRE(lease_acquire() >= 0);
	CHECK_EQ(m->ops->for_each(m, count, &found), MAX - missing);
	lease_release();
	/* what there is can be replaced and deleted */
	for (n = 0; n < MAX; n++) {
		if (!seen[n])
			continue;
		err = m->ops->write(m, &n, value, BPF_EXIST);
		CHECK(!err || err == -ENOMEM);
		CHECK_EQ(m->ops->erase(m, &n), 0);
	}
	must_be_valid(m);
	CHECK_EQ(ftruncate(filler, 0), 0);
	close(filler);
	for (n = 0; n < 1000; n++)
		CHECK_EQ(m->ops->write(m, &n, value, 0), 0);
	must_be_valid(m);
	id = m->obj.id;
	map_put(m);
	close(fd);
	object_collect(OBJECT_MAP, id);
	free(value);
	free(seen);
}

int main(void)
{
	char options[] = "size=8m,mode=0700";

	if (geteuid() && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		SKIP("a small tmpfs needs mount(2): %s", strerror(errno));
	owner = getpid();
	REQUIRE(mkdtemp(dir));
	if (mount("shmap-test", dir, "tmpfs", MS_NOSUID | MS_NODEV, options)) {
		int err = errno;

		rmdir(dir);
		SKIP("a small tmpfs needs mount(2), which is not permitted here: %s",
		     strerror(err));
	}
	atexit(unmount);
	setenv("SHMAP_DIR", dir, 1);
	check(BPF_MAP_TYPE_HASH, 0);
	check(BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC);
	check(BPF_MAP_TYPE_PERCPU_HASH, 0);
	return check_done();
}
