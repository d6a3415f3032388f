// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attrs with a few words changed at random get the kernel's errno from PROG_LOAD,
 * BTF_LOAD, PROG_TEST_RUN and the link commands. SHMAP_TEST_SEED repeats a run.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <bpf/btf.h>

#include "both.h"

#define FIRST_FD 300

static unsigned int seed;
static struct btf *btf;
static char log_buf[4096];
static uint8_t pkt[256];
static struct bpf_insn *insns;

struct objects {
	int btf, prog, map;
};

/*
 * The instructions end where their page does, and nothing is mapped for as far as the
 * largest count that is looked at reaches: a wrong count is EFAULT on both sides,
 * whatever else the process has in memory.
 */
static struct bpf_insn *insns_at_the_edge(void)
{
	const size_t page = 4096, behind = 16 << 20;
	uint8_t *p = mmap(NULL, page + behind, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED && !mprotect(p, page, PROT_READ | PROT_WRITE));
	return memcpy(p + page - sizeof(return_0), return_0, sizeof(return_0));
}

static uint32_t pick_word(void)
{
	static const uint32_t values[] = {1,	2,	 3,	  4,   8,   16,	     24,      32,
					  41,	64,	 77,	  96,  252, 256,     1 << 16, 999,
					  4096, 1 << 20, 1 << 30, ~0u, ~1u, 1 << 31, 0x10001, 13};

	return rand_r(&seed) % 3 ? values[rand_r(&seed) % 24] : 1U << rand_r(&seed) % 32;
}

/* The good attr of each command. */
static int base_attr(union sys_attr *a, const struct objects *o, unsigned int which)
{
	static const uint32_t types[] = {1, 2, 3, 5, 6, 17, 31};

	memset(a, 0, sizeof(*a));
	switch (which) {
	case 0:
		a->btf_load.btf = (uintptr_t)btf__raw_data(btf, &a->btf_load.btf_size);
		return BPF_BTF_LOAD;
	case 1:
		a->test.prog_fd = o->prog;
		a->test.data_in = (uintptr_t)pkt;
		a->test.data_size_in = sizeof(pkt);
		return BPF_PROG_TEST_RUN;
	case 2:
		a->link_create.prog_fd = o->prog;
		a->link_create.attach_type = BPF_PERF_EVENT;
		return BPF_LINK_CREATE;
	case 3:
		a->raw_tracepoint.prog_fd = o->prog;
		return BPF_RAW_TRACEPOINT_OPEN;
	case 4:
		a->prog_bind_map.prog_fd = o->prog;
		a->prog_bind_map.map_fd = o->map;
		return BPF_PROG_BIND_MAP;
	case 5:
		a->link_update.link_fd = o->prog;
		return BPF_LINK_UPDATE;
	case 6:
		a->link_detach.link_fd = o->map;
		return BPF_LINK_DETACH;
	case 7:
		a->enable_stats.type = 0;
		return BPF_ENABLE_STATS;
	}
	if (!insns)
		insns = insns_at_the_edge();
	prog_attr_init(a, types[rand_r(&seed) % 7], insns, 2);
	if (rand_r(&seed) % 2) {
		a->prog_load.log_buf = (uintptr_t)log_buf;
		a->prog_load.log_size = sizeof(log_buf);
		a->prog_load.log_level = 1 + rand_r(&seed) % 4;
	}
	if (rand_r(&seed) % 2)
		a->prog_load.prog_btf_fd = o->btf;
	if (a->prog_load.prog_type == BPF_PROG_TYPE_SYSCALL)
		a->prog_load.prog_flags = BPF_F_SLEEPABLE;
	return BPF_PROG_LOAD;
}

/* Words whose meaning differs between the sides are left alone. */
static bool may_change(int cmd, uint32_t word, uint32_t value)
{
	switch (cmd) {
	case BPF_PROG_LOAD:
		/* types that shmap does not have, the length of the log, network devices */
		if (word == 22 || word == 26) /* counts that the kernel may have no memory for */
			return value < 1 << 20;
		return word != 0 && word != 7 && word != 16;
	case BPF_PROG_TEST_RUN:
		return word != 8 || value < 100000; /* repeat */
	case BPF_LINK_CREATE:
		return word != 2 || value < 60; /* attach_type */
	}
	return true;
}

