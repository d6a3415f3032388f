/* SPDX-License-Identifier: BSD-2-Clause */
#include "event/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <sys/stat.h>

#define SNAPLEN 262144 /* tcpdump's: any packet */
#define ETH_HEADER 14
#define PCAP_MAGIC 0xa1b2c3d4
#define PCAP_MAGIC_SWAPPED 0xd4c3b2a1

struct capture {
	pcap_t *pcap;
	FILE *file; /* NULL: a device */
	uint64_t file_size;
	bool regular, nano;
	int link_type;
	uint32_t ifindex;
	uint8_t *buf; /* for frames whose link header is replaced */
};

struct capture_writer {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	const char *path;
	bool nano, failed;
	int error;
};

/* What stands before the network header in the link types that are served. */
static int link_header_size(int link_type)
{
	switch (link_type) {
	case DLT_EN10MB:
		return ETH_HEADER;
	case DLT_LINUX_SLL:
		return 16;
	case DLT_LINUX_SLL2:
		return 20;
	case DLT_NULL:
	case DLT_LOOP:
		return 4;
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		return 0;
	}
	return -1;
}

static struct capture *capture_new(char *why)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (!c)
		snprintf(why, CAPTURE_WHY, "%s", strerror(ENOMEM));
	return c;
}

static int check_link_type(struct capture *c, const char *name, char *why)
{
	const char *type;

	c->link_type = pcap_datalink(c->pcap);
	if (link_header_size(c->link_type) >= 0)
		return 0;
	type = pcap_datalink_val_to_name(c->link_type);
	snprintf(why, CAPTURE_WHY,
		 "%s has packets of the link type %s (%d); programs here see Ethernet, Linux "
		 "cooked, "
		 "raw IP and BSD loopback packets",
		 name, type ? type : "?", c->link_type);
	return -1;
}

/*
 * Looks at the first bytes and puts them back: a pcap file with microseconds is written
 * again as one, everything else with nanoseconds.
 */
static void look_at_magic(struct capture *c)
{
	uint32_t magic = 0;
	uint8_t *bytes = (uint8_t *)&magic;
	size_t n = fread(bytes, 1, sizeof(magic), c->file);

	c->nano = magic != PCAP_MAGIC && magic != PCAP_MAGIC_SWAPPED;
	while (n)
		ungetc(bytes[--n], c->file);
}

struct capture *capture_open_file(const char *path, char *why)
{
	const char *name = strcmp(path, "-") ? path : "standard input";
	char said[PCAP_ERRBUF_SIZE] = "";
	struct capture *c = capture_new(why);
	struct stat st;

	if (!c)
		return NULL;
	c->ifindex = 1;
	c->file = strcmp(path, "-") ? fopen(path, "rbe") : stdin;
	if (!c->file || fstat(fileno(c->file), &st)) {
		snprintf(why, CAPTURE_WHY, "%s: %s", name, strerror(errno));
		goto fail;
	}
	if (S_ISDIR(st.st_mode)) {
		snprintf(why, CAPTURE_WHY, "%s is a directory; name a capture", name);
		goto fail;
	}
	c->regular = S_ISREG(st.st_mode);
	c->file_size = c->regular ? st.st_size : 0;
	look_at_magic(c);
	c->pcap =
		pcap_fopen_offline_with_tstamp_precision(c->file, PCAP_TSTAMP_PRECISION_NANO, said);
	if (!c->pcap) {
		if (c->regular && !c->file_size)
			snprintf(why, CAPTURE_WHY, "%s is empty; a capture has at least a header",
				 name);
		else
			snprintf(why, CAPTURE_WHY,
				 "%s cannot be read as a capture (pcap, pcapng): %s", name, said);
		goto fail;
	}
	if (!check_link_type(c, name, why))
		return c;
fail:
	capture_close(c);
	return NULL;
}

static void iface_error(int err, const char *name, pcap_t *pcap, char *why)
{
	const char *more = pcap ? pcap_geterr(pcap) : "";

	if (err == PCAP_ERROR_PERM_DENIED || err == PCAP_ERROR_PROMISC_PERM_DENIED)
		snprintf(why, CAPTURE_WHY,
			 "the interface %s cannot be opened without CAP_NET_RAW; as root, 'tcpdump "
			 "-i %s "
			 "-w -' can feed 'shmap run --pcap -'",
			 name, name);
	else if (err == PCAP_ERROR_NO_SUCH_DEVICE)
		snprintf(why, CAPTURE_WHY, "there is no interface %s; 'ip link' lists them", name);
	else if (err == PCAP_ERROR_IFACE_NOT_UP)
		snprintf(why, CAPTURE_WHY, "the interface %s is down", name);
	else
		snprintf(why, CAPTURE_WHY, "the interface %s: %s", name,
			 *more ? more : pcap_statustostr(err));
}

