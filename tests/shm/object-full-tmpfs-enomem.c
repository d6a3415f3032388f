/* SPDX-License-Identifier: BSD-2-Clause */
/* A full tmpfs is -ENOMEM to the caller: nothing is left, nobody gets a SIGBUS. */
#include <sys/mount.h>

#include "area.h"

#define MIB (1UL << 20)

static char mount_dir[] = "/tmp/shmap-small-XXXXXX";

static void unmount(void)
{
	if (getpid() != area_owner)
		return;
	umount2(mount_dir, MNT_DETACH);
	rmdir(mount_dir);
}

static void map_own(const char *file, const char *format, int id)
{
	char text[64];
	int fd = open(file, O_WRONLY);

	snprintf(text, sizeof(text), format, id);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(file);
	close(fd);
}

/* mount(2) for everybody, where user namespaces are permitted. */
static void become_root_of_own(void)
{
	int uid = geteuid(), gid = getegid();

	if (!uid || unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return;
	map_own("/proc/self/setgroups", "deny", 0);
	map_own("/proc/self/uid_map", "0 %d 1", uid);
	map_own("/proc/self/gid_map", "0 %d 1", gid);
}

int main(void)
{
	struct object obj, big, all[64];
	int fd, big_fd, fds[64], n;
	char options[] = "size=4m,mode=0700";
	uint32_t id;
	pid_t pid;

	become_root_of_own();
	area_owner = getpid();
	REQUIRE(mkdtemp(mount_dir));
	if (mount("shmap-test", mount_dir, "tmpfs", MS_NOSUID | MS_NODEV, options)) {
		int err = errno;

		rmdir(mount_dir);
		SKIP("a small tmpfs needs mount(2), which is not permitted here: %s",
		     strerror(err));
	}
	atexit(unmount);
	strcpy(area_dir, mount_dir);
	setenv("SHMAP_DIR", area_dir, 1);

	/* Too large at once */
	CHECK_EQ(object_create(OBJECT_MAP, 5 * MIB, 5 * MIB, &obj, &fd), -ENOMEM);
	CHECK_EQ(object_create(OBJECT_MAP, 1UL << 62, 4096, &obj, &fd), -ENOMEM);
	CHECK_EQ(object_create(OBJECT_MAP, SIZE_MAX, 4096, &obj, &fd), -ENOMEM);

	/* Bit by bit: every page of what was made can be written */
	for (n = 0; n < 64; n++) {
		int ret = object_create(OBJECT_MAP, MIB / 4, MIB / 4, &all[n], &fds[n]);

		if (!ret)
			ret = object_publish(&all[n], fds[n]);
		if (ret) {
			CHECK_EQ(ret, -ENOMEM);
			break;
		}
		memset(all[n].base, 1, all[n].size - OBJECT_TRAILER_SIZE);
	}
	CHECK(n >= 8 && n < 17);
	CHECK_EQ(area_count("map"), n);
	for (int i = 0; i < n; i++) {
		object_unmap(&all[i]);
		close(fds[i]);
	}

	/* What is left over is collected rather than refused: none was collected yet */
	CHECK_EQ(area_count("map"), n);
	CHECK_EQ(object_create(OBJECT_MAP, 3 * MIB, 3 * MIB, &big, &big_fd), 0);
	CHECK_EQ(area_count("map"), 0);

	/* A hole is filled before use, or not at all */
	CHECK_EQ(object_create(OBJECT_MAP, 8 * MIB, 4096, &obj, &fd), 0);
	CHECK_EQ(object_publish(&obj, fd), 0);
	CHECK_EQ(object_populate(&obj, 4096, MIB / 4), 0);
	memset(obj.base + 4096, 2, MIB / 4);
	CHECK_EQ(object_populate(&obj, MIB, 4 * MIB), -ENOMEM);
	CHECK_EQ(object_populate(&obj, obj.size, 1), -EINVAL);
	CHECK_EQ(object_populate(&obj, 4096, SIZE_MAX), -EINVAL);

	/* A process that starts now is told so in words, or has room enough */
	pid = area_fork();
	if (!pid) {
		while (!object_create(OBJECT_MAP, 4096, 4096, &big, &big_fd))
			;
		_exit(object_create(OBJECT_MAP, 1, 1, &big, &big_fd) != -ENOMEM);
	}
	area_join(pid);
	object_unmap(&obj);
	close(fd);
	object_unmap(&big);
	close(big_fd);
	object_collect_all();
	CHECK_EQ(area_count_all(), 0);
	CHECK_EQ(object_next_id(OBJECT_MAP, 0, &id), -ENOENT);
	CHECK_EQ(object_create(OBJECT_MAP, 3 * MIB, 3 * MIB, &big, &big_fd), 0);
	return check_done();
}
