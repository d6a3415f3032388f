/* SPDX-License-Identifier: BSD-2-Clause */
/* The running kernel's own types. */
#include <bpf/btf.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "btf/btf.h"

/* NULL: not looked for yet; &absent: there is none. */
static struct btf *vmlinux;
static char absent;

const struct btf *btf_vmlinux(void)
{
	struct btf *btf = load_acquire(&vmlinux), *none = NULL;
	int saved = errno;

	if (!btf) {
		/* Threads may race here; one parsed copy stays. Pairs with the load above. */
		btf = btf__parse("/sys/kernel/btf/vmlinux", NULL);
		if (!btf)
			btf = (struct btf *)&absent;
		if (!cas_seq_cst(&vmlinux, &none, btf)) {
			if (btf != (struct btf *)&absent)
				btf__free(btf);
			btf = none;
		}
		errno = saved;
	}
	return btf == (struct btf *)&absent ? NULL : btf;
}