struct capture *capture_open_iface(const char *name, bool outgoing, char *why)
{
	char said[PCAP_ERRBUF_SIZE] = "";
	struct capture *c = capture_new(why);
	int err;

	if (!c)
		return NULL;
	c->nano = true;
	c->ifindex = if_nametoindex(name);
	if (!c->ifindex) {
		iface_error(PCAP_ERROR_NO_SUCH_DEVICE, name, NULL, why);
		goto fail;
	}
	c->pcap = pcap_create(name, said);
	if (!c->pcap) {
		snprintf(why, CAPTURE_WHY, "the interface %s: %s", name, said);
		goto fail;
	}
	pcap_set_snaplen(c->pcap, SNAPLEN);
	pcap_set_timeout(c->pcap, 100);
	pcap_set_immediate_mode(c->pcap, 1);
	if (pcap_set_tstamp_precision(c->pcap, PCAP_TSTAMP_PRECISION_NANO))
		c->nano = false;
	err = pcap_activate(c->pcap);
	if (err < 0) {
		iface_error(err, name, c->pcap, why);
		goto fail;
	}
	err = pcap_setdirection(c->pcap, outgoing ? PCAP_D_OUT : PCAP_D_IN);
	if (err < 0) {
		iface_error(err, name, c->pcap, why);
		goto fail;
	}
	if (!check_link_type(c, name, why))
		return c;
fail:
	capture_close(c);
	return NULL;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	if (c->pcap)
		pcap_close(c->pcap); /* and the file, unless it is standard input */
	else if (c->file && c->file != stdin)
		fclose(c->file);
	free(c->buf);
	free(c);
}

uint32_t capture_snaplen(const struct capture *c)
{
	int snaplen = pcap_snapshot(c->pcap);

	return (snaplen > 0 && snaplen < SNAPLEN ? snaplen : SNAPLEN) + ETH_HEADER;
}

