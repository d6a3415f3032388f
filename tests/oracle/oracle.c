/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oracle TYPE [programs | evictions]: random bpf(2) operations on maps of one type, on
 * the kernel and on shmap; or programs that use the map; or LRU maps that evict.
 *
 *   SHMAP_TEST_OPS   how many (100000; programs: 20000)
 *   SHMAP_TEST_SEED  where the sequence starts
 *   SHMAP_TEST_JOBS  processes that share them, each with maps and a sequence of its own
 *                    (1; maps of maps: 16)
 *
 * The kernel waits for a grace period, 10 ms and more, at each change of a map in map: so
 * many processes wait at the same time.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "base/uaccess.h"
#include "oracle.h"

#define NOTES 48
#define PAGE 4096u

struct side sides[SIDES];
bool oracle_failed;

static uint64_t rng, seed;
static unsigned long op_no;
static char notes[NOTES][256];
static unsigned int note_next;

uint64_t rnd64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull;
}

uint32_t rnd(uint32_t n)
{
	return (uint32_t)(rnd64() >> 32) % n;
}

bool one_in(uint32_t n)
{
	return !rnd(n);
}

void note(const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(notes[note_next % NOTES], sizeof(notes[0]), "%lu: ", op_no);

	va_start(ap, fmt);
	vsnprintf(notes[note_next % NOTES] + n, sizeof(notes[0]) - n, fmt, ap);
	va_end(ap);
	note_next++;
}

