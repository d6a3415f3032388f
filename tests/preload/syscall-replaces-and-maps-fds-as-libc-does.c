/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dup2, dup3 and mmap by syscall() are what they are by name: a number that was used for one
 * map is the other's at once, and a map that cannot be mapped is not.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"

static unsigned long long value_of(int fd)
{
	unsigned int key = 0;
	unsigned long long value = 0;

	CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), 0);
	return value;
}

int main(void)
{
	int maps[2] = {make_map(BPF_MAP_TYPE_HASH, 8, 2, 0), make_map(BPF_MAP_TYPE_ARRAY, 8, 2, 0)};
	int frozen = make_map(BPF_MAP_TYPE_ARRAY, 8, 2, BPF_F_MMAPABLE), fd;
	unsigned int key = 0;

	for (unsigned long long i = 0; i < 2; i++)
		CHECK_EQ(bpf_map_update_elem(maps[i], &key, &i, BPF_ANY), 0);

	fd = fcntl(maps[0], F_DUPFD_CLOEXEC, 10);
	CHECK_EQ(value_of(fd), 0);
#ifdef SYS_dup2
	CHECK_EQ(syscall(SYS_dup2, maps[1], fd), fd);
	CHECK_EQ(value_of(fd), 1);
	CHECK_EQ(syscall(SYS_dup2, maps[0], fd), fd);
	CHECK_EQ(value_of(fd), 0);
#endif
	CHECK_EQ(syscall(SYS_dup3, maps[1], fd, O_CLOEXEC), fd);
	CHECK_EQ(value_of(fd), 1);
	CHECK_EQ(syscall(SYS_dup3, maps[0], fd, 0), fd);
	CHECK_EQ(value_of(fd), 0);
	CHECK_FAILS(syscall(SYS_dup3, fd, fd, 0), EINVAL);
	CHECK_EQ(value_of(fd), 0);

	CHECK_FAILS(syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, maps[0], 0), 524);
	CHECK_EQ(bpf_map_freeze(frozen), 0);
	CHECK_FAILS(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, frozen, 0),
		    EPERM);
	return check_done();
}
