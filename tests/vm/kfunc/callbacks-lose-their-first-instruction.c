/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A callback whose first instruction leaves the program, as it does nothing or as what it
 * asks is known, is called as on the kernel: from where its code then begins.
 */
#include "kt.h"

static void make_btf(void)
{
	struct btf *btf = btf__new_empty();
	int proto = btf__add_func_proto(btf, btf__add_int(btf, "int", 4, BTF_INT_SIGNED));
	uint32_t size;
	const void *raw;

	kt_funcs[0] = (uint32_t)btf__add_func(btf, "prog", BTF_FUNC_STATIC, proto);
	kt_funcs[1] = (uint32_t)btf__add_func(btf, "callback", BTF_FUNC_STATIC, proto);
	raw = btf__raw_data(btf, &size);
	for (int s = 0; s < (have_kernel ? SIDES : 1); s++) {
		union sys_attr a = {0};

		a.btf_load.btf = (uintptr_t)raw;
		a.btf_load.btf_size = size;
		kt_btf[s] = (int)side_bpf(s, BPF_BTF_LOAD, &a);
		REQUIRE(kt_btf[s] >= 0);
	}
	btf__free(btf);
}

static const struct bpf_insn nop[] = {JMP(JA, 0, 0, 0), RET(0)};
static const struct bpf_insn known[] = {JMP(JNE, R3, 0, 1), EXIT, RET(0)};

#define CB_CASE(name_, callback_, ...)                                                             \
	{                                                                                          \
		.name = name_, .type = SK, .insns = (const struct bpf_insn[]){__VA_ARGS__},        \
		.cnt = sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn),   \
		.callback = callback_, .callback_cnt = sizeof(callback_) / sizeof(callback_[0])    \
	}
#define LOOP FUNC(R2, 0), MOV(R3, 0), MOV(R4, 0), CALL(loop)
#define EACH MAP(R1, KM_ARRAY), FUNC(R2, 0), MOV(R3, 0), MOV(R4, 0), CALL(for_each_map_elem)

static const struct kt_case cases[] = {
	CB_CASE("a jump to the next one", nop, MOV(R1, 5), LOOP, EXIT),
	CB_CASE("as often as a number says", nop, LD(W, R1, R1, 0), ALU(AND, R1, 7), LOOP, EXIT),
	CB_CASE("for each element", nop, EACH, EXIT),
	CB_CASE("a known branch", known, EACH, EXIT),
};

int main(int argc, char **argv)
{
	kt_init(NULL, 0);
	make_btf();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		kt_check(&cases[i], argc > 1);
	return check_done();
}
