/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring-oracle SEED OPERATIONS: the same random operations on a RINGBUF and a
 * USER_RINGBUF, whoever serves them; one line for each with all that can be seen.
 * ring-oracle.sh compares the kernel's lines with shmap's.
 *
 * Of a submitted record's second word, which the kernel calls pg_off and nobody reads,
 * the two uppermost bits are left out. After a consumer position that no consumer sets,
 * nothing is reserved: see docs/compat.md.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "bpf.h"

struct command {
	uint32_t op, size, size2, bits;
	uint64_t flags, flags2, off;
	uint64_t data[8];
	uint64_t out[8];
};

static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 20) % n;
}

#define PICK(array) ((array)[rnd(sizeof(array) / sizeof((array)[0]))])

static struct bpf_object *obj;
static int fds[2], prog; /* ring, user_ring */
static uint64_t *pages[2], size;

static uint64_t *cons(int which)
{
	return pages[which];
}

static uint64_t *prod(int which)
{
	return pages[which] + 512;
}

static uint8_t *data(int which)
{
	return (uint8_t *)(pages[which] + 1024);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return 0;
}

static void map_pages(int which, int writable_page)
{
	uint8_t *room = mmap(NULL, 8192 + 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rw = PROT_READ | PROT_WRITE;

	REQUIRE(room != MAP_FAILED);
	pages[which] = (void *)room;
	REQUIRE(mmap(room, 4096, writable_page ? PROT_READ : rw, MAP_SHARED | MAP_FIXED, fds[which],
		     0) == room);
	REQUIRE(mmap(room + 4096, 4096 + 2 * size, writable_page ? rw : PROT_READ,
		     MAP_SHARED | MAP_FIXED, fds[which], 4096) == room + 4096);
}

static void begin(void)
{
	static const uint64_t sizes[] = {4096, 8192, 16384};
	const char *dir = getenv("TEST_FILES");
	char path[256];

	if (obj) {
		munmap(pages[0], 8192 + 2 * size);
		munmap(pages[1], 8192 + 2 * size);
		bpf_object__close(obj);
	}
	size = PICK(sizes);
	snprintf(path, sizeof(path), "%s/ring-oracle.bpf.o", dir ? dir : ".");
	libbpf_set_print(quiet);
	obj = bpf_object__open(path);
	REQUIRE(obj);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "ring"), size);
	bpf_map__set_max_entries(bpf_object__find_map_by_name(obj, "user_ring"), size);
	REQUIRE(!bpf_object__load(obj));
	fds[0] = bpf_object__find_map_fd_by_name(obj, "ring");
	fds[1] = bpf_object__find_map_fd_by_name(obj, "user_ring");
	prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "run"));
	map_pages(0, 0);
	map_pages(1, 1);
	printf("size %llu\n", (unsigned long long)size);
}

/* All that a client sees of a ring. */
static void show(int which)
{
	struct pollfd p = {.fd = fds[which], .events = -1};
	uint64_t hash = 0, pos = *cons(which), end = *prod(which);
	const uint64_t *d = (void *)data(which);

	for (uint64_t i = 0; i < size / 8; i++) {
		/* the headers of records that lie there are whole words */
		hash = hash * 0x100000001b3ull ^ (d[i] & ~(3ull << 62));
		if (d[i] != d[i + size / 8])
			printf(" [second view differs at %llu]", (unsigned long long)i);
	}
	printf(" cons %llu prod %llu data %016llx", (unsigned long long)pos,
	       (unsigned long long)end, (unsigned long long)hash);
	REQUIRE(poll(&p, 1, 0) >= 0);
	printf(" poll %x\n", p.revents);
}

