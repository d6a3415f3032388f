/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs: what the layers above see of the verifier, the interpreter and
 * the helpers.
 */
#ifndef SHMAP_VM_VM_H
#define SHMAP_VM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>

#include "map/map.h"

struct packet;				/* vm/packet.h */
struct packet_sock;
struct storage_owner;			/* map/storage.h */
struct btf;				/* btf/btf.h: our parsed BTF */

/* Who executes a program; by default as the environment says (vm/jit.h). */
enum vm_engine { VM_ENGINE_DEFAULT, VM_ENGINE_INTERP, VM_ENGINE_JIT };

/* A verified program, private to the process. Immutable after prog_verify(). */
struct vm_prog {
	uint32_t type;			/* enum bpf_prog_type */
	uint32_t expected_attach_type;
	uint32_t attach_btf_id;		/* type id in vmlinux BTF (tracing programs) */
	char attach_func[128];		/* its name there: "__x64_sys_mmap", "bpf_trace_..." */
	char name[16];
	bool gpl_compatible;
	bool sleepable;
	/* As the user gave them, ldimm64 fds replaced (below). vm_verify() takes what no path
	 * reaches out of them, in place (func_info and line_info follow), unless as_loaded. */
	struct bpf_insn *insns;
	uint32_t insn_cnt;
	bool as_loaded;
	struct map **maps;		/* the maps that the program uses; refs held */
	uint32_t *map_ids;
	uint32_t map_cnt;
	struct btf *btf;		/* the program's own BTF, or NULL */
	const void *func_info;
	uint32_t func_info_cnt, func_info_rec_size;
	const void *line_info;
	uint32_t line_info_cnt, line_info_rec_size;
	/* set by the verifier */
	struct vm_aux *aux;		/* per instruction; private to vm/ */
	uint32_t stack_depth;
	uint32_t verified_insns;
	uint64_t map_stores;		/* bit i: it stores into values of maps[i] */
	uint64_t inner_stores;		/* ... into values of maps in maps[i] */
	uint8_t tag[8];
	struct vm_code *code;		/* made at the first run; private to vm/ */
	/* set before the first run, by whoever wants something special */
	uint8_t engine;			/* enum vm_engine */
	bool harden;			/* native code without the program's constants */
};

/*
 * In struct vm_prog.insns a map reference is kept as in the kernel's xlated
 * form before it becomes an address:
 *   src_reg BPF_PSEUDO_MAP_FD / BPF_PSEUDO_MAP_VALUE, imm = index into maps[]
 *   (next insn's imm = offset for MAP_VALUE).
 * The sys layer resolves fds to maps and stores the index; prog files store
 * the same form, with map_ids[] beside it.
 */

struct vm_log {
	char *buf;			/* private buffer; the sys layer copies it out */
	uint32_t size, len;		/* len may exceed size: then it was truncated (ENOSPC) */
	uint32_t dropped;		/* bytes of the beginning that gave way: the end, where the
					 * fault is, is what stays; buf is NUL-terminated */
	uint32_t level;			/* BPF_LOG_LEVEL1|2|STATS; 0: none */
};
void vm_logf(struct vm_log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Verifies p (fills aux, stack_depth). 0 or the kernel's -EINVAL, -EACCES,
 * -E2BIG, -EPERM, -ENOMEM... with the reason in log. */
int vm_verify(struct vm_prog *p, struct vm_log *log);
/* Frees p and all that it points to; drops the refs of its maps. */
void vm_prog_free(struct vm_prog *p);

/*
 * What an event source gives a program run besides its context. The helpers
 * ask it; zero/NULL members have sensible answers (own pid and so on).
 */
struct vm_env {
	uint32_t pid, tgid;		/* bpf_get_current_pid_tgid */
	uint32_t uid, gid;
	const char *comm;		/* bpf_get_current_comm */
	/* reads the memory of the traced process: bpf_probe_read_user*; 0 or -EFAULT.
	 * The old bpf_probe_read(), which takes either kind of address, reads this
	 * process within a page of ctx, and elsewhere tries read_user first. */
	int (*read_user)(const struct vm_env *env, void *dst, uint64_t addr, size_t len);
	int (*write_user)(const struct vm_env *env, uint64_t addr, const void *src, size_t len);
	/* the traced thread's own instruction pointer and frame pointer, where it entered
	 * the kernel: bpf_get_stack(). 0 or -errno; NULL: there is no such stack */
	int (*user_regs)(const struct vm_env *env, uint64_t *ip, uint64_t *fp);
	/* the build id of the file that an address of the traced process is mapped from, and
	 * the offset in that file. 0 or -errno; NULL: unknown */
	int (*build_id)(const struct vm_env *env, uint64_t ip, uint8_t id[20], uint64_t *offset);
	void *priv;
	uint64_t ip;			/* bpf_get_func_ip */
	uint64_t cookie;		/* bpf_get_attach_cookie */
	uint32_t ctx_size;		/* bytes of ctx, for the targets of tail calls: one that
					 * touches more is not called. 0: all of its type */
	/* the start time of the task `pid`, as storage_owner_task() reads it; 0: not yet read.
	 * Kept by the event source for as long as the task; NULL: read each time */
	uint64_t *start;
	/* the same of the cgroup that it is in, for as long as that is believed; number[1] 0:
	 * not yet read */
	struct storage_owner *cgroup;
	/* what __sk_buff.sk points to; NULL: nothing */
	const struct packet_sock *sock;
	/* Programs on packets (vm/packet.h). Loads of a context's data, data_end and data_meta
	 * yield these at that time: helpers move them during a run. */
	uint8_t *pkt, *pkt_end, *pkt_meta;
	uint8_t *pkt_last;		/* where its fragments end; NULL: it has none */
	struct packet *packet;		/* NULL: helpers that change it are -EOPNOTSUPP */
};

/*
 * Runs p on ctx under a CPU lease that the caller holds (lease_acquire()).
 * *ret gets R0. 0, or -EFAULT etc. only for faults that the verifier excludes
 * (they are a bug: counted and reported, never a crash).
 * ctx is the kernel's context layout for the program type.
 */
int vm_run(struct vm_prog *p, void *ctx, const struct vm_env *env, uint64_t *ret);
/* Runs of p in this process that ended by a fault. */
uint32_t vm_fault_count(const struct vm_prog *p);

/*
 * bpf_tail_call: what the slot of a prog array holds, or NULL (empty, out of
 * range). The program stays valid until the run's lease ends. Without this
 * function every slot is empty.
 */
typedef struct vm_prog *(*vm_tail_fn)(struct map *m, uint32_t index);
void vm_set_tail_call(vm_tail_fn fn);

/* The kernel's SHA-1 program tag. */
void vm_prog_tag(const struct vm_prog *p, uint8_t tag[8]);

/* Where bpf_printk goes: $SHMAP_DIR/trace_pipe by default; tests replace it. */
void vm_set_trace_fd(int fd);

#endif