static uint16_t ip_protocol(const uint8_t *ip, uint32_t len)
{
	return htons(len && ip[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP);
}

/* The Ethernet header of a packet that came without one; addresses as far as they are known. */
static void make_ethernet(struct ethhdr *eth, int link_type, const uint8_t *link, const uint8_t *ip,
			  uint32_t len, uint8_t *pkt_type)
{
	memset(eth, 0, sizeof(*eth));
	switch (link_type) {
	case DLT_LINUX_SLL: /* packet type, device type, length of address, address, protocol */
		if (link[1] <= PACKET_OUTGOING)
			*pkt_type = link[1];
		if (link[5] == ETH_ALEN)
			memcpy(eth->h_source, link + 6, ETH_ALEN);
		memcpy(&eth->h_proto, link + 14, 2);
		return;
	case DLT_LINUX_SLL2: /* protocol, 0, interface, device type, packet type, length, address */
		memcpy(&eth->h_proto, link, 2);
		if (link[10] <= PACKET_OUTGOING)
			*pkt_type = link[10];
		if (link[11] == ETH_ALEN)
			memcpy(eth->h_source, link + 12, ETH_ALEN);
		return;
	}
	eth->h_proto = ip_protocol(ip, len);
}

static uint8_t type_by_address(const uint8_t *eth, uint32_t len)
{
	static const uint8_t all[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (len < ETH_ALEN || !(eth[0] & 1))
		return PACKET_HOST;
	return memcmp(eth, all, ETH_ALEN) ? PACKET_MULTICAST : PACKET_BROADCAST;
}

/* Puts an Ethernet header in front of a packet whose link header is another one. */
static int replace_header(struct capture *c, struct packet_frame *f, char *why)
{
	uint32_t link = link_header_size(c->link_type), room = capture_snaplen(c);
	const uint8_t *bytes = f->bytes;
	struct ethhdr eth;
	uint8_t type = 0;

	if (f->size < link)
		return 1; /* too little of it is there to be run on */
	if (!c->buf)
		c->buf = malloc(room);
	if (!c->buf) {
		snprintf(why, CAPTURE_WHY, "%s", strerror(ENOMEM));
		return -1;
	}
	make_ethernet(&eth, c->link_type, bytes, bytes + link, f->size - link, &type);
	memcpy(c->buf, &eth, sizeof(eth));
	memcpy(c->buf + sizeof(eth), bytes + link, f->size - link);
	f->bytes = c->buf;
	f->size += sizeof(eth) - link;
	f->wire_size += sizeof(eth) - link;
	f->pkt_type = type;
	return 1;
}

static int take(struct capture *c, const struct pcap_pkthdr *h, const uint8_t *bytes,
		struct packet_frame *f, char *why)
{
	uint32_t room = capture_snaplen(c) - ETH_HEADER, scale = c->file || c->nano ? 1 : 1000;

	memset(f, 0, sizeof(*f));
	f->bytes = bytes;
	f->size = h->caplen < room ? h->caplen : room;
	f->wire_size = h->len > f->size ? h->len : f->size;
	f->tstamp = (uint64_t)h->ts.tv_sec * 1000000000 + (uint64_t)h->ts.tv_usec * scale;
	f->ifindex = c->ifindex;
	if (c->link_type != DLT_EN10MB)
		return replace_header(c, f, why);
	f->pkt_type = type_by_address(bytes, f->size);
	return 1;
}

int capture_next(struct capture *c, struct packet_frame *f, char *why)
{
	struct pcap_pkthdr *h;
	const uint8_t *bytes;

	switch (pcap_next_ex(c->pcap, &h, &bytes)) {
	case 1:
		return take(c, h, bytes, f, why);
	case 0:
		return -2;
	case PCAP_ERROR_BREAK:
		return 0;
	}
	snprintf(why, CAPTURE_WHY, "%s", pcap_geterr(c->pcap));
	return -1;
}

uint64_t capture_position(const struct capture *c, uint64_t *size)
{
	*size = c->file_size;
	return c->regular ? (uint64_t)ftello(c->file) : 0;
}

/* ---- writing ---- */

static bool same_file(const struct capture *c, const char *path)
{
	struct stat in, out;

	return c->regular && !stat(path, &out) && !fstat(fileno(c->file), &in) &&
	       in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

struct capture_writer *capture_write_open(const struct capture *c, const char *path, char *why)
{
	struct capture_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		snprintf(why, CAPTURE_WHY, "%s", strerror(ENOMEM));
		return NULL;
	}
	w->path = path;
	w->nano = c->nano;
	if (strcmp(path, "-") && same_file(c, path)) {
		snprintf(why, CAPTURE_WHY, "%s is the capture that is read; write another file",
			 path);
		goto fail;
	}
	w->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SNAPLEN,
						       c->nano ? PCAP_TSTAMP_PRECISION_NANO
							       : PCAP_TSTAMP_PRECISION_MICRO);
	if (!w->pcap) {
		snprintf(why, CAPTURE_WHY, "%s", strerror(ENOMEM));
		goto fail;
	}
	w->dumper = pcap_dump_open(w->pcap, path);
	if (w->dumper)
		return w;
	snprintf(why, CAPTURE_WHY, "%s", pcap_geterr(w->pcap));
fail:
	if (w->pcap)
		pcap_close(w->pcap);
	free(w);
	return NULL;
}

void capture_write(struct capture_writer *w, const struct packet_frame *f)
{
	struct pcap_pkthdr h = {
		.ts.tv_sec = f->tstamp / 1000000000,
		.ts.tv_usec = f->tstamp % 1000000000 / (w->nano ? 1 : 1000),
		.caplen = f->size,
		.len = f->wire_size,
	};

	if (w->failed)
		return;
	errno = 0;
	pcap_dump((uint8_t *)w->dumper, &h, f->bytes);
	if (ferror(pcap_dump_file(w->dumper))) {
		w->failed = true;
		w->error = errno;
	}
}

int capture_write_close(struct capture_writer *w, char *why)
{
	int ret = 0;

	if (!w->failed && pcap_dump_flush(w->dumper)) {
		w->failed = true;
		w->error = errno;
	}
	if (w->failed) {
		snprintf(why, CAPTURE_WHY, "%s: the packets cannot be written: %s", w->path,
			 strerror(w->error));
		ret = -1;
	}
	pcap_dump_close(w->dumper);
	pcap_close(w->pcap);
	free(w);
	return ret;
}
