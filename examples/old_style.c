/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * old_style [OBJECT]: a loader in the manner of the kernel's old samples, on a few packets.
 * libbpf 1.x by itself does not open such an object; with shmap it does.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <libgen.h>
#include "bpf_load.h"

static void run_on(int protocol, int len)
{
	unsigned char packet[256] = {0};
	struct iphdr *ip = (struct iphdr *)(packet + ETH_HLEN);
	__u32 retval = 0;

	packet[12] = ETH_P_IP >> 8;
	ip->version = 4;
	ip->ihl = 5;
	ip->protocol = protocol;
	if (bpf_prog_test_run(prog_fd[0], 1, packet, ETH_HLEN + len, NULL, NULL, &retval, NULL))
		perror("bpf_prog_test_run");
}

int main(int argc, char **argv)
{
	char path[4096];
	long bytes;
	int key;

	snprintf(path, sizeof(path), "%s/old_style.bpf.o", dirname(strdupa(argv[0])));
	if (load_bpf_file(argc > 1 ? argv[1] : path))
		return 77;
	run_on(IPPROTO_TCP, 60);
	run_on(IPPROTO_TCP, 100);
	run_on(IPPROTO_UDP, 28);
	for (key = 0; key < 256; key++)
		if (!bpf_lookup_elem(map_fd[0], &key, &bytes) && bytes)
			printf("protocol %d: %ld bytes\n", key, bytes);
	key = IPPROTO_TCP;
	bpf_map_lookup_elem(map_data[0].fd, &key, &bytes);
	printf("%s: %ld bytes of TCP\n", map_data[0].name, bytes);
	return 0;
}
