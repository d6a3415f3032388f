/* SPDX-License-Identifier: BSD-2-Clause */
/* String kfuncs give what the kernel's give. */
#include "kt.h"

static const struct {
	const char *name;
	uint32_t args; /* 1: s; 2: s, t; 3: s, char; 4: s, count; 5: s, count, char; 6: s, t, count
			*/
} kfuncs[] = {
	{"bpf_strcmp", 2},  {"bpf_strcasecmp", 2}, {"bpf_strchr", 3}, {"bpf_strchrnul", 3},
	{"bpf_strnchr", 5}, {"bpf_strrchr", 3},	   {"bpf_strlen", 1}, {"bpf_strnlen", 4},
	{"bpf_strspn", 2},  {"bpf_strcspn", 2},	   {"bpf_strstr", 2}, {"bpf_strnstr", 6},
};
#define FUNCS (sizeof(kfuncs) / sizeof(kfuncs[0]))

static const char *const strings[] = {
	"",	     "a",
	"abc",	     "abd",
	"ABC",	     "aBd",
	"abcabcabd", "cba",
	"xabcx",     "\xe9t\xe9",
	"\xc9T\xc9", "aab",
	"aaab",	     "\xd7",
	"\xf7",	     "abcdefgh ijklmnop 0123456789 abcdefgh ijklmnop 0123456789 .........",
};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))
static const int chars[] = {'a', 'b', 'c', 0, 'z', 0xe9, -23, 'd'};
static const int counts[] = {0, 1, 2, 3, 4, 9, 100, -1};
#define CHARS 8
#define COUNTS 8

static uint32_t ran;
/* Two strings of 128 bytes each, in the array that both sides fill. */
static uint8_t text[KT_ARRAY];

static int load(enum side side, uint32_t f, int third, int fourth)
{
	const uint32_t args = kfuncs[f].args;
	const struct bpf_insn insns[] = {
		MAPV(R1, KM_HASH, 0),
		MAPV(R2, KM_HASH, 128),
		args == 1 || args == 2 || args == 6 ? (struct bpf_insn)MOVR(R2, R2)
						    : (struct bpf_insn)MOV(R2, third),
		(struct bpf_insn)MOV(R3, fourth),
		KF((int)f),
		EXIT,
	};
	struct kt_case c = {.name = kfuncs[f].name,
			    .type = SK,
			    .insns = insns,
			    .cnt = sizeof(insns) / sizeof(insns[0])};
	int fd = kt_load(side, &c, true);

	if (fd < 0)
		fprintf(stderr, "%s\n", kt_log[side]);
	REQUIRE(fd >= 0);
	return fd;
}

static uint32_t run(enum side side, int fd)
{
	uint8_t in[64] = {0};
	union sys_attr a = {0};

	a.test.prog_fd = (uint32_t)fd;
	a.test.data_in = (uintptr_t)in;
	a.test.data_size_in = sizeof(in);
	REQUIRE(!side_bpf(side, BPF_PROG_TEST_RUN, &a));
	return a.test.retval;
}

static void compare(uint32_t f, int third, int fourth)
{
	int fd[SIDES];

	for (int s = 0; s < SIDES; s++)
		fd[s] = load(s, f, third, fourth);
	for (size_t i = 0; i < STRINGS; i++) {
		for (size_t j = 0; j < (kfuncs[f].args == 2 || kfuncs[f].args == 6 ? STRINGS : 1);
		     j++) {
			uint32_t got, want;

			memset(text, 0, sizeof(text));
			strcpy((char *)text, strings[i]);
			strcpy((char *)text + 128, strings[j]);
			for (int s = 0; s < SIDES; s++)
				kt_update(s, kt_maps[s][KM_HASH], text);
			got = run(OURS, fd[OURS]);
			want = run(KERNEL, fd[KERNEL]);
			ran++;
			if (got == want)
				continue;
			fprintf(stderr, "%s(\"%s\", \"%s\", %d, %d): here %d, kernel %d\n",
				kfuncs[f].name, strings[i], strings[j], third, fourth, (int)got,
				(int)want);
			check_failures++;
		}
	}
	for (int s = 0; s < SIDES; s++)
		side_close(s, fd[s]);
}

