/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_snprintf, bpf_strtol, bpf_strtoul and bpf_strncmp give the kernel's
 * result and text for many formats and strings, and the program tag is the
 * kernel's.
 */
#include "prog.h"
#include "vm/helpers.h"

#define OUT 256

#define MAP_VALUE(d, fd, off)                                                                      \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_VALUE, 0, fd), INSN(0, 0, 0, 0, off)

/* A one-element array, filled with size bytes and frozen when data is not NULL. */
static int kernel_array(const void *data, uint32_t size)
{
	union bpf_attr attr;
	uint32_t key = 0;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = size;
	attr.max_entries = 1;
	attr.map_flags = data ? BPF_F_RDONLY_PROG : 0;
	fd = (int)kernel_bpf(BPF_MAP_CREATE, &attr);
	REQUIRE(fd >= 0);
	if (!data)
		return fd;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)data;
	REQUIRE(!kernel_bpf(BPF_MAP_UPDATE_ELEM, &attr));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	REQUIRE(!kernel_bpf(BPF_MAP_FREEZE, &attr));
	return fd;
}

/* R0 of the program, or the error of its load; what it left in the array out. */
static long kernel_run(const struct bpf_insn *insns, uint32_t cnt, int out, void *value)
{
	int fd = kernel_load(BPF_PROG_TYPE_XDP, insns, cnt, NULL, 0);
	union bpf_attr attr;
	uint32_t key = 0;
	char pkt[64] = {0};
	long ret;

	if (fd < 0)
		return -errno;
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)fd;
	attr.test.data_in = (uintptr_t)pkt;
	attr.test.data_size_in = sizeof(pkt);
	REQUIRE(!kernel_bpf(BPF_PROG_TEST_RUN, &attr));
	ret = (int)attr.test.retval;
	close(fd);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)out;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)value;
	REQUIRE(!kernel_bpf(BPF_MAP_LOOKUP_ELEM, &attr));
	return ret;
}

static struct vm_env env;
static struct vm_context vc = {.env = &env};

/* Not there: %p of a number that is no error (the kernel shows a hash). */
static const char *const formats[] = {
	"%d",	    "%5d|",    "%-5d|",	 "%05d",   "%+d",   "% d",	"%x",	    "%X",
	"%lx",	    "%llx",    "%ld",	 "%i",	   "%u",    "%lu",	"%c",	    "%p",
	"%px",	    "%pK",     "%s",	 "%%",	   "%.3d",  "%h",	"%hd",	    "%o",
	"%lo",	    "%lld",    "%ll",	 "%l",	   "%",	    "%5",	"%*d",	    "%z",
	"%pI4",	    "%pi4",    "%pI6",	 "%pi6",   "%pI5",  "%pks",	"%pus",	    "%pk",
	"%pz",	    "%p z",    "%p.",	 "%px.",   "%s.",   "%sx",	"%dx",	    "%cx",
	"%5c|",	    "%-5c|",   "%5s|",	 "%-5s|",  "%05x",  "%#x",	"%'d",	    "%lc",
	"%ls",	    "%lp",     "%pKx",	 "%x%d",   "\x80",  "\xc3\xa9", "\x01",	    "tab\t",
	"%10p|",    "%-20px|", "%020px", "%+u",	   "% x",   "%+x",	"%-05d|",   "%00005d",
	"%0-5d|",   "%e",      "%f",	 "%n",	   "%pI4h", "%pi6c",	"%ui",	    "%+5d|",
	"%l5d",	    "%1000d",  "%px%px", "%d%d%d", "",	    "plain",	"%d %% %d", "a%",
	"%+ld|%ld", "%pxy|",   "%-px",
};

static void test_formats(void)
{
	static const int64_t args[2] = {-5, 65};
	char want[OUT], got[OUT], fmt[128];
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		int out = kernel_array(NULL, OUT), in;
		long want_ret, got_ret;

		memset(fmt, 0, sizeof(fmt));
		strcpy(fmt, formats[i]);
		in = kernel_array(fmt, sizeof(fmt));
		struct bpf_insn insns[] = {
			INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -16, -5),
			INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 65),
			MAP_VALUE(1, out, 0),
			MOV64_K(2, 200),
			MAP_VALUE(3, in, 0),
			MOV64_X(4, 10),
			INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, -16),
			MOV64_K(5, 16),
			CALL(BPF_FUNC_snprintf),
			EXIT(),
		};

		memset(want, 0, sizeof(want));
		memset(got, 0, sizeof(got));
		want_ret = kernel_run(insns, sizeof(insns) / sizeof(insns[0]), out, want);
		got_ret = (long)helper_snprintf((uintptr_t)got, 200, (uintptr_t)fmt,
						(uintptr_t)args, sizeof(args), &vc);
		if (want_ret != got_ret || memcmp(want, got, OUT)) {
			fprintf(stderr, "\"%s\": kernel %ld \"%s\", here %ld \"%s\"\n", fmt,
				want_ret, want, got_ret, got);
			check_failures++;
		}
		close(in);
		close(out);
	}
}

