/* SPDX-License-Identifier: BSD-2-Clause */
/* The element calls follow libbpf 1.x: -errno, and errno set; syscall() gives -1. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf.h"

#define CHECK_CALL(call, error)                                                                    \
	do {                                                                                       \
		errno = 0;                                                                         \
		CHECK_EQ(call, -(error));                                                          \
		CHECK_EQ(errno, error);                                                            \
	} while (0)

int main(void)
{
	int hash = make_map(BPF_MAP_TYPE_HASH, 8, 2, 0),
	    array = make_map(BPF_MAP_TYPE_ARRAY, 8, 2, 0);
	int file = open("/tmp", O_TMPFILE | O_WRONLY, 0400);
	unsigned int key = 1, next;
	unsigned long long value = 10;
	union bpf_attr attr = {0};
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK_CALL(bpf_map_lookup_elem(hash, &key, &value), ENOENT);
	CHECK_CALL(bpf_map_lookup_elem(-1, &key, &value), EBADF);
	CHECK_CALL(bpf_map_lookup_elem(0, &key, &value), EINVAL);
	CHECK_CALL(bpf_map_lookup_elem(file, &key, &value), EINVAL);
	CHECK_CALL(bpf_map_lookup_elem_flags(hash, &key, &value, BPF_F_LOCK), EINVAL);
	CHECK_CALL(bpf_map_update_elem(hash, &key, &value, BPF_EXIST), ENOENT);
	CHECK_CALL(bpf_map_update_elem(hash, &key, &value, 3), EINVAL);
	CHECK_CALL(bpf_map_delete_elem(hash, &key), ENOENT);
	CHECK_CALL(bpf_map_delete_elem_flags(hash, &key, 1), EINVAL);
	CHECK_CALL(bpf_map_delete_elem_flags(hash, &key, 0), ENOENT);
	CHECK_CALL(bpf_map_get_next_key(hash, NULL, &next), ENOENT);
	CHECK_CALL(bpf_map_lookup_and_delete_elem(hash, &key, &value), ENOENT);
	CHECK_CALL(bpf_map_lookup_and_delete_elem(array, &key, &value), 524);
	/* Bad pointers, from the first call on. */
	CHECK_CALL(bpf_map_lookup_elem(hash, NULL, &value), EFAULT);
	CHECK_CALL(bpf_map_lookup_elem(hash, hole, &value), EFAULT);
	CHECK_CALL(bpf_map_update_elem(hash, &key, hole, BPF_ANY), EFAULT);
	CHECK_CALL(bpf_map_lookup_elem(array, &key, hole), EFAULT);

	CHECK(file >= 0 && !ftruncate(file, 8192));
	CHECK_CALL(bpf_map_lookup_elem(file, &key, &value), EINVAL);

	errno = 4242;
	CHECK_EQ(bpf_map_update_elem(hash, &key, &value, BPF_NOEXIST), 0);
	CHECK_EQ(bpf_map_lookup_elem(hash, &key, &value), 0);
	CHECK_EQ(bpf_map_get_next_key(hash, NULL, &next), 0);
	CHECK_EQ(next, 1);
	CHECK_EQ(bpf_map_lookup_and_delete_elem_flags(hash, &key, &value, 0), 0);
	CHECK_EQ(value, 10);
	CHECK_EQ(errno, 4242);

	CHECK_FAILS(syscall(SYS_bpf, 9999, &attr, sizeof(attr)), EINVAL);
	CHECK_FAILS(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, hole, sizeof(attr)), EFAULT);
	CHECK_FAILS(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, 5000), E2BIG);
	CHECK_FAILS(syscall(99999), ENOSYS);
	CHECK_EQ(syscall(SYS_getpid), getpid());
	CHECK_EQ(syscall(SYS_close, array), 0);
	CHECK_CALL(bpf_map_lookup_elem(array, &key, &value), EBADF);

	/* Charged to nobody here: raising the limit is no failure. */
	if (on_shmap())
		CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	return check_done();
}