/* Addresses that are none, and strings without an end. */
static void compare_bad(void)
{
	static uint8_t full[1 << 17];

	for (uint32_t f = 0; f < FUNCS; f++) {
		static const uint64_t bad[] = {0, 1, 4096, 0xffff800000000000ull,
					       0xdead000000000000ull};

		for (int which = 0; which < 2; which++)
			for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
				const struct bpf_insn insns[] = {
					MAPV(R1, KM_HASH, 0),
					MAPV(R2, KM_HASH, 128),
					(struct bpf_insn)MOV(R3, 5),
					kfuncs[f].args == 2 || kfuncs[f].args == 6
						? (struct bpf_insn)MOVR(R2, R2)
						: (struct bpf_insn)MOV(R2, 5),
					LD64(which && (kfuncs[f].args == 2 || kfuncs[f].args == 6)
						     ? R2
						     : R1,
					     bad[b]),
					KF((int)f),
					EXIT,
				};
				struct kt_case c = {.name = kfuncs[f].name,
						    .type = SK,
						    .insns = insns,
						    .cnt = sizeof(insns) / sizeof(insns[0])};

				/* a user's address is what the kernel tells from its own; here
				 * the first pages are told from the rest */
				kt_check(&c, false);
			}
	}
	memset(full, 'a', sizeof(full));
	for (int s = 0; s < SIDES; s++) {
		side_close(s, kt_maps[s][KM_HASH]);
		kt_maps[s][KM_HASH] = kt_map(s, BPF_MAP_TYPE_ARRAY, 4, sizeof(full), 1, 0);
		kt_update(s, kt_maps[s][KM_HASH], full);
	}
	for (uint32_t f = 0; f < FUNCS; f++) {
		int fd[SIDES];
		uint32_t got, want;

		if (kfuncs[f].args == 2 || kfuncs[f].args == 6) {
			for (int s = 0; s < SIDES; s++)
				fd[s] = load(s, f, 0, 200000);
		} else {
			for (int s = 0; s < SIDES; s++)
				fd[s] = load(s, f, kfuncs[f].args == 3 ? 'b' : 70000, 'b');
		}
		got = run(OURS, fd[OURS]);
		want = run(KERNEL, fd[KERNEL]);
		if (got != want) {
			fprintf(stderr, "%s without end: here %d, kernel %d\n", kfuncs[f].name,
				(int)got, (int)want);
			check_failures++;
		}
		for (int s = 0; s < SIDES; s++)
			side_close(s, fd[s]);
	}
}

int main(void)
{
	const char *names[FUNCS];

	for (size_t i = 0; i < FUNCS; i++)
		names[i] = kfuncs[i].name;
	kt_init(names, FUNCS);
	if (!have_kernel)
		SKIP("there is no kernel to compare with");
	for (size_t i = 0; i < FUNCS; i++)
		if (!kt_ids[i])
			SKIP("this kernel has no %s", names[i]);
	for (int s = 0; s < SIDES; s++) {
		side_close(s, kt_maps[s][KM_HASH]);
		kt_maps[s][KM_HASH] = kt_map(s, BPF_MAP_TYPE_ARRAY, 4, KT_ARRAY, 1, 0);
	}
	for (uint32_t f = 0; f < FUNCS; f++)
		switch (kfuncs[f].args) {
		case 1:
		case 2:
			compare(f, 0, 0);
			break;
		case 3:
			for (int i = 0; i < CHARS; i++)
				compare(f, chars[i], 0);
			break;
		case 4:
			for (int i = 0; i < COUNTS; i++)
				compare(f, counts[i], 0);
			break;
		case 5:
			for (int i = 0; i < COUNTS; i++)
				for (int j = 0; j < CHARS; j++)
					compare(f, counts[i], chars[j]);
			break;
		default:
			for (int i = 0; i < COUNTS; i++)
				compare(f, 0, counts[i]);
		}
	compare_bad();
	printf("%u calls compared\n", ran);
	return check_done();
}
