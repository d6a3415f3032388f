/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fuzz target without the fuzzer: a fixed number of inputs, for `make check`. From the files
 * of a folder, if one is named (each is run as it is, then with some bytes changed), and from
 * nothing. The same inputs at each run; SHMAP_TEST_OPS changes how many.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES 1500
#define INPUT_MAX 4096
#define FRESH_MAX 400

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint64_t rng = 0x9e3779b97f4a7c15u;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 20) % n);
}

static size_t read_file(const char *dir, const char *name, uint8_t *data)
{
	char path[4096];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		return 0;
	len = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	return len;
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : NULL, *ops = getenv("SHMAP_TEST_OPS");
	long cases = ops ? atol(ops) : CASES, done = 0;
	static uint8_t data[INPUT_MAX];
	struct dirent **files = NULL;
	int cnt = dir ? scandir(dir, &files, NULL, alphasort) : 0;

	if (cnt < 0) {
		perror(dir);
		return 1;
	}
	if (LLVMFuzzerInitialize && LLVMFuzzerInitialize(&argc, &argv))
		return 1;
	for (; done < cases; done++) {
		size_t len = 0;

		if (cnt)
			len = read_file(dir, files[done % cnt]->d_name, data);
		if (len && done >= cnt)
			for (uint32_t i = 1 + rnd(8); i; i--)
				data[rnd((uint32_t)len)] = (uint8_t)rnd(256);
		if (!len) {
			len = 1 + rnd(FRESH_MAX);
			for (size_t i = 0; i < len; i++)
				data[i] = (uint8_t)rnd(256);
		}
		LLVMFuzzerTestOneInput(data, len);
	}
	printf("%ld inputs\n", done);
	return 0;
}
