/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers about where a packet goes, whose it is, and its tunnel. Nothing is
 * sent: the loopback device, ifindex 1, is the only one that there is.
 */
#include "vm/helpers.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uapi.h"
#include "vm/packet.h"

#define LOOPBACK 1
#define LOOPBACK_MTU 65536
#define REDIRECT_INGRESS 1
#define TUNNEL_OPTS_MAX 255

/* ---- redirection ---- */

HELPER(redirect)
{
	if (vc->prog->type == BPF_PROG_TYPE_XDP)
		return b ? XDP_ABORTED : XDP_REDIRECT;
	return b & ~(uint64_t)REDIRECT_INGRESS ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

HELPER(redirect_peer)
{
	return b ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

HELPER(redirect_neigh)
{
	int32_t size = (int32_t)c;

	return (size && (uint32_t)size < sizeof(struct bpf_redir_neigh)) || d ? TC_ACT_SHOT
									      : TC_ACT_REDIRECT;
}

/* The maps that it takes do not exist here: the verifier lets no call pass. */
HELPER(redirect_map)
{
	return XDP_ABORTED;
}

HELPER(clone_redirect)
{
	const struct packet *k = vc->env->packet;

	if (c & ~(uint64_t)REDIRECT_INGRESS)
		return ERR(-EINVAL);
	if (!k)
		return ERR(-EOPNOTSUPP);
	/* a gso_size without a type is a test run's only */
	if (k->ctx.skb.gso_size)
		return ERR(-EBADMSG);
	if ((uint32_t)b != LOOPBACK)
		return ERR(-EINVAL);
	if (k->mac >= k->net || !packet_headlen(k))
		return ERR(-ERANGE);
	return 0;
}

static long check_mtu(uint32_t ifindex, uint32_t len, uint32_t *mtu, int32_t diff, bool gso,
		      bool segs)
{
	int32_t l2 = *mtu ? (int32_t)(*mtu + PACKET_ETH) : (int32_t)len;
	long ret = BPF_MTU_CHK_RET_FRAG_NEEDED;

	if (ifindex > LOOPBACK)
		return -ENODEV;
	l2 = (int32_t)((uint32_t)l2 + (uint32_t)diff);
	if (l2 <= LOOPBACK_MTU + PACKET_ETH)
		ret = BPF_MTU_CHK_RET_SUCCESS;
	else if (gso)
		ret = segs ? BPF_MTU_CHK_RET_SEGS_TOOBIG : BPF_MTU_CHK_RET_SUCCESS;
	*mtu = LOOPBACK_MTU;
	return ret;
}

HELPER(check_mtu)
{
	const struct packet *k = vc->env->packet;
	uint32_t mtu;
	long ret;

	memcpy(&mtu, PTR(c), sizeof(mtu));
	if (!k)
		return ERR(-EOPNOTSUPP);
	if (e & ~(uint64_t)(k->is_xdp ? 0 : BPF_MTU_CHK_SEGS))
		return ERR(-EINVAL);
	if ((e & BPF_MTU_CHK_SEGS) && ((int32_t)d || mtu))
		return ERR(-EINVAL);
	/* XDP: of the linear part */
	ret = check_mtu((uint32_t)b, packet_headlen(k), &mtu, (int32_t)d,
			!k->is_xdp && k->ctx.skb.gso_size, e & BPF_MTU_CHK_SEGS);
	memcpy(PTR(c), &mtu, sizeof(mtu));
	return ERR(ret);
}

/* ---- whose ---- */

HELPER(get_socket_cookie)
{
	return vc->env->sock ? vc->env->sock->owner.number[1] : 0;
}

/* The socket of a test run is nobody's. */
HELPER(get_socket_uid)
{
	return 0;
}

HELPER(get_netns_cookie)
{
	static uint64_t known;
	uint64_t cookie = load_relaxed(&known);
	socklen_t size = sizeof(cookie);
	int fd;

	if (cookie)
		return cookie;
	fd = (int)raw_syscall3(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (!raw_syscall6(SYS_getsockopt, fd, SOL_SOCKET, SHMAP_SO_NETNS_COOKIE, (long)&cookie,
			  (long)&size, 0))
		store_relaxed(&known, cookie);
	raw_close(fd);
	return cookie;
}

HELPER(get_cgroup_classid)
{
	return 0;
}

HELPER(skb_cgroup_classid)
{
	return 0;
}

/* Of the destination that routing found: there is none. */
HELPER(get_route_realm)
{
	return 0;
}

/* A test run's socket is in its caller's cgroup. */
HELPER(skb_cgroup_id)
{
	return vc->env->sock ? helper_get_current_cgroup_id(0, 0, 0, 0, 0, vc) : 0;
}

HELPER(sk_cgroup_id)
{
	return a && a == (uintptr_t)vc->env->sock ? helper_get_current_cgroup_id(0, 0, 0, 0, 0, vc)
						  : 0;
}

/* No connection is behind it, and nobody listens. */
HELPER(tcp_sock)
{
	return 0;
}

HELPER(get_listener_sock)
{
	return 0;
}

HELPER(skb_get_xfrm_state)
{
	memset(PTR(c), 0, (uint32_t)d);
	return ERR(-EINVAL);
}

/* ---- tunnels ---- */

/* Programs of other times have shorter forms of it. */
static bool tunnel_key_size_ok(uint32_t size)
{
	switch (size) {
	case sizeof(struct bpf_tunnel_key):
	case offsetof(struct bpf_tunnel_key, local_ipv6):
	case offsetof(struct bpf_tunnel_key, tunnel_label):
	case offsetof(struct bpf_tunnel_key, tunnel_ext):
		return true;
	}
	return size == offsetof(struct bpf_tunnel_key, remote_ipv6) + 4;
}

#define TUNNEL_SET_FLAGS                                                                           \
	(BPF_F_TUNINFO_IPV6 | BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT | BPF_F_SEQ_NUMBER |        \
	 SHMAP_F_NO_TUNNEL_KEY)

HELPER(skb_set_tunnel_key)
{
	struct packet *k = vc->env->packet;
	struct bpf_tunnel_key key = {0};
	uint32_t size = (uint32_t)c;

	if (d & ~(uint64_t)TUNNEL_SET_FLAGS || !tunnel_key_size_ok(size))
		return ERR(-EINVAL);
	if (!k)
		return ERR(-EOPNOTSUPP);
	memcpy(&key, PTR(b), size);
	if ((!(d & BPF_F_TUNINFO_IPV6) && key.tunnel_label) || key.tunnel_ext)
		return ERR(-EINVAL);
	k->tunnel = (struct packet_tunnel){.set = true, .flags = (uint8_t)d, .key = key};
	return 0;
}

/* The kernel's flags of a tunnel that bpf_skb_set_tunnel_key() made. */
static uint16_t tunnel_flags(const struct packet_tunnel *t)
{
	uint16_t flags = 1 << 11; /* not to be cached */

	if (!(t->flags & BPF_F_ZERO_CSUM_TX))
		flags |= 1 << 0;
	if (!(t->flags & SHMAP_F_NO_TUNNEL_KEY))
		flags |= 1 << 2;
	if (t->flags & BPF_F_SEQ_NUMBER)
		flags |= 1 << 3;
	if (t->flags & BPF_F_DONT_FRAGMENT)
		flags |= 1 << 8;
	return htons(flags);
}

static long get_tunnel_key(const struct packet_tunnel *t, struct bpf_tunnel_key *to, uint32_t size,
			   uint64_t flags)
{
	const bool ip6 = flags & BPF_F_TUNINFO_IPV6;

	if (!t->set || flags & ~(uint64_t)(BPF_F_TUNINFO_IPV6 | SHMAP_F_TUNINFO_FLAGS))
		return -EINVAL;
	if (ip6 != !!(t->flags & BPF_F_TUNINFO_IPV6))
		return -EPROTO;
	if (!tunnel_key_size_ok(size))
		return -EINVAL;
	if (size == offsetof(struct bpf_tunnel_key, remote_ipv6) + 4 && ip6)
		return -EINVAL;
	memset(to, 0, sizeof(*to));
	to->tunnel_id = t->key.tunnel_id;
	to->tunnel_tos = t->key.tunnel_tos;
	to->tunnel_ttl = t->key.tunnel_ttl;
	if (flags & SHMAP_F_TUNINFO_FLAGS)
		to->tunnel_ext = tunnel_flags(t);
	/* seen from here the packet comes from what was set as our own address */
	if (ip6) {
		memcpy(to->remote_ipv6, t->key.local_ipv6, sizeof(to->remote_ipv6));
		memcpy(to->local_ipv6, t->key.remote_ipv6, sizeof(to->local_ipv6));
		to->tunnel_label = t->key.tunnel_label & 0xfffff;
	} else {
		to->remote_ipv4 = t->key.local_ipv4;
		to->local_ipv4 = t->key.remote_ipv4;
	}
	return 0;
}

HELPER(skb_get_tunnel_key)
{
	const struct packet *k = vc->env->packet;
	struct bpf_tunnel_key key;
	uint32_t size = (uint32_t)c;
	long err = k ? get_tunnel_key(&k->tunnel, &key, size, d) : -EOPNOTSUPP;

	if (err)
		memset(PTR(b), 0, size);
	else
		memcpy(PTR(b), &key, size);
	return ERR(err);
}

HELPER(skb_set_tunnel_opt)
{
	struct packet *k = vc->env->packet;
	uint32_t size = (uint32_t)c;

	if (!k || !k->tunnel.set || size % 4)
		return ERR(-EINVAL);
	if (size > TUNNEL_OPTS_MAX)
		return ERR(-ENOMEM);
	memcpy(k->tunnel.opts, PTR(b), size);
	k->tunnel.opts_len = (uint8_t)size;
	k->tunnel.has_opts = true;
	return 0;
}

HELPER(skb_get_tunnel_opt)
{
	const struct packet_tunnel *t = vc->env->packet ? &vc->env->packet->tunnel : NULL;
	uint32_t size = (uint32_t)c;
	long ret;

	if (!t || !t->set || !t->has_opts)
		ret = -ENOENT;
	else if (size < t->opts_len)
		ret = -ENOMEM;
	else
		ret = t->opts_len;
	memset(PTR(b), 0, size);
	if (ret > 0)
		memcpy(PTR(b), t->opts, ret);
	return ERR(ret);
}
