/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A valid BTF blob, damaged at random in one to three places: BTF_LOAD of the
 * kernel and btf_check() give the same result. SHMAP_TEST_OPS: how many;
 * SHMAP_TEST_SEED: where to begin.
 */
#include "base/errors.h"
#include "btf/btf.h"
#include "sample.h"

static uint64_t rng_state;

static uint64_t rng(void)
{
	uint64_t x = rng_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(rng() % n);
}

static uint32_t mutate(uint8_t *data, uint32_t size, uint32_t room, uint32_t types)
{
	static const uint32_t values[] = {
		0,  1,	 2,    3,	4,	    8,		16,	 24,	   31,	      32,
		64, 128, 0xff, 0x10000, 0x0f000000, 0x80000000, 0xfffff, 0x100000, 0xffffffff};
	struct btf_header hdr;
	uint32_t words, at, word;

	memcpy(&hdr, data, sizeof(hdr));
	words = hdr.type_len / 4;
	switch (below(12)) {
	case 0: /* the header */
		word = values[below(sizeof(values) / sizeof(values[0]))];
		memcpy(data + 4 * below(6), &word, 4);
		break;
	case 1:
		data[below(24)] ^= (uint8_t)(1 << below(8));
		break;
	case 2: /* a string */
		at = (uint32_t)sizeof(hdr) + hdr.str_off + below(hdr.str_len ? hdr.str_len : 1);
		if (at < size)
			data[at] = (uint8_t)(below(3) ? "a. 9_"[below(6)] : below(256));
		break;
	case 3: /* the length */
		return below(2) && size < room ? size + 1 : size - 1 - below(8);
	default: /* a word of a type */
		at = (uint32_t)sizeof(hdr) + 4 * below(words ? words : 1);
		if (at > size - 4)
			break;
		memcpy(&word, data + at, 4);
		switch (below(6)) {
		case 0:
			word ^= 1u << below(32);
			break;
		case 1:
			word += below(2) ? 1 : -1;
			break;
		case 2:
			word = values[below(sizeof(values) / sizeof(values[0]))];
			break;
		case 3: /* another kind */
			word = (word & ~0x1f000000u) | below(21) << 24;
			break;
		default:
			word = below(types + 2);
			break;
		}
		memcpy(data + at, &word, 4);
		break;
	}
	return size;
}

int main(void)
{
	const char *ops_env = getenv("SHMAP_TEST_OPS"), *seed_env = getenv("SHMAP_TEST_SEED");
	uint64_t seed = seed_env ? strtoull(seed_env, NULL, 0) : 1;
	uint32_t ops = ops_env ? (uint32_t)strtoul(ops_env, NULL, 0) : 20000, i, j, size;
	struct btf *b = sample_btf(), *parsed;
	static uint8_t data[1 << 16] __attribute__((aligned(8)));
	static char log[1 << 16], own_log[1024];
	uint32_t orig_size, types = btf__type_cnt(b), accepted = 0;
	const void *orig = btf__raw_data(b, &orig_size);
	int want, got;

	want = kernel_btf_load(orig, orig_size, log, sizeof(log));
	if (want == -EPERM || want == -ENOSYS)
		SKIP("bpf(2) does not load BTF here");
	if (want)
		fprintf(stderr, "%s\n", log);
	CHECK_EQ(want, 0);
	CHECK_EQ(btf_check(orig, orig_size, &parsed, own_log, sizeof(own_log)), 0);
	if (check_failures) {
		fprintf(stderr, "%s", own_log);
		return check_done();
	}
	btf__free(parsed);
	for (i = 0; i < ops && check_failures < 10; i++) {
		rng_state = (seed + i) * 0x9e3779b97f4a7c15ull;
		memset(data, 0, orig_size + 64);
		memcpy(data, orig, orig_size);
		size = orig_size;
		for (j = 1 + below(3); j; j--)
			size = mutate(data, size, orig_size + 64, types);
		want = kernel_btf_load(data, size, NULL, 0);
		got = btf_check(data, size, &parsed, own_log, sizeof(own_log));
		if (!got)
			btf__free(parsed);
		if (!got && !want)
			accepted++;
		if (got == want)
			continue;
		memset(log, 0, sizeof(log));
		kernel_btf_load(data, size, log, sizeof(log));
		fprintf(stderr, "seed %llu: kernel %d, here %d\n...%s\n%s\n",
			(unsigned long long)(seed + i), want, got,
			log + (strlen(log) > 300 ? strlen(log) - 300 : 0), own_log);
		check_failures++;
	}
	printf("%u blobs, %u of them accepted\n", i, accepted);
	btf__free(b);
	return check_done();
}