struct change {
	uint32_t word, value;
};

static long ask(enum side side, const struct objects *o, unsigned int which, unsigned int size,
		const struct change *c, int n, unsigned int types)
{
	union sys_attr a;
	long ret;
	int cmd, i;

	seed = types; /* base_attr() draws the same on both sides */
	cmd = base_attr(&a, o, which);
	for (i = 0; i < n; i++)
		if (may_change(cmd, c[i].word, c[i].value))
			((uint32_t *)&a)[c[i].word] = c[i].value;
	ret = side_bpf_size(side, cmd, &a, size);
	if (ret < 0)
		return ret;
	if (ret > 2 && cmd != BPF_PROG_TEST_RUN && cmd != BPF_PROG_BIND_MAP)
		side_close(side, ret);
	return 0;
}

static void make(enum side side, struct objects *o)
{
	union sys_attr a = {0};
	int fd;

	a.btf_load.btf = (uintptr_t)btf__raw_data(btf, &a.btf_load.btf_size);
	o->btf = side_bpf(side, BPF_BTF_LOAD, &a);
	o->prog = side_load(side, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2);
	o->map = side_map(side, BPF_MAP_TYPE_ARRAY, 4, 4, 1);
	REQUIRE(o->btf >= 0 && o->prog >= 0 && o->map >= 0);
	/* out of the way of random numbers */
	o->btf = fcntl(o->btf, F_DUPFD, FIRST_FD);
	o->prog = fcntl(o->prog, F_DUPFD, FIRST_FD);
	o->map = fcntl(o->map, F_DUPFD, FIRST_FD);
	REQUIRE(o->btf >= 0 && o->prog >= 0 && o->map >= 0);
	for (fd = 3; fd < FIRST_FD; fd++)
		side_close(side, fd);
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *first = getenv("SHMAP_TEST_SEED");
	int n = ops ? atoi(ops) : 60000, i, j, changes, shown = 0;
	struct objects objects[SIDES];
	struct change c[3];
	unsigned int state = first ? strtoul(first, NULL, 0) : 1, which, types;
	long ret[SIDES];

	both_init();
	if (!have_kernel)
		SKIP("the kernel is the oracle, and bpf(2) is not permitted");
	printf("SHMAP_TEST_SEED=%u\n", state);
	btf = btf__new_empty();
	REQUIRE(btf__add_int(btf, "int", 4, BTF_INT_SIGNED) > 0);
	make(OURS, &objects[OURS]);
	make(KERNEL, &objects[KERNEL]);
	for (i = 0; i < n && shown < 20; i++) {
		unsigned int size = sizeof(union sys_attr);

		seed = state;
		which = rand_r(&seed) % 16;
		changes = 1 + rand_r(&seed) % 3;
		for (j = 0; j < changes; j++) {
			c[j].word = rand_r(&seed) % (sizeof(union sys_attr) / 4);
			if (rand_r(&seed) % 4 && which < 8)
				c[j].word %= 20;
			c[j].value = pick_word();
		}
		if (rand_r(&seed) % 8 == 0)
			size = rand_r(&seed) % (sizeof(union sys_attr) + 8);
		if (size > sizeof(union sys_attr))
			size = sizeof(union sys_attr);
		types = rand_r(&seed);
		state += 0x9e3779b9;
		for (j = 0; j < SIDES; j++)
			ret[j] = ask(j, &objects[j], which, size, c, changes, types);
		if (ret[OURS] == ret[KERNEL])
			continue;
		fprintf(stderr, "command %u size %u:", which, size);
		for (j = 0; j < changes; j++)
			fprintf(stderr, " word %u = %#x", c[j].word, c[j].value);
		fprintf(stderr, ": %ld, but the kernel %ld\n", ret[OURS], ret[KERNEL]);
		check_failures++;
		shown++;
	}
	btf__free(btf);
	return check_done();
}
