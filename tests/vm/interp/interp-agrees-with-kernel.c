/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs (gen.h) give the same R0 on the kernel and here.
 * SHMAP_TEST_OPS: programs to try; SHMAP_TEST_SEED: where to begin.
 */
#include "gen.h"

int main(void)
{
	const char *ops_env = getenv("SHMAP_TEST_OPS"), *seed_env = getenv("SHMAP_TEST_SEED");
	uint64_t seed = seed_env ? strtoull(seed_env, NULL, 0) : 1;
	uint32_t programs = ops_env ? (uint32_t)strtoul(ops_env, NULL, 0) : 3000, i, refused = 0;
	static char log[1 << 16];
	static struct gen g;
	uint8_t pkt[64] = {0};
	uint64_t ret, verified;

	kernel_required();
	uaccess_init();
	for (i = 0; i < programs && check_failures < 5; i++) {
		union bpf_attr attr;
		struct vm_prog *p;
		int fd;

		rng_state = (seed + i) * HASH_K;
		generate(&g);
		fd = kernel_load(BPF_PROG_TYPE_XDP, g.insns, g.cnt, NULL, 0);
		if (fd < 0) {
			/* the generator's fault: there must be none */
			if (!refused++) {
				kernel_load(BPF_PROG_TYPE_XDP, g.insns, g.cnt, log, sizeof(log));
				fprintf(stderr, "seed %llu refused:\n%s\n",
					(unsigned long long)(seed + i),
					log + (strlen(log) > 1000 ? strlen(log) - 1000 : 0));
			}
			continue;
		}
		memset(&attr, 0, sizeof(attr));
		attr.test.prog_fd = (uint32_t)fd;
		attr.test.data_in = (uintptr_t)pkt;
		attr.test.data_size_in = sizeof(pkt);
		attr.test.repeat = 1;
		REQUIRE(kernel_bpf(BPF_PROG_TEST_RUN, &attr) == 0);
		close(fd);
		p = prog_new(BPF_PROG_TYPE_XDP, g.insns, g.cnt);
		ret = verified = 0;
		CHECK_EQ(vm_run(p, pkt, NULL, &ret), 0);
		vm_prog_free(p);
		/* once more as a loader has it: what the verifier notes must not change it */
		p = prog_new(BPF_PROG_TYPE_XDP, g.insns, g.cnt);
		CHECK_EQ(vm_verify(p, &(struct vm_log){0}), 0);
		CHECK_EQ(vm_run(p, pkt, NULL, &verified), 0);
		vm_prog_free(p);
		if (ret != attr.test.retval || verified != ret) {
			fprintf(stderr, "seed %llu: kernel %#x, here %#llx\n",
				(unsigned long long)(seed + i), attr.test.retval,
				(unsigned long long)ret);
			if (!check_failures++)
				dump(&g);
		}
	}
	printf("%u programs, %u refused by the kernel\n", i, refused);
	CHECK_EQ(refused, 0);
	return check_done();
}
