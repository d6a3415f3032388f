// SPDX-License-Identifier: BSD-2-Clause
/* PROG_TEST_RUN of flow dissectors: a frame in, struct bpf_flow_keys out. */
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/uaccess.h"
#include "sys/sys.h"
#include "sys/testrun.h"
#include "vm/packet.h"

#define FLOW_CONTINUE 129 /* BPF_FLOW_DISSECTOR_CONTINUE, 6.0's */

struct flow_run {
	struct vm_env env;
	struct __sk_buff skb;
	struct bpf_flow_keys keys;
};

/* Of the keys only the flags may be given. */
static bool keys_ok(const struct bpf_flow_keys *keys)
{
	struct bpf_flow_keys zero = {0};

	zero.flags = keys->flags;
	return !memcmp(&zero, keys, sizeof(zero));
}

static uint16_t clamp(uint16_t v, uint32_t max)
{
	return v < PACKET_ETH ? PACKET_ETH : v > max ? max : v;
}

/* The keys are made anew for each run. */
static void begin(struct flow_run *r, uint32_t flags)
{
	memset(&r->keys, 0, sizeof(r->keys));
	memcpy(&r->keys.n_proto, r->env.pkt + 12, sizeof(r->keys.n_proto));
	r->keys.nhoff = r->keys.thoff = PACKET_ETH;
	r->keys.flags = flags;
}

static int run(struct test_run *t, const uint8_t *bytes, uint32_t size)
{
	struct bpf_flow_keys user = {0};
	struct flow_run r = {0};
	uint32_t left = t->attr->test.repeat ? t->attr->test.repeat : 1;
	int err = test_copy_ctx_in(t->attr, &user, sizeof(user));

	if (err)
		return err;
	if (!keys_ok(&user))
		return -EINVAL;
	r.env.pkt = r.env.pkt_meta = (uint8_t *)bytes;
	r.env.pkt_end = (uint8_t *)bytes + size;
	r.skb.flow_keys = &r.keys;
	for (; left && !err; left--) {
		begin(&r, user.flags);
		err = test_run_repeated(t, &r.skb, &r.env, 1);
		if (err || t->retval == FLOW_CONTINUE)
			continue;
		r.keys.nhoff = clamp(r.keys.nhoff, size);
		r.keys.thoff =
			r.keys.thoff < r.keys.nhoff ? r.keys.nhoff : clamp(r.keys.thoff, size);
	}
	if (!err)
		err = test_finish_data(t, &r.keys, sizeof(r.keys), 0);
	return err ? err : test_finish_ctx(t, &user, sizeof(user));
}

int test_flow_dissector(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint32_t size = attr->test.data_size_in;
	uint8_t *bytes;
	int err;

	if (attr->test.flags || attr->test.cpu || attr->test.batch_size)
		return -EINVAL;
	if (size < PACKET_ETH || size > PACKET_FRAME)
		return -EINVAL;
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	err = uaccess_copy(bytes, sys_ptr(attr->test.data_in), size) ? -EFAULT
								     : run(t, bytes, size);
	free(bytes);
	return err;
}
