/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures of any content are read to an end or an error, and what was read can be written:
 * SHMAP_TEST_OPS sets the number of cases.
 */
#include <stdbool.h>
#include <unistd.h>

#include "../check.h"
#include "event/capture.h"

static uint64_t seed = 7;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % n;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
	return p + 4;
}

static uint8_t *put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
	return p + 2;
}

static uint8_t *make_pcap(uint8_t *p, uint32_t link_type)
{
	p = put32(p, rnd(2) ? 0xa1b2c3d4 : 0xa1b23c4d);
	p = put16(put16(p, 2), 4);
	p = put32(put32(put32(put32(p, 0), 0), 1 << rnd(19)), link_type);
	for (int i = 0; i < 20; i++) {
		uint32_t n = rnd(120);

		p = put32(put32(put32(put32(p, 1700000000 + i), i), n), n + rnd(2) * 100);
		for (uint32_t k = 0; k < n; k++)
			*p++ = rnd(256);
	}
	return p;
}

static uint8_t *block(uint8_t *p, uint32_t type, uint32_t body)
{
	uint32_t len = 12 + ((body + 3) & ~3U);

	memmove(p + 8, p, body);
	memset(p + 8 + body, 0, len - 12 - body);
	put32(put32(p, type), len);
	return put32(p + len - 4, len);
}

static uint8_t *make_pcapng(uint8_t *p, uint32_t link_type)
{
	put32(put32(put16(put16(put32(p, 0x1a2b3c4d), 1), 0), -1), -1);
	p = block(p, 0x0a0d0d0a, 16);
	put32(put16(put16(p, link_type), 0), 0);
	p = block(p, 1, 8);
	for (int i = 0; i < 20; i++) {
		uint32_t n = rnd(120);
		uint8_t *at = put32(put32(put32(put32(put32(p, 0), 1), i), n), n);

		for (uint32_t k = 0; k < n; k++)
			*at++ = rnd(256);
		p = block(p, 6, at - p);
	}
	return p;
}

/* 1: it was read to its end. */
static int read_all(const char *path, const char *out)
{
	char why[CAPTURE_WHY] = "";
	struct capture *c = capture_open_file(path, why);
	struct capture_writer *w;
	struct packet_frame f;
	volatile uint8_t sum = 0;
	uint32_t max;
	int ret, n = 0;

	if (!c) {
		CHECK(why[0]);
		return 0;
	}
	max = capture_snaplen(c);
	w = capture_write_open(c, out, why);
	REQUIRE(w);
	while ((ret = capture_next(c, &f, why)) == 1) {
		CHECK(f.size <= max && f.wire_size >= f.size);
		for (uint32_t i = 0; i < f.size; i++)
			sum += ((const uint8_t *)f.bytes)[i];
		capture_write(w, &f);
		REQUIRE(n++ < 100000);
	}
	CHECK(ret == 0 || (ret == -1 && why[0]));
	CHECK(!capture_write_close(w, why));
	capture_close(c);
	return !ret;
}

static void put_file(const char *path, const uint8_t *data, size_t size)
{
	FILE *f = fopen(path, "w");

	REQUIRE(f && fwrite(data, 1, size, f) == size && !fclose(f));
}

int main(void)
{
	static const uint32_t link_types[] = {1, 113, 276, 101, 12, 0, 108, 228, 229, 105};
	static uint8_t data[1 << 16], copy[1 << 16];
	const char *ops = getenv("SHMAP_TEST_OPS"), *tmp = getenv("TMPDIR");
	uint32_t cases = ops ? strtoul(ops, NULL, 0) : 3000, whole = 0;
	char path[4000], out[4096];

	snprintf(path, sizeof(path), "%s/shmap-capture-%d", tmp ? tmp : "/tmp", getpid());
	snprintf(out, sizeof(out), "%s.out", path);
	for (uint32_t i = 0; i < cases; i++) {
		uint32_t link = link_types[i % 10], n = rnd(12);
		bool ng = rnd(2);
		size_t size = (ng ? make_pcapng(data, link) : make_pcap(data, link)) - data;

		memcpy(copy, data, size);
		for (; n; n--) {
			size_t at = rnd(2) ? rnd(64) : rnd(size);

			copy[at] = rnd(3) ? rnd(256) : copy[at] ^ 1 << rnd(8);
		}
		if (!rnd(4))
			size = rnd(size);
		put_file(path, copy, size);
		whole += read_all(path, out);
	}
	/* undamaged ones of the link types that are served, and what was written of them */
	for (uint32_t i = 0; i < 9; i++) {
		put_file(path, data, make_pcap(data, link_types[i]) - data);
		CHECK_EQ(read_all(path, out), 1);
		CHECK_EQ(read_all(out, path), 1);
		put_file(path, data, make_pcapng(data, link_types[i]) - data);
		CHECK_EQ(read_all(path, out), 1);
	}
	printf("%u cases, %u of them read to their end\n", cases, whole);
	unlink(path);
	unlink(out);
	return check_done();
}