void differ(const char *fmt, ...)
{
	va_list ap;

	if (oracle_failed)
		return;
	oracle_failed = true;
	fprintf(stderr,
		"seed %llu, operation %lu; map: type %u key %u value %u max %u flags %#x "
		"lock at %d%s\n",
		(unsigned long long)seed, op_no, twin.type, twin.key_size, twin.value_size,
		twin.max_entries, twin.flags, twin.lock_off, twin.frozen ? ", frozen" : "");
	for (unsigned int i = 0; i < NOTES; i++) {
		const char *text = notes[(note_next + i) % NOTES];

		if (*text)
			fprintf(stderr, "  %s\n", text);
	}
	fprintf(stderr, "difference: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void attr_clear(void)
{
	for (int s = 0; s < SIDES; s++)
		memset(sides[s].mem + AT_ATTR, 0, 8192);
}

void fill_both(uint32_t at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 8) {
		uint64_t v = rnd64();
		uint32_t k = n - i < 8 ? n - i : 8;

		memcpy(sides[KERNEL].mem + at + i, &v, k);
		memcpy(sides[SHMAP].mem + at + i, &v, k);
	}
}

void mark_both(uint32_t at, uint32_t n)
{
	uint8_t mark = 0x80 | rnd(128);

	for (int s = 0; s < SIDES; s++)
		memset(sides[s].mem + at, mark, n + 32);
}

void put_both(uint32_t at, const void *bytes, uint32_t n)
{
	for (int s = 0; s < SIDES; s++)
		memcpy(sides[s].mem + at, bytes, n);
}

bool same_bytes(uint32_t at, uint32_t n, const char *what)
{
	const uint8_t *k = sides[KERNEL].mem + at, *u = sides[SHMAP].mem + at;

	if (!memcmp(k, u, n + 32))
		return true;
	for (uint32_t i = 0; i < n + 32; i++)
		if (k[i] != u[i]) {
			differ("%s: byte %u of %u is %#x on the kernel and %#x on shmap", what, i,
			       n, k[i], u[i]);
			break;
		}
	return false;
}

bool call_both(int cmd, unsigned int size, long ret[SIDES], bool compare_ret)
{
	static uint8_t before[SIDES][512];

	for (int s = 0; s < SIDES; s++) {
		memcpy(before[s], sides[s].mem + AT_ATTR, sizeof(before[s]));
		ret[s] = sides[s].bpf(cmd, sides[s].mem + AT_ATTR, size);
	}
	if (compare_ret) {
		/* an fd is an fd */
		bool same = ret[KERNEL] == ret[SHMAP] || (ret[KERNEL] >= 0 && ret[SHMAP] >= 0);

		if (!same) {
			differ("command %d (size %u): the kernel returns %ld, shmap %ld", cmd, size,
			       ret[KERNEL], ret[SHMAP]);
			return false;
		}
		for (unsigned int i = 0; i < sizeof(before[0]); i++) {
			uint8_t k = before[KERNEL][i] ^ sides[KERNEL].mem[AT_ATTR + i];
			uint8_t u = before[SHMAP][i] ^ sides[SHMAP].mem[AT_ATTR + i];

			if (k != u) {
				differ("command %d: byte %u of the attr became %#x on the kernel "
				       "and %#x on shmap (returned %ld)",
				       cmd, i, sides[KERNEL].mem[AT_ATTR + i],
				       sides[SHMAP].mem[AT_ATTR + i], ret[KERNEL]);
				return false;
			}
		}
	}
	return true;
}

enum pointer random_pointer(bool output)
{
	static const enum pointer bad[] = {PTR_NULL, PTR_UNMAPPED, PTR_KERNEL, PTR_EDGE,
					   PTR_READ_ONLY};

	if (!one_in(40))
		return PTR_GOOD;
	return bad[rnd(output ? 5 : 4)];
}

uint64_t pointer_to(int s, enum pointer p, uint32_t at, uint32_t n)
{
	switch (p) {
	case PTR_GOOD:
		return (uintptr_t)sides[s].mem + at;
	case PTR_UNMAPPED:
		return (uintptr_t)sides[s].mem + MEM_SIZE;
	case PTR_KERNEL:
		return 0xffff888000001000ull;
	case PTR_EDGE: /* all but the last byte are there */
		return (uintptr_t)sides[s].mem + MEM_SIZE - (n ? n - 1 : 0);
	case PTR_READ_ONLY:
		return (uintptr_t)sides[s].read_only;
	default:
		return 0;
	}
}

const char *pointer_name(enum pointer p)
{
	static const char *const names[] = {"good",   "NULL", "unmapped",
					    "kernel", "edge", "read-only"};

	return names[p];
}

/* `end`: of the command's last field. */
unsigned int random_size(unsigned int end)
{
	unsigned int size = end, at;

	if (!one_in(30))
		return one_in(2) ? end : 120; /* what libbpf passes; any size that is enough */
	switch (rnd(5)) {
	case 0: /* shorter: as if zero */
		return rnd(end + 1);
	case 1: /* longer than the kernel's, zero */
		return end + rnd(4096 - end) + 1;
	case 2: /* too long */
		return 4097 + rnd(1000);
	case 3: /* longer, not zero at some place */
		size = end + 1 + rnd(200);
		at = end + rnd(size - end);
		break;
	default:
		size = end + 1 + rnd(3000);
		at = size - 1;
	}
	for (int s = 0; s < SIDES; s++)
		sides[s].mem[AT_ATTR + at] = 1;
	return size;
}

static void side_memory(struct side *s)
{
	s->mem = mmap(NULL, MEM_SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s->mem != MAP_FAILED);
	REQUIRE(!mprotect(s->mem, MEM_SIZE, PROT_READ | PROT_WRITE));
	s->read_only = mmap(NULL, 16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s->read_only != MAP_FAILED);
}

static void need_kernel(void)
{
	union sys_attr attr = {.map_create = {.map_type = BPF_MAP_TYPE_ARRAY,
					      .key_size = 4,
					      .value_size = 4,
					      .max_entries = 1}};
	long fd = kernel_side.bpf(BPF_MAP_CREATE, &attr, sizeof(attr.map_create));

	if (fd < 0)
		SKIP("the kernel does not let us use bpf(2) (%s): nothing to compare with",
		     strerror(-fd));
	close(fd);
}

static void one_op(uint32_t type)
{
	if (!twin.live || twin.ops-- == 0) {
		destroy_both();
		create_both(type);
		return;
	}
	/* of a ring there is nothing but itself: all the rest is refused */
	if (twin.ring && one_in(2)) {
		op_other();
		return;
	}
	switch (rnd(64)) {
	case 0:
		op_create_malformed(type);
		break;
	case 1 ... 2:
		op_other();
		break;
	case 3 ... 5:
		if (twin.usable)
			op_walk();
		break;
	case 6 ... 12:
		op_batch();
		break;
	default:
		op_elem();
	}
}

static int run(uint32_t type, const char *mode, unsigned long ops)
{
	rng = (seed + type) * 0x9e3779b97f4a7c15ull + 1;
	for (int s = 0; s < SIDES; s++)
		side_memory(&sides[s]);
	btf_load_both();
	objects_prepare(type);
	if (!strcmp(mode, "programs"))
		return programs_oracle(type, ops) || check_failures;
	for (op_no = 0; op_no < ops && !oracle_failed; op_no++)
		one_op(type);
	destroy_both();
	owners_close();
	if (!oracle_failed)
		printf("%lu operations on type %u, seed %llu: the same results\n", op_no, type,
		       (unsigned long long)seed);
	differences_print();
	return oracle_failed;
}

/* Several runs side by side. */
static int run_jobs(uint32_t type, const char *mode, unsigned long ops, unsigned long jobs)
{
	int status, failed = 0;

	for (unsigned long i = 0; i < jobs; i++) {
		pid_t pid;

		fflush(NULL);
		pid = fork();
		REQUIRE(pid >= 0);
		if (pid)
			continue;
		seed = seed * 1000 + i;
		failed = run(type, mode, (ops + jobs - 1) / jobs);
		fflush(NULL);
		_exit(failed);
	}
	for (unsigned long i = 0; i < jobs; i++) {
		REQUIRE(wait(&status) > 0);
		failed |= !!status;
	}
	return failed;
}

int main(int argc, char **argv)
{
	uint32_t type = argc > 1 ? strtoul(argv[1], NULL, 0) : BPF_MAP_TYPE_ARRAY;
	const char *ops_text = getenv("SHMAP_TEST_OPS"), *seed_text = getenv("SHMAP_TEST_SEED");
	const char *jobs_text = getenv("SHMAP_TEST_JOBS"), *mode = argc > 2 ? argv[2] : "";
	bool programs = !strcmp(mode, "programs");
	bool waits = type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
	unsigned long ops = ops_text ? strtoul(ops_text, NULL, 0) : programs ? 20000 : 100000;
	unsigned long jobs = jobs_text ? strtoul(jobs_text, NULL, 0) : waits ? 16 : 1;

	check_private_rundir();
	need_kernel();
	seed = seed_text ? strtoull(seed_text, NULL, 0) : 20240607;
	sides[KERNEL] = kernel_side;
	sides[SHMAP] = shmap_side;
	if (!ops_text && waits)
		ops = 20000;
	if (!strcmp(mode, "evictions")) {
		rng = (seed + type) * 0x9e3779b97f4a7c15ull + 1;
		for (int s = 0; s < SIDES; s++)
			side_memory(&sides[s]);
		btf_load_both();
		return evictions_oracle(type, ops_text ? ops / 1000 : 60) || check_failures;
	}
	return jobs > 1 ? run_jobs(type, mode, ops, jobs) : run(type, mode, ops);
}