static void op_program(void)
{
	static const uint64_t flags[] = {0, 0, 0, 1, 2, 3, 4, 8, 1ull << 32, ~0ull};
	static const uint64_t offs[] = {0, 0, 8, 1, 16, 40, 63, 64, 65, 1000, 0xffffffff};
	static const uint32_t big[] = {0,	64,	    4080,	4088,	    4089,
				       4096,	8184,	    16376,	16384,	    (1 << 24) - 1,
				       1 << 24, 0x3fffffff, 0x40000000, 0xfffffff8, 0xffffffff};
	struct command c = {.op = rnd(13)};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = &c, .data_size_in = sizeof(c), .data_out = &c,
		    .data_size_out = sizeof(c));

	c.size = rnd(3) ? rnd(200) : PICK(big);
	c.size2 = rnd(64);
	c.bits = rnd(8);
	c.flags = PICK(flags);
	c.flags2 = rnd(20) ? 0 : PICK(flags);
	c.off = PICK(offs);
	if (c.op == 10)
		c.flags = rnd(8) ? rnd(4) : PICK(flags);
	for (int i = 0; i < 8; i++)
		c.data[i] = (uint64_t)rnd(1 << 30) << 30 | rnd(1 << 30);
	printf("op %u size %u %u bits %u flags %llx %llx off %llu:", c.op, c.size, c.size2, c.bits,
	       (unsigned long long)c.flags, (unsigned long long)c.flags2,
	       (unsigned long long)c.off);
	REQUIRE(!bpf_prog_test_run_opts(prog, &o));
	/* what lay there before, perhaps the header of an old record */
	if (c.op == 12 && (c.out[1] || c.size2 < 16))
		c.out[4] = 0;
	printf(" %d out", (int)o.retval);
	for (int i = 0; i < 8; i++)
		printf(" %llx", (unsigned long long)c.out[i]);
	show(0);
}

/* Takes some records, as a consumer does. */
static void op_consume(void)
{
	uint32_t n = rnd(4) ? rnd(8) : 10000;
	uint64_t pos = *cons(0);

	while (n-- && pos < *prod(0)) {
		uint32_t len = *(uint32_t *)(data(0) + (pos & (size - 1)));

		if (len >> 31)
			break;
		pos += ((len & ~(3u << 30)) + 8 + 7) & ~7u;
	}
	__atomic_store_n(cons(0), pos, __ATOMIC_RELEASE);
	printf("consume:");
	show(0);
}

/* Samples of a client's, good ones and bad ones. */
static void op_user_produce(void)
{
	uint64_t pos = *prod(1);
	uint32_t n = rnd(6);

	while (n--) {
		uint32_t len = rnd(10) ? rnd(100) : rnd(5000), total = (len + 8 + 7) & ~7u;
		uint64_t *h = (void *)(data(1) + (pos & (size - 1)));

		if (pos + total - *cons(1) > size)
			break;
		h[0] = len | (rnd(8) ? 0 : 1u << 30) | (rnd(40) ? 0 : 1u << 31);
		for (uint32_t i = 1; i < total / 8; i++)
			h[i] = (uint64_t)rnd(1 << 30) << 32 | i;
		pos += total;
	}
	*prod(1) = pos;
	printf("user produce:");
	show(1);
}

static void op_drain(void)
{
	static const uint64_t flags[] = {0, 0, 1, 2, 3, 4, 1ull << 33};
	struct command c = {.op = 13, .size = rnd(3) ? 0 : 1 + rnd(3), .flags = PICK(flags)};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = &c, .data_size_in = sizeof(c), .data_out = &c,
		    .data_size_out = sizeof(c));
	uint64_t was = *prod(1), *h = (void *)(data(1) + (*cons(1) & (size - 1))), header = *h;
	int bad = rnd(12);

	/* a header or a position that no client of good will writes; then as it was */
	if (bad == 0)
		*prod(1) += 1 + rnd(7);
	else if (bad == 1)
		*prod(1) = (uint64_t)rnd(1 << 30) * 8;
	else if (bad == 2)
		*h = rnd(1 << 30) | (uint64_t)rnd(4) << 30;
	else if (bad == 3)
		*h = 1u << 31;
	printf("drain bad %d stop %u flags %llx:", bad, c.size, (unsigned long long)c.flags);
	REQUIRE(!bpf_prog_test_run_opts(prog, &o));
	printf(" %d out %llx %llx", (int)o.retval, (unsigned long long)c.out[0],
	       (unsigned long long)c.out[1]);
	if (bad < 4) {
		show(1);
		/* begin anew where the consumer is */
		*h = header;
		*prod(1) = was > *cons(1) && !(bad == 1 || bad == 2) ? was : (*cons(1) + 7) & ~7ull;
		if (*prod(1) - *cons(1) > size)
			*prod(1) = (*cons(1) + 7) & ~7ull;
		printf("again:");
	}
	show(1);
	/* a BUSY sample of a client that has gone is in the way for ever */
	if (*(uint32_t *)(data(1) + (*cons(1) & (size - 1))) >> 31)
		*(uint32_t *)(data(1) + (*cons(1) & (size - 1))) ^= 3u << 30;
}

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