static const char *const numbers[] = {
	"0",
	"1",
	"-1",
	"+1",
	"  42",
	"\t\n7x",
	"",
	"-",
	" ",
	"0x10",
	"0X1f",
	"0x",
	"0xg",
	"010",
	"08",
	"9223372036854775807",
	"9223372036854775808",
	"-9223372036854775808",
	"-9223372036854775809",
	"18446744073709551615",
	"18446744073709551616",
	"abc",
	"12abc",
	"- 1",
	"--1",
	"0b1",
	"00",
	"-0",
	"7fffffffffffffff",
	"ffffffffffffffffff",
	"0x-1",
	"1_0",
	"99999999999999999999999999999999999999999999999999999999999999999999999",
	"00000000000000000000000000000000000000000000000000000000000000000000012",
};

static void test_numbers(void)
{
	static const int32_t flags[] = {0, 8, 10, 16, 2, 7, 32, 42, -1};
	char buf[96];
	size_t i, j;
	int k;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (j = 0; j < sizeof(flags) / sizeof(flags[0]); j++) {
			for (k = 0; k < 2; k++) {
				int out = kernel_array(NULL, 8), in;
				int32_t len = (int32_t)strlen(numbers[i]) + (int32_t)(j & 1);
				uint64_t want = 0, got = 0;
				long want_ret, got_ret;

				memset(buf, 0, sizeof(buf));
				strcpy(buf, numbers[i]);
				in = kernel_array(buf, sizeof(buf));
				struct bpf_insn insns[] = {
					MAP_VALUE(1, in, 0),
					MOV64_K(2, len ? len : 1),
					MOV64_K(3, flags[j]),
					MAP_VALUE(4, out, 0),
					CALL(k ? BPF_FUNC_strtoul : BPF_FUNC_strtol),
					EXIT(),
				};

				want_ret = kernel_run(insns, sizeof(insns) / sizeof(insns[0]), out,
						      &want);
				got_ret = (long)(k ? helper_strtoul : helper_strtol)(
					(uintptr_t)buf, (uint64_t)(len ? len : 1),
					(uint64_t)(int64_t)flags[j], (uintptr_t)&got, 0, &vc);
				if (want_ret != got_ret || want != got) {
					fprintf(stderr,
						"%s \"%s\" flags %d: kernel %ld %#llx, here %ld "
						"%#llx\n",
						k ? "strtoul" : "strtol", buf, flags[j], want_ret,
						(unsigned long long)want, got_ret,
						(unsigned long long)got);
					check_failures++;
				}
				close(in);
				close(out);
			}
		}
	}
}

static void test_strncmp(void)
{
	static const char *const pairs[][2] = {{"abc", "abc"}, {"abc", "abd"}, {"abd", "abc"},
					       {"ab", "abc"},  {"abc", "ab"},  {"", "a"},
					       {"\xff", "a"},  {"", ""}};
	size_t i;
	int n;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		for (n = 1; n < 5; n++) {
			char a[8] = {0}, b[8] = {0};
			uint64_t unused;
			long want, got;
			int first, second;

			strcpy(a, pairs[i][0]);
			strcpy(b, pairs[i][1]);
			first = kernel_array(a, sizeof(a));
			second = kernel_array(b, sizeof(b));
			struct bpf_insn insns[] = {
				MAP_VALUE(1, first, 0), MOV64_K(2, n), MAP_VALUE(3, second, 0),
				CALL(BPF_FUNC_strncmp), EXIT(),
			};

			want = kernel_run(insns, sizeof(insns) / sizeof(insns[0]), first, &unused);
			got = (int)helper_strncmp((uintptr_t)a, (uint64_t)n, (uintptr_t)b, 0, 0,
						  &vc);
			CHECK_EQ((got > 0) - (got < 0), (want > 0) - (want < 0));
			close(first);
			close(second);
		}
	}
}

static void test_tag(void)
{
	struct bpf_insn insns[72];
	struct bpf_prog_info info;
	union bpf_attr attr;
	struct vm_prog *p;
	int map = kernel_array(NULL, 8), i, n, fd;
	uint8_t tag[8];

	/* lengths around the hash's block of 64 bytes */
	for (n = 6; n < 70; n += 5) {
		struct bpf_insn first[] = {MAP_VALUE(1, map, 4), LD_MAP(1, map),
					   LD_IMM64(1, 0x123456789abcdef0)};

		memcpy(insns, first, sizeof(first));
		for (i = 6; i < n; i++)
			insns[i] = MOV64_K(0, i);
		insns[i++] = MOV64_K(0, 2);
		insns[i++] = EXIT();
		REQUIRE(i <= 72);
		fd = kernel_load(BPF_PROG_TYPE_SOCKET_FILTER, insns, (uint32_t)i, NULL, 0);
		REQUIRE(fd >= 0);
		memset(&info, 0, sizeof(info));
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = (uint32_t)fd;
		attr.info.info_len = sizeof(info);
		attr.info.info = (uintptr_t)&info;
		REQUIRE(!kernel_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr));
		p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, (uint32_t)i);
		vm_prog_tag(p, tag);
		CHECK(!memcmp(tag, info.tag, 8));
		vm_prog_free(p);
		close(fd);
	}
	close(map);
}

int main(void)
{
	kernel_required();
	uaccess_init();
	test_formats();
	test_numbers();
	test_strncmp();
	test_tag();
	return check_done();
}
