/* SPDX-License-Identifier: BSD-2-Clause */
/* A read-only fd maps read-only; a write-only one maps writable, by the file. */
#include "area.h"

int main(void)
{
	struct object obj, ro, wo;
	int fd, rfd, wfd, opath;
	char path[PATH_MAX];
	uint32_t id;
	dev_t dev;
	ino_t ino;

	area_begin();
	fd = area_object(OBJECT_MAP, 4096, &obj);
	rfd = object_open_id(OBJECT_MAP, obj.id, O_RDONLY);
	wfd = object_open_id(OBJECT_MAP, obj.id, O_WRONLY);
	CHECK_EQ(object_open_id(OBJECT_MAP, obj.id, 3), -EINVAL);
	CHECK_EQ(object_open_id(OBJECT_MAP, obj.id, O_RDWR | O_TRUNC), -EINVAL);
	REQUIRE(!object_map(rfd, &ro));
	REQUIRE(!object_map(wfd, &wo));
	CHECK(obj.writable);
	CHECK(!ro.writable);
	CHECK(wo.writable);
	/* Not only the flag: the kernel refuses to make the pages writable. */
	CHECK_EQ(mprotect(ro.base, 4096, PROT_READ | PROT_WRITE), -1);
	CHECK_EQ(object_populate(&ro, 0, 4096), -EPERM);
	wo.base[5] = 9;
	CHECK_EQ(ro.base[5], 9);
	CHECK_EQ(object_identify(wfd, &id, &dev, &ino), OBJECT_MAP);
	CHECK_EQ(id, obj.id);
	CHECK(dev == obj.dev && ino == obj.ino);

	CHECK_EQ(object_identify(-1, NULL, NULL, NULL), -EBADF);
	CHECK_EQ(object_identify(0, NULL, NULL, NULL), -EINVAL);
	snprintf(path, sizeof(path), "%s/map/%u", area_dir, obj.id);
	opath = open(path, O_PATH);
	CHECK(object_identify(opath, NULL, NULL, NULL) < 0);
	CHECK(object_map(opath, &wo) < 0);
	(void)fd;
	return check_done();
}