/* Calls that the maps do not have, or that their pages refuse. */
static void op_refused(void)
{
	static const int prots[] = {0, 1, 2, 3, 4, 5, 7};
	int which = rnd(2), prot = PICK(prots), flags = rnd(5) ? MAP_SHARED : MAP_PRIVATE, ret;
	uint64_t off = rnd(2 * size / 4096 + 4) * 4096, len = 1 + rnd(3 * size);
	uint32_t key = 0, count = 1;
	char buf[64];
	void *p;

	switch (rnd(10)) {
	case 0:
		ret = result(bpf_map_lookup_elem(fds[which], rnd(2) ? &key : NULL, buf));
		break;
	case 1:
		ret = result(bpf_map_update_elem(fds[which], rnd(2) ? &key : NULL, buf, rnd(5)));
		break;
	case 2:
		ret = result(bpf_map_delete_elem(fds[which], rnd(2) ? &key : NULL));
		break;
	case 3:
		ret = result(bpf_map_get_next_key(fds[which], rnd(2) ? &key : NULL, buf));
		break;
	case 4:
		ret = result(bpf_map_lookup_and_delete_elem(fds[which], rnd(2) ? &key : NULL, buf));
		break;
	case 5:
		ret = result(bpf_map_lookup_batch(fds[which], NULL, buf, &key, buf, &count, NULL));
		break;
	case 6:
		ret = result(bpf_map_freeze(fds[which]));
		break;
	default:
		p = mmap(NULL, len, prot, flags, fds[which], off);
		ret = p == MAP_FAILED ? -errno : 0;
		printf("mmap %d off %llu len %llu prot %d flags %d:", which,
		       (unsigned long long)off, (unsigned long long)len, prot, flags);
		if (!ret && !(prot & PROT_WRITE))
			printf(" mprotect %d", result(mprotect(p, len, PROT_READ | PROT_WRITE)));
		if (!ret)
			munmap(p, len);
	}
	printf("refused %d: %d\n", which, ret);
}

static void op_create(void)
{
	static const uint32_t types[] = {27, 31},
			      entries[] = {0,	 1,	4095,	 4096,	  4097,
					   8192, 12288, 1 << 16, 1 << 20, 0x80000001};
	static const uint32_t sizes[] = {0, 0, 0, 0, 1, 4, 8};
	LIBBPF_OPTS(bpf_map_create_opts, o);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info), type = PICK(types);
	uint32_t key = PICK(sizes), value = PICK(sizes), max = PICK(entries);
	int fd;

	/* bit 19 is the one that shmap knows and Linux 6.18 does not */
	o.map_flags = rnd(3) ? 0 : 1u << rnd(19);
	o.map_extra = rnd(30) ? 0 : rnd(100);
	o.numa_node = rnd(8) ? 0 : rnd(3) - 1;
	fd = bpf_map_create(type, "made", key, value, max, &o);
	printf("create %u %u %u %u flags %x extra %llu node %d: %d", type, key, value, max,
	       o.map_flags, (unsigned long long)o.map_extra, (int)o.numa_node, fd < 0 ? fd : 0);
	if (fd >= 0) {
		REQUIRE(!bpf_obj_get_info_by_fd(fd, &info, &len));
		printf(" info %u %u %u %u %x %llu", info.type, info.key_size, info.value_size,
		       info.max_entries, info.map_flags, (unsigned long long)info.map_extra);
		close(fd);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	unsigned long ops = argc > 2 ? strtoul(argv[2], NULL, 0) : 1000;

	rng = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned long i = 0; i < ops; i++) {
		uint32_t what = rnd(100);

		if (!(i % 500))
			begin();
		printf("%lu ", i);
		if (what < 50)
			op_program();
		else if (what < 65)
			op_consume();
		else if (what < 78)
			op_user_produce();
		else if (what < 92)
			op_drain();
		else if (what < 97)
			op_refused();
		else
			op_create();
	}
	return check_done();
}
