// SPDX-License-Identifier: BSD-2-Clause
/*
 * No content of a program, BTF or link file makes a reader crash or hang: random
 * words of each are overwritten, and everything that opens them is called.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <bpf/btf.h>

#include "both.h"
#include "shm/object.h"
#include "sys/info.h"

static unsigned int seed = 1;

struct victim {
	uint8_t *bytes;
	size_t size;
	uint8_t saved[65536];
};

static struct victim map_file(enum object_kind kind, uint32_t id)
{
	struct victim v = {0};
	char path[512];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%u", rundir_path(), object_kind_name(kind), id);
	fd = open(path, O_RDWR);
	REQUIRE(fd >= 0 && !fstat(fd, &st));
	v.size = st.st_size;
	REQUIRE(v.size <= sizeof(v.saved));
	v.bytes = mmap(NULL, v.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(v.bytes != MAP_FAILED);
	close(fd);
	memcpy(v.saved, v.bytes, v.size);
	return v;
}

/* The object layer checks its own part of the trailer; the rest is ours. */
static void damage(struct victim *v)
{
	size_t body = v->size - OBJECT_TRAILER_SIZE + 1024, at;
	int i, n = 1 + rand_r(&seed) % 4;
	uint32_t word;

	for (i = 0; i < n; i++) {
		at = rand_r(&seed) % 3 ? body + rand_r(&seed) % 1400 : rand_r(&seed) % v->size;
		if (at >= v->size - OBJECT_TRAILER_SIZE && at < body)
			continue;
		switch (rand_r(&seed) % 4) {
		case 0:
			word = rand_r(&seed);
			break;
		case 1:
			word = rand_r(&seed) % 300;
			break;
		case 2:
			word = UINT32_MAX - rand_r(&seed) % 4;
			break;
		default:
			word = 1U << rand_r(&seed) % 32;
		}
		at &= ~3UL;
		memcpy(v->bytes + at, &word, sizeof(word));
	}
}

static void repair(struct victim *v)
{
	memcpy(v->bytes, v->saved, v->size);
}

static int load_prog(int map, int btf)
{
	struct bpf_insn insns[] = {
		LD_MAP(1, BPF_PSEUDO_MAP_VALUE, map, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1),
		EXIT(),
		MOV_IMM(0, 0),
		EXIT(),
	};
	static const uint32_t func[4] = {0, 3, 5, 3};
	union sys_attr a;

	prog_attr_init(&a, BPF_PROG_TYPE_RAW_TRACEPOINT, insns, 7);
	a.prog_load.prog_btf_fd = btf;
	a.prog_load.func_info = (uintptr_t)func;
	a.prog_load.func_info_cnt = 2;
	a.prog_load.func_info_rec_size = 8;
	return side_bpf(OURS, BPF_PROG_LOAD, &a);
}

static int load_btf(void)
{
	struct btf *btf = btf__new_empty();
	int i32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	int proto = btf__add_func_proto(btf, i32), fd;
	union sys_attr a = {0};

	REQUIRE(btf__add_func(btf, "f", BTF_FUNC_STATIC, proto) == 3);
	a.btf_load.btf = (uintptr_t)btf__raw_data(btf, &a.btf_load.btf_size);
	fd = side_bpf(OURS, BPF_BTF_LOAD, &a);
	btf__free(btf);
	return fd;
}

static void use_all(int prog, uint32_t prog_id, int btf, int link, uint32_t link_id)
{
	static uint8_t big[65536];
	struct prog_info pi = {
		.nr_map_ids = 256,
		.map_ids = (uintptr_t)big,
		.xlated_prog_len = sizeof(big),
		.xlated_prog_insns = (uintptr_t)big,
		.nr_func_info = 1000,
		.func_info_rec_size = 8,
		.func_info = (uintptr_t)big,
	};
	struct btf_info bi = {.btf = (uintptr_t)big, .btf_size = sizeof(big)};
	uint64_t ctx[12] = {0};
	union sys_attr a = {0};
	struct link_info li = {0};
	struct link_header h;
	struct vm_prog *p;
	uint32_t len;

	len = sizeof(pi);
	side_info(OURS, prog, &pi, &len);
	len = sizeof(bi);
	side_info(OURS, btf, &bi, &len);
	len = sizeof(li);
	side_info(OURS, link, &li, &len);
	sys_link_read(link_id, &h);
	if (!sys_prog_open(prog_id, &p))
		sys_prog_put(p);
	a.test.prog_fd = prog;
	a.test.ctx_in = (uintptr_t)ctx;
	a.test.ctx_size_in = sizeof(ctx);
	side_bpf(OURS, BPF_PROG_TEST_RUN, &a);
	/* nothing stays ready across the damage */
	fd_forget(prog);
	fd_collect();
	memset(&a, 0, sizeof(a));
	a.raw_tracepoint.prog_fd = prog;
	a.raw_tracepoint.name = (uintptr_t) "sys_exit";
	link = side_bpf(OURS, BPF_RAW_TRACEPOINT_OPEN, &a);
	if (link >= 0)
		side_close(OURS, link);
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	static struct victim victims[3];
	int map, btf, prog, link, i, n = ops ? atoi(ops) : 5000;
	uint32_t prog_id, btf_id, link_id, refused = 0;
	union sys_attr a = {0};
	struct vm_prog *p;

	check_private_rundir();
	map = side_map(OURS, BPF_MAP_TYPE_ARRAY, 4, 64, 1);
	btf = load_btf();
	prog = load_prog(map, btf);
	REQUIRE(map >= 0 && btf >= 0 && prog >= 0);
	a.raw_tracepoint.prog_fd = prog;
	a.raw_tracepoint.name = (uintptr_t) "sys_enter";
	link = side_bpf(OURS, BPF_RAW_TRACEPOINT_OPEN, &a);
	REQUIRE(link >= 0);
	REQUIRE(!object_next_id(OBJECT_PROG, 0, &prog_id));
	REQUIRE(!object_next_id(OBJECT_BTF, 0, &btf_id));
	REQUIRE(!object_next_id(OBJECT_LINK, 0, &link_id));
	victims[0] = map_file(OBJECT_PROG, prog_id);
	victims[1] = map_file(OBJECT_BTF, btf_id);
	victims[2] = map_file(OBJECT_LINK, link_id);
	for (i = 0; i < n; i++) {
		struct victim *v = &victims[i % 3];

		damage(v);
		use_all(prog, prog_id, btf, link, link_id);
		if (sys_prog_open(prog_id, &p))
			refused++;
		else
			sys_prog_put(p);
		repair(v);
	}
	CHECK(refused > 0);
	/* and nothing of it stays */
	CHECK_EQ(sys_prog_open(prog_id, &p), 0);
	sys_prog_put(p);
	printf("%u of %d damaged programs refused\n", refused, n);
	return check_done();
}
