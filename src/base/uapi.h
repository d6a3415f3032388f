/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Constants of linux/bpf.h that are newer than Debian 12's copy (6.1), with
 * the values of Linux 6.18.
 */
#ifndef SHMAP_BASE_UAPI_H
#define SHMAP_BASE_UAPI_H

#include <linux/bpf.h>

#define SHMAP_BPF_TOKEN_CREATE 36 /* first command after 6.1's last */

#define SHMAP_MAP_TYPE_CGRP_STORAGE 32
#define SHMAP_MAP_TYPE_ARENA 33
#define BPF_MAP_TYPE_ARENA SHMAP_MAP_TYPE_ARENA /* for map/types.h */
#define BPF_MAP_TYPE_CGRP_STORAGE SHMAP_MAP_TYPE_CGRP_STORAGE
#define SHMAP_MAP_TYPE_MAX 34

#define SHMAP_FUNC_CGRP_STORAGE_GET 210 /* 6.2's */
#define SHMAP_FUNC_CGRP_STORAGE_DELETE 211

#define SHMAP_SO_NETNS_COOKIE 71
#define SHMAP_F_NO_TUNNEL_KEY (1ULL << 4)   /* 6.1's */
#define SHMAP_F_TUNINFO_FLAGS (1ULL << 4)
#define SHMAP_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7) /* 6.3's */
#define SHMAP_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#define SHMAP_F_MARK_ENFORCE (1ULL << 6) /* of bpf_l4_csum_replace() */
#define SHMAP_F_IPV6 (1ULL << 7)	 /* 6.12's */

#define SHMAP_CGROUP_UNIX_RECVMSG 51 /* attach types: 6.7's */
#define SHMAP_CGROUP_UNIX_GETPEERNAME 52
#define SHMAP_CGROUP_UNIX_GETSOCKNAME 53

#define SHMAP_F_VTYPE_BTF_OBJ_FD (1U << 15)
#define SHMAP_F_TOKEN_FD (1U << 16)
#define SHMAP_F_SEGV_ON_FAULT (1U << 17)
#define SHMAP_F_NO_USER_CONV (1U << 18)
#define SHMAP_F_RB_OVERWRITE (1U << 19) /* Linux 6.19 */

#define SHMAP_RB_OVERWRITE_POS 4 /* bpf_ringbuf_query(); Linux 6.19 */

/* Instruction set v4 (RFC 9669); linux/bpf.h of 6.6 and later. */
#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80
#endif
#define SHMAP_BPF_JCOND 0xe0	   /* may_goto */
#define SHMAP_BPF_LOAD_ACQ 0x100   /* imm of BPF_ATOMIC */
#define SHMAP_BPF_STORE_REL 0x110

#endif
