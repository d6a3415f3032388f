/* SPDX-License-Identifier: BSD-2-Clause */
/* A truncated or altered object file is an error for who opens it, never a SIGBUS. */
#include "area.h"

/* A copy of the object in a file of its own, to damage. */
static int copy_of(const struct object *obj)
{
	int fd = open(area_dir, O_TMPFILE | O_RDWR, 0600);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, obj->base, obj->size) == (ssize_t)obj->size);
	return fd;
}

static int map_result(int fd)
{
	struct object o;
	int ret = object_map(fd, &o);

	if (!ret) {
		volatile uint8_t sum = 0;

		for (size_t i = 0; i < o.size; i += 512)
			sum += o.base[i];
		object_unmap(&o);
	}
	return ret;
}

static int altered(const struct object *obj, size_t at, uint32_t value)
{
	int fd = copy_of(obj), ret;

	REQUIRE(pwrite(fd, &value, 4, obj->size - OBJECT_TRAILER_SIZE + at) == 4);
	ret = map_result(fd);
	if (ret)
		CHECK(object_identify(fd, NULL, NULL, NULL) < 0);
	close(fd);
	return ret;
}

int main(void)
{
	struct object obj;
	int fd, copy;
	char path[] = "/tmp/shmap-object-XXXXXX";

	area_begin();
	fd = area_object(OBJECT_MAP, 3 * 4096, &obj);
	copy = copy_of(&obj);
	CHECK_EQ(map_result(copy), 0);
	for (long size = obj.size - 1; size >= 0; size -= 997) {
		REQUIRE(!ftruncate(copy, size));
		CHECK(map_result(copy) == -EINVAL || map_result(copy) == -EPROTO);
		CHECK_EQ(object_identify(copy, NULL, NULL, NULL), -EINVAL);
	}
	close(copy);
	/* A hole moves the trailer: the size in it is another one */
	copy = copy_of(&obj);
	REQUIRE(!fallocate(copy, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) || errno == EOPNOTSUPP);
	REQUIRE(pwrite(copy, obj.trailer, 4096, obj.size) == 4096);
	CHECK_EQ(map_result(copy), -EPROTO);
	close(copy);

	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, magic), 1), -EINVAL);
	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, layout), OBJECT_LAYOUT + 1), -EPROTO);
	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, kind), OBJECT_KINDS), -EPROTO);
	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, kind), UINT32_MAX), -EPROTO);
	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, size), 4096), -EPROTO);
	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, size) + 4, 1), -EPROTO);
	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, id), UINT32_MAX), -EPROTO);
	CHECK_EQ(altered(&obj, offsetof(struct object_trailer, uid), 12345), 0);

	/* By id: a damaged anchor is no object */
	obj.trailer->kind = OBJECT_PROG;
	CHECK_EQ(object_open_id(OBJECT_MAP, obj.id, O_RDWR), -ENOENT);
	obj.trailer->kind = OBJECT_MAP;
	obj.trailer->layout++;
	CHECK_EQ(object_open_id(OBJECT_MAP, obj.id, O_RDWR), -ENOENT);
	CHECK_EQ(map_result(fd), -EPROTO);
	obj.trailer->layout--;
	CHECK_EQ(map_result(fd), 0);

	/* Not on tmpfs, a directory, a pipe */
	copy = mkstemp(path);
	unlink(path);
	REQUIRE(write(copy, obj.base, obj.size) == (ssize_t)obj.size);
	CHECK(map_result(copy) == -EINVAL || !map_result(copy) /* /tmp may be tmpfs */);
	copy = open("/", O_RDONLY);
	CHECK_EQ(map_result(copy), -EINVAL);
	CHECK_EQ(map_result(-1), -EBADF);
	return check_done();
}
