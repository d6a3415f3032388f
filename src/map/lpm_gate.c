/* SPDX-License-Identifier: BSD-2-Clause */
/* LPM tries behind a shut gate (gate.h): snapshots. */
#include "map/gate.h"
#include "map/lpm.h"

static int lpm_drain(struct map *m, const void *key)
{
	uint32_t i;
	int err;

	for (i = 0; i < m->lpm.parts; i++) {
		err = lpm_lock(m, i);
		if (err)
			return err;
		lpm_unlock(m, i);
	}
	return 0;
}

static void lpm_copied(struct map *copy)
{
	for (uint32_t i = 0; i < copy->lpm.parts; i++) {
		lpm_part(copy, i)->lock = 0;
		lpm_part(copy, i)->intent.op = LPM_INTENT_NONE;
	}
}

const struct gate_ops lpm_gate_ops = {
	.drain = lpm_drain,
	.copied = lpm_copied,
};
