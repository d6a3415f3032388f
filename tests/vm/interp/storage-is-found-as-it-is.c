/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one run finds in local storages, again and again: the same value while it is there, of
 * the map that is asked, and nothing once it has been deleted, by the run itself or by bpf(2) in
 * the middle of it; what has been put in its place by bpf(2) is found at once.
 */
#include <fcntl.h>

#include "base/errors.h"
#include "map/map.h"
#include "prog.h"
#include "sync/lease.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define R(op, d, s) INSN(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define LDX(d, s, off) INSN(BPF_LDX | BPF_DW | BPF_MEM, d, s, off, 0)
#define ST(d, imm) INSN(BPF_ST | BPF_DW | BPF_MEM, d, 0, 0, imm)
#define GET(map, flags)                                                                            \
	LD_MAP(1, map), MOV64_X(2, 6), MOV64_K(3, 0), MOV64_K(4, flags),                           \
		CALL(BPF_FUNC_task_storage_get)
#define DROP(map) LD_MAP(1, map), MOV64_X(2, 6), CALL(BPF_FUNC_task_storage_delete)
/* Unless: the run returns n. */
#define MUST(cond, reg, imm, n)                                                                    \
	INSN(BPF_JMP | (cond) | BPF_K, reg, 0, 2, imm), MOV64_K(0, n), EXIT()
/* Calls meanwhile(); R0 0 */
#define MEANWHILE(what)                                                                            \
	MOV64_X(1, 10), INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -8), MOV64_K(2, 8),             \
		MOV64_K(3, what), CALL(BPF_FUNC_probe_read_user)

enum { ERASE = 4096, REPLACE = 8192 };

static struct map *maps[2];
static int self;

static int meanwhile(const struct vm_env *env, void *dst, uint64_t what, size_t len)
{
	uint64_t value = 21;

	memset(dst, 0, len);
	if (what == ERASE)
		CHECK_EQ(maps[0]->ops->erase(maps[0], &self), 0);
	else
		CHECK_EQ(maps[0]->ops->write(maps[0], &self, &value, BPF_EXIST), 0);
	return 0;
}

static struct map *map_new(void)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_TASK_STORAGE,
				.key_size = 4,
				.value_size = 8,
				.map_flags = BPF_F_NO_PREALLOC,
				.btf_key_type_id = 1,
				.btf_value_type_id = 1,
				.spin_lock_off = -1,
				.name = "t"};
	struct map *m;
	int fd, err = map_create(&attr, -1, &m, &fd);

	errno = -err;
	REQUIRE(!err);
	close(fd);
	return m;
}

int main(void)
{
	static const struct bpf_insn insns[] = {
		CALL(BPF_FUNC_get_current_task_btf),
		MUST(BPF_JNE, 0, 0, 100),
		MOV64_X(6, 0),
		GET(0, 0),
		MUST(BPF_JEQ, 0, 0, 1),
		GET(0, BPF_LOCAL_STORAGE_GET_F_CREATE),
		MUST(BPF_JNE, 0, 0, 2),
		ST(0, 5),
		MOV64_X(7, 0),
		GET(0, BPF_LOCAL_STORAGE_GET_F_CREATE),
		R(BPF_SUB, 0, 7),
		MUST(BPF_JEQ, 0, 0, 3),
		GET(0, 2), /* no such flag */
		MUST(BPF_JEQ, 0, 0, 4),
		GET(1, 0), /* another map */
		MUST(BPF_JEQ, 0, 0, 5),
		GET(1, BPF_LOCAL_STORAGE_GET_F_CREATE),
		MUST(BPF_JNE, 0, 0, 6),
		ST(0, 9),
		GET(0, 0),
		MUST(BPF_JNE, 0, 0, 7),
		LDX(1, 0, 0),
		MUST(BPF_JEQ, 1, 5, 8),
		DROP(0),
		MUST(BPF_JEQ, 0, 0, 9),
		GET(0, 0), /* deleted by this run */
		MUST(BPF_JEQ, 0, 0, 10),
		GET(0, BPF_LOCAL_STORAGE_GET_F_CREATE),
		MUST(BPF_JNE, 0, 0, 11),
		LDX(1, 0, 0),
		MUST(BPF_JEQ, 1, 0, 12), /* a new one */
		MEANWHILE(REPLACE),
		GET(0, 0),
		MUST(BPF_JNE, 0, 0, 13),
		LDX(1, 0, 0),
		MUST(BPF_JEQ, 1, 21, 14),
		MEANWHILE(ERASE),
		GET(0, 0), /* deleted by bpf(2) */
		MUST(BPF_JEQ, 0, 0, 15),
		GET(1, 0),
		MUST(BPF_JNE, 0, 0, 16),
		LDX(1, 0, 0),
		MUST(BPF_JEQ, 1, 9, 17),
		MOV64_K(6, 0),
		GET(1, 0), /* of nobody */
		MUST(BPF_JEQ, 0, 0, 18),
		MOV64_K(0, 0),
		EXIT(),
	};
	struct vm_prog *p =
		prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, sizeof(insns) / sizeof(insns[0]));
	struct vm_env env = {.read_user = meanwhile};
	uint64_t ret = 77;

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		SKIP("there is no BTF of the kernel's");
	check_private_rundir();
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	REQUIRE(self >= 0);
	p->maps = calloc(2, sizeof(*p->maps));
	REQUIRE(p->maps);
	p->map_cnt = 2;
	for (int i = 0; i < 2; i++)
		p->maps[i] = maps[i] = map_new();
	for (int run = 0; run < 3; run++) {
		REQUIRE(lease_acquire() >= 0);
		CHECK_EQ(vm_run(p, NULL, &env, &ret), 0);
		CHECK_EQ(ret, 0);
		lease_release();
		CHECK_EQ(maps[1]->ops->erase(maps[1], &self), 0);
	}
	vm_prog_free(p);
	return check_done();
}
