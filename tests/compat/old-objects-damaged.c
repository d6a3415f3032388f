// SPDX-License-Identifier: BSD-2-Clause
/*
 * Whatever an object's bytes are, the converter reads nothing outside of them and says what is
 * wrong: old-objects-damaged OBJECT... SHMAP_TEST_OPS sets the number of cases.
 */
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/libbpf.h>

#include "../check.h"
#include "btf/old_object.h"

static uint64_t seed = 1;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % n;
}

/* The object ends where the page after it faults. */
static uint8_t *at_edge(uint8_t *pages, size_t room, const void *data, size_t size)
{
	/* sections are read in place, at addresses that are multiples of 8 */
	uint8_t *p = pages + room - ((size + 7) & ~7UL);

	memcpy(p, data, size);
	return p;
}

static void convert(uint8_t *p, size_t size)
{
	char why[OLD_OBJECT_WHY] = "";
	void *out = NULL;
	size_t out_size = 0;
	int ret = old_object_convert(p, size, &out, &out_size, why);

	CHECK(ret <= 1);
	CHECK((ret == 1) == (out != NULL));
	CHECK((ret < 0) == (why[0] != 0) || ret == 1);
	if (ret == 1) {
		CHECK(out_size > size);
		free(out);
	}
}

static void damage(const char *path, uint32_t ops)
{
	size_t size, room;
	uint8_t *data = old_object_read(path, &size), *pages, *p;

	REQUIRE(data);
	room = (size + 4096) & ~4095UL;
	pages = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(pages != MAP_FAILED && !mprotect(pages + room, 4096, PROT_NONE));
	convert(at_edge(pages, room, data, size), size);
	for (uint32_t i = 0; i < ops; i++) {
		size_t cut = rnd(4) ? size : rnd(size);
		/* most of what is looked at: the ELF header, the section headers at the end */
		uint32_t n = 1 + rnd(8), where = rnd(3);

		p = at_edge(pages, room, data, cut);
		for (; n && cut; n--) {
			uint32_t at = where == 0   ? rnd(64)
				      : where == 1 ? rnd(cut)
						   : cut - 1 - rnd(cut < 2048 ? cut : 2048);

			if (at < cut)
				p[at] = rnd(2) ? rnd(256) : p[at] ^ 1 << rnd(8);
		}
		convert(p, cut);
	}
	munmap(pages, room + 4096);
	free(data);
}

int main(int argc, char **argv)
{
	const char *ops = getenv("SHMAP_TEST_OPS");

	libbpf_set_print(NULL);
	for (int i = 1; i < argc; i++)
		damage(argv[i], ops ? strtoul(ops, NULL, 0) : 20000);
	return check_done();
}
