/* SPDX-License-Identifier: BSD-2-Clause */
/* Ids rise per kind, are not reused while others are free, wrap at INT_MAX,
 * and are never given twice at a time. */
#include "area.h"

static uint32_t make(enum object_kind kind, int *fd)
{
	struct object obj;

	*fd = area_object(kind, 4096, &obj);
	object_unmap(&obj);
	return obj.id;
}

int main(void)
{
	uint32_t id, last = 0, first;
	int fd, kept[3];

	area_begin();
	for (int i = 0; i < 20; i++) {
		id = make(OBJECT_MAP, &fd);
		CHECK_EQ(id, last + 1);
		last = id;
		close(fd);
		object_collect(OBJECT_MAP, id);
	}
	CHECK_EQ(make(OBJECT_BTF, &fd), 1);

	/* 1 and 2 stay in use across the wrap */
	rundir_ids()->next[OBJECT_LINK] = 0;
	CHECK_EQ(make(OBJECT_LINK, &kept[0]), 1);
	CHECK_EQ(make(OBJECT_LINK, &kept[1]), 2);
	rundir_ids()->next[OBJECT_LINK] = INT_MAX - 1;
	CHECK_EQ(make(OBJECT_LINK, &kept[2]), INT_MAX);
	CHECK_EQ(make(OBJECT_LINK, &fd), 3);

	/* A counter that somebody damaged is no more than a place to start */
	rundir_ids()->next[OBJECT_LINK] = UINT32_MAX;
	CHECK_EQ(make(OBJECT_LINK, &fd), 4);

	for (first = 0, last = 0; !object_next_id(OBJECT_LINK, last, &id); last = id, first++)
		CHECK(id > last);
	CHECK_EQ(first, 5);
	CHECK_EQ(last, INT_MAX);
	CHECK_EQ(object_open_id(OBJECT_LINK, 0, O_RDWR), -ENOENT);
	return check_done();
}
