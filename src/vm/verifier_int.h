/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the verifier. One file per stage:
 *
 *   insn.c              what an instruction may look like; its text
 *   verifier_cfg.c      functions, jumps, reachability, prune points
 *   verifier_flow.c     register and slot liveness, and which values matter
 *   verifier.c          walks every path; the stack of paths still to walk
 *   verifier_state.c    copies of states; may a path be cut short?
 *   verifier_scalar.c   arithmetic on ranges
 *   verifier_branch.c   what a comparison tells about its operands
 *   verifier_alu.c      ALU instructions, pointer arithmetic
 *   verifier_stack.c    the frame's memory
 *   verifier_dynptr.c   dynptrs in the frame's memory
 *   verifier_iter.c     iterators in the frame's memory, and their loops
 *   verifier_mem.c      loads, stores, atomics through any pointer
 *   verifier_ctx.c      the context of each program type
 *   verifier_ctx_net.c  of those on packets and sockets; sockets
 *   verifier_btf.c      kernel types, global functions
 *   verifier_call.c     calls of functions, returns, callbacks
 *   verifier_jump.c     may_goto, tail calls out of functions
 *   verifier_helper.c   calls of helpers
 *   verifier_map_ptr.c  reads of a map's own structure
 *   verifier_kfunc.c    calls of kernel functions
 *   verifier_fixup.c    dead code leaves the program
 *   verifier_print.c    states in the log
 *   verifier_live.c     registers' liveness in the log
 */
#ifndef SHMAP_VM_VERIFIER_INT_H
#define SHMAP_VM_VERIFIER_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/errors.h"
#include "vm/dynptr.h"
#include "vm/helper_proto.h"
#include "vm/insn.h"
#include "vm/kfunc_proto.h"
#include "vm/verifier.h"
#include "vm/verifier_tnum.h"
#include "vm/vm.h"

#define VER_MAX_INSNS 1000000	/* instructions walked */
#define VER_MAX_PATHS 8192	/* paths waiting to be walked */
#define VER_MAX_FRAMES 8
#define VER_MAX_STACK 512
#define VER_MAX_TAIL_STACK 256 /* of the callers of a function that tail calls */
#define VER_MAX_SUBPROGS 256
#define VER_MAX_REFS 64
#define VER_MAX_VAR_OFF (1 << 29)
#define VER_MAX_PACKET_OFF 0xffff
#define VER_SLOT 8
#define VER_SLOTS (VER_MAX_STACK / VER_SLOT)
#define VER_REGS 11
#define VER_FP 10

#define RANGE_AT_END (-1)     /* struct reg.range */
#define RANGE_BEYOND_END (-2)

enum reg_kind {
	REG_NOT_INIT,
	REG_SCALAR,
	REG_CTX,
	REG_MAP_PTR,
	REG_MAP_VALUE,
	REG_MAP_KEY,
	REG_STACK,
	REG_PKT_META,
	REG_PKT,
	REG_PKT_END,
	REG_BTF_ID,		/* pointer into the kernel's data: loads only, by probing */
	REG_MEM,		/* sized memory: ring buffer record, global function argument */
	REG_FUNC,
	REG_SOCK_COMMON,	/* a socket: for helpers only */
	REG_SOCKET,		/* a full one */
	REG_TCP_SOCK,
	REG_FLOW_KEYS,
	REG_DYNPTR,		/* a callback's; also what a dynptr's slots in the frame hold */
	REG_ITER,		/* only what an iterator's slots in the frame hold */
};

/*
 * What is known of a register (or of a spilled one).
 *
 * A scalar's value lies in all of var_off, [smin, smax], [umin, umax], and its
 * low half in [s32_min, s32_max], [u32_min, u32_max]. A pointer's value is its
 * base + off + x, where x is described in the same way.
 */
struct reg {
	uint8_t kind;		/* enum reg_kind */
	bool or_null;		/* may be 0 instead; no arithmetic until it is checked */
	bool rdonly;		/* REG_MEM: no stores */
	bool trusted;		/* REG_BTF_ID: a tracing argument; only for the log */
	bool rcu, walked;	/* REG_BTF_ID: loaded through another: valid all run long, or not */
	bool ringbuf;		/* REG_MEM: a reserved record */
	uint8_t added;		/* REG_SCALAR: a constant (off) was added to what id names: in
				 * 64 bits, in 32 bits, or not (0) */
	/* REG_STACK: whose frame; REG_MEM: + 1, it may lie in that frame; 0: in none */
	uint8_t frame;
	uint8_t sub;		/* REG_DYNPTR: enum dynptr_kind; REG_ITER: enum iter_kind */
	bool drained;		/* REG_ITER: next() has returned NULL */
	bool pkt_slice;		/* REG_MEM: of a packet's dynptr: goes when the packet changes */
	int16_t buf, buf_end;	/* REG_MEM, with frame: the bytes of it that it may lie in */
	int32_t off;
	/* Packets: bytes from the base that were compared with the end, -1 (at end)
	 * or -2 (beyond it). Iterators: how often next() was called. */
	int32_t range;
	uint32_t map;		/* REG_MAP_*: see ver_map() */
	uint32_t btf_id;	/* REG_BTF_ID: type in vmlinux */
	uint32_t mem_size;	/* REG_MEM */
	uint32_t subprog;	/* REG_FUNC */
	/* Registers with the same nonzero id: scalars: the same value, plus the own
	 * `off` where `added` says so; pointers: the same base, or the same null answer. */
	uint32_t id;
	uint32_t ref_id;	/* the acquired reference that it is */
	uint32_t dynptr_id;	/* REG_MEM: id of the dynptr that it is a part of */
	struct tnum var_off;
	int64_t smin, smax;
	uint64_t umin, umax;
	int32_t s32_min, s32_max;
	uint32_t u32_min, u32_max;
};

enum slot_kind {
	SLOT_INVALID,
	SLOT_SPILL,
	SLOT_MISC,
	SLOT_ZERO,
	SLOT_DYNPTR,		/* half of a dynptr: not read; a referenced one not written */
	SLOT_ITER,		/* of an iterator: not read */
};

struct slot {
	uint8_t kind[VER_SLOT];	/* per byte; kind[0] is the lowest address */
	struct reg spilled;	/* meaningful when kind[0] is SLOT_SPILL, _DYNPTR, _ITER */
};

enum frame_callback {
	CALLBACK_NONE,
	CALLBACK_FOR_EACH,
	CALLBACK_LOOP,
	CALLBACK_DRAIN,
};

struct frame {
	struct reg regs[VER_REGS];
	struct slot *slots;	/* slot i covers fp - 8 * (i + 1) */
	uint32_t slot_cnt;
	uint32_t subprog;
	uint32_t callsite;	/* the call instruction in the caller */
	uint32_t callback;	/* enum frame_callback: how this frame came to be */
	uint32_t ref_base;	/* references held when it was entered */
	/* bpf_loop: rounds made on the way here; the helper makes no more than its count */
	uint32_t callback_depth;
	/* The loop that a call with a callback makes, while this frame makes one: another
	 * number each time that the call is come to from before it. */
	uint32_t loop;
	bool called_back;	/* it comes to the call from the callback's end */
};

struct ref {
	uint32_t id;
	uint32_t insn;
};

struct state {
	struct frame *frames[VER_MAX_FRAMES];
	uint32_t cur;
	bool locked;
	uint32_t lock_id;	/* the map value's that holds the lock; 0: a map's only value */
	uint32_t lock_map;
	struct ref refs[VER_MAX_REFS];
	uint32_t ref_cnt;
	uint32_t rcu_locks, preempt_locks; /* sections that are open */

	/* bookkeeping of the walk */
	struct state *parent;	/* the checkpoint before */
	uint32_t rounds;	/* callbacks entered on the way here */
	uint32_t may_gotos;	/* may_gotos passed without the jump */
	uint32_t branches;	/* paths from here that are not finished; 0: fully explored */
	uint32_t insn;		/* where it was taken */
	uint32_t miss, hit;
	struct state *next;	/* in the list of its instruction */
	uint32_t trace;		/* for ver_watch: what it noted last on this path */
	bool unlinked;		/* dropped from the list, kept for its children */
	bool loops;		/* some path below ended at a state not yet finished */
};

enum state_match {
	MATCH_COVERED,		/* what matters of cur is covered by old, fully explored */
	MATCH_WITHIN,		/* all of cur lies within old */
	MATCH_SAME,		/* cur is old */
};

static inline struct frame *state_frame(const struct state *s)
{
	return s->frames[s->cur];
}

struct subprog {
	uint32_t start;
	uint32_t stack;		/* bytes used */
	/* per number of frames: the most stack of a way to it, its own included, + 1 */
	uint16_t deepest[VER_MAX_FRAMES + 1];
	const char *name;	/* from BTF, or NULL */
	uint32_t type_id;	/* BTF FUNC, or 0 */
	bool global;
	bool verified;		/* global: checked by itself */
	bool called;		/* global: by reachable code */
	bool is_callback;	/* of a helper that calls it while the program waits */
	bool async;		/* of a timer */
	bool tail_call, ld_abs;
	uint8_t changes_packet;	/* 0: not asked yet, 1: no (or being asked), 2: yes */
};

/*
 * Facts about instructions that grow while paths are walked. All of them are
 * solutions of a backward data flow: what holds before an instruction follows
 * from what holds after it and from the seeds that the walk plants. They are
 * asked for only about states whose paths have all been walked to the end, at
 * which time no seed of those paths is missing (verifier_flow.c).
 */
struct flow {
	uint16_t live;		/* registers read later */
	uint16_t precise;	/* registers whose exact range decided something later */
	uint16_t precise_seed;
	uint64_t slots_live;	/* slots of the frame read later */
	uint64_t slots_live_seed;
	uint64_t slots_precise;
	uint64_t slots_precise_seed;
	/* dynamic edges */
	uint16_t linked;	/* a comparison here refined these together */
	uint64_t linked_slots;
	uint64_t fills;		/* slots that this load may read into dst */
	uint64_t spills;	/* slots that this store may write src to */
	uint32_t far;		/* number + 1 of the first struct far_slots of this one; 0: none */
	bool far_call;		/* some are of the frame that called here */
};

/* A load or store of an instruction that may be of slots of another frame, that
 * whose call instruction is `call`. */
struct far_slots {
	uint32_t insn, call;
	bool store;
	uint64_t slots;
	uint32_t next;		/* of the same instruction, + 1 */
};

struct insn_state {
	bool prune;		/* states are compared here */
	bool checkpoint;	/* and always kept */
	bool callback_call;	/* calls a helper that takes a callback */
	bool iter_next;		/* calls an iterator's next() */
	bool called_back;	/* one of them is known */
	bool jump_target;
	uint32_t subprog;
	uint32_t ptr_kind;	/* reg_kind + 1 of a load/store base, to keep it one kind */
	bool known;		/* a load that always gives known_value (32 bits) */
	uint32_t known_value;
	struct flow flow;
	struct state *states;	/* checkpoints */
};

struct pending {
	struct state *state;
	uint32_t insn, prev_insn;
	uint32_t log_len;
	struct pending *next;
};

/* A callback of timers in that map: walked by itself, as a program of its own. */
struct async_callback {
	uint32_t subprog, map;
};
#define VER_MAX_ASYNC 64

struct verifier {
	struct async_callback async[VER_MAX_ASYNC];
	uint32_t async_cnt;
	bool in_async;
	struct vm_prog *prog;
	struct vm_log *log;
	const struct bpf_insn *insns;
	uint32_t cnt;
	struct vm_aux *aux;
	struct insn_state *info;
	uint32_t group;		/* HPROG_* */
	struct subprog subprogs[VER_MAX_SUBPROGS + 2];
	uint32_t subprog_cnt;

	uint32_t *pred_start;	/* predecessors of i: preds[pred_start[i] .. pred_start[i + 1]) */
	uint32_t *preds;
	uint32_t *queue;	/* of instructions whose facts changed */
	uint32_t queue_len;
	uint8_t *queued;
	struct far_slots *far;
	uint32_t far_cnt, far_room;

	struct state *cur;
	struct pending *paths;
	uint32_t path_cnt;
	struct state *dropped;	/* checkpoints off their lists but still referred to */
	uint32_t id_gen;
	uint32_t insn, prev_insn;
	uint32_t in_global;	/* the global function being checked, or 0 */
	uint32_t last_line;	/* index of the source line printed last, + 1 */
	bool print_all;		/* the next line shows the whole state */
	bool print_from_to;	/* it says where the walk comes from */
	uint16_t print_regs;	/* registers to show after the instruction */
	uint32_t print_from, print_to;	/* log positions of the instruction's text */
	uint64_t print_slots;

	/* statistics */
	uint32_t walked, max_states, states, total_states, peak_states;
	uint32_t jumps_walked;
	uint32_t prev_walked, prev_jumps;
	uint32_t max_ctx_off;
	bool zero_stack;
};

/*
 * The map that a register's (or a lock's) map number means: an index into the program's
 * maps, or, with VER_MAP_INNER, what the maps in that map of maps are like. Of
 * those there are only ops and attr.
 */
#define VER_MAP_INNER (1U << 31)

static inline const struct map *ver_map(const struct verifier *v, uint32_t map)
{
	const struct map *m = v->prog->maps[map & ~VER_MAP_INNER];

	return map & VER_MAP_INNER ? m->inner : m;
}

/*
 * For tests: is told of every step of the walk, so that runs can be held against what
 * the verifier claimed. `trace` is the watcher's; a path begins with what it was
 * where the path branched off, a checkpoint with VM_PC_NONE.
 */
struct ver_watch {
	void (*step)(struct verifier *v);	/* v->cur stands before v->insn */
	/* v->cur at v->insn is covered by that checkpoint: its path ends */
	void (*covered)(struct verifier *v, const struct state *by, enum state_match how);
	void (*root)(struct verifier *v, uint32_t subprog); /* a walk begins */
	uint32_t max_walked; /* instructions; 0: as many as ever */
};
extern const struct ver_watch *ver_watch;

#define verbose(v, ...) vm_logf((v)->log, __VA_ARGS__)

/* verifier_cfg.c */
int cfg_find_subprogs(struct verifier *v);
int cfg_check_insns(struct verifier *v);
int cfg_check_jumps(struct verifier *v);
int cfg_check_reach(struct verifier *v);
int cfg_check_stack_depth(struct verifier *v);
/* Index of the subprogram that starts at insn, or -1. */
int cfg_subprog_at(const struct verifier *v, uint32_t insn);
/* May a call of the function change where the packet lies? */
bool cfg_changes_packet(struct verifier *v, uint32_t s);
/* Successors inside the function: 0, 1 or 2. */
int cfg_successors(const struct verifier *v, uint32_t insn, uint32_t succ[2]);

/* verifier_flow.c */
int flow_init(struct verifier *v);
void flow_free(struct verifier *v);
void flow_read_slots(struct verifier *v, uint32_t frame, uint64_t slots);
void flow_need_reg(struct verifier *v, uint32_t frame, int regno);
void flow_need_slots(struct verifier *v, uint32_t frame, uint64_t slots);
/* The current instruction loads (stores) a register from (to) slots of the frame. 0 or -ENOMEM. */
int flow_add_fill(struct verifier *v, uint32_t frame, uint64_t slots);
int flow_add_spill(struct verifier *v, uint32_t frame, uint64_t slots);
void flow_add_linked(struct verifier *v, uint16_t regs, uint64_t slots);
void flow_settle(struct verifier *v);
/* Registers and slots of a frame that matter when the walk stands at insn. */
uint16_t flow_live_regs(const struct verifier *v, const struct state *s, uint32_t frame,
			uint32_t insn);
uint64_t flow_live_slots(const struct verifier *v, const struct state *s, uint32_t frame,
			 uint32_t insn);
uint16_t flow_precise_regs(const struct verifier *v, const struct state *s, uint32_t frame,
			   uint32_t insn);
uint64_t flow_precise_slots(const struct verifier *v, const struct state *s, uint32_t frame,
			    uint32_t insn);

/* verifier_state.c */
struct state *state_new(void);
struct state *state_copy(const struct state *s);
void state_free(struct state *s);
struct frame *frame_new(uint32_t subprog, uint32_t callsite, uint32_t frameno);
int frame_grow(struct frame *f, uint32_t slot_cnt);
bool state_equal(struct verifier *v, const struct state *old, const struct state *cur,
		 uint32_t insn, enum state_match how);
/* 1: this path is covered by an earlier one; 0: walk on; -errno. */
int state_visited(struct verifier *v, uint32_t insn);
void state_widen(struct verifier *v, const struct state *old, struct state *cur, uint32_t insn,
		 bool all);
/* Drops branches counts up the parents. */
void state_finished(struct verifier *v, struct state *s);
void state_free_all(struct verifier *v);

/* verifier_scalar.c */
void reg_mark_not_init(struct reg *r);
void reg_mark_unknown(struct reg *r);
void reg_mark_const(struct reg *r, uint64_t value);
void reg_mark_pointer(struct reg *r, enum reg_kind kind);
void reg_var_zero(struct reg *r);
void reg_var_unknown(struct reg *r);
void reg_sync(struct reg *r);
void reg_zext32(struct reg *r);
void reg_cast(struct reg *r, unsigned int size);
void reg_cast_sx(struct reg *r, unsigned int size, bool is32);
static inline bool reg_is_const(const struct reg *r)
{
	return r->kind == REG_SCALAR && tnum_is_const(r->var_off);
}
/* No longer known to be the same as another. */
static inline void scalar_unlink(struct reg *r)
{
	r->id = 0;
	r->off = 0;
	r->added = 0;
}
/* Gives a scalar that is about to be copied an id of its own value. */
static inline void scalar_name(struct verifier *v, struct reg *r)
{
	if (r->added) /* one constant only */
		scalar_unlink(r);
	if (!r->id && !tnum_is_const(r->var_off))
		r->id = ++v->id_gen;
}
static inline bool reg_is_zero(const struct reg *r)
{
	return reg_is_const(r) && !r->var_off.value;
}
static inline bool reg_is_pkt(const struct reg *r)
{
	return r->kind == REG_PKT || r->kind == REG_PKT_META;
}
bool reg_within(const struct reg *old, const struct reg *cur);
/* dst = dst op src, both scalars; op is BPF_ADD.., is32: ALU32. */
void scalar_alu(struct reg *dst, const struct reg *src, uint8_t op, bool is32, bool is_signed);
void scalar_end(struct reg *dst, const struct bpf_insn *insn);

/* verifier_branch.c */
/* 1: always, 0: never, -1: unknown. */
int branch_taken(const struct reg *a, const struct reg *b, uint8_t op, bool is32);
int check_cond_jmp(struct verifier *v, const struct bpf_insn *insn, uint32_t *next);
/* Narrows a and b to what "a op b" leaves. false: it cannot hold. */
bool branch_refine(struct reg *a, struct reg *b, uint8_t op, bool is32);

/* verifier_alu.c */
int check_alu(struct verifier *v, const struct bpf_insn *insn);
int check_ptr_off(struct verifier *v, const struct reg *r, enum reg_kind kind);

/* verifier_stack.c */
int stack_write(struct verifier *v, const struct reg *ptr, int regno, int32_t off, unsigned int size,
		int value_regno, const struct reg *imm);
int stack_read(struct verifier *v, const struct reg *ptr, int regno, int32_t off, unsigned int size,
	       int dst_regno, bool sign_extend);
/* Helper reads (or overwrites) [reg, reg + size). */
int stack_helper_access(struct verifier *v, int regno, uint32_t size, bool write,
			bool may_be_uninit);
int stack_check_bounds(struct verifier *v, const struct reg *ptr, int regno, int32_t off,
		       uint32_t size, const char *what);

/* verifier_dynptr.c */
struct dynptr_use {
	enum dynptr_kind kind;
	uint32_t id, ref_id;
};
/* R[regno] points to 16 bytes of the frame that a dynptr can be in. */
int dynptr_check_place(struct verifier *v, int regno);
/* They are one now. */
void dynptr_make(struct verifier *v, int regno, enum dynptr_kind kind, uint32_t ref_id);
/* R[regno] is a dynptr: 0, and which. */
int dynptr_check(struct verifier *v, int regno, struct dynptr_use *use);
/* The dynptrs of that reference are gone. */
void dynptr_drop(struct verifier *v, uint32_t ref_id);
/* Something else is written to a slot: the dynptr in it is none any more, or -EINVAL. */
int dynptr_overwrite(struct verifier *v, struct frame *f, uint32_t slot);

/* verifier_iter.c */
int iter_check_new(struct verifier *v, int regno, enum iter_kind kind);
void iter_make(struct verifier *v, int regno, enum iter_kind kind, uint32_t ref_id);
/* *ref_id: that of the iterator. */
int iter_check(struct verifier *v, int regno, enum iter_kind kind, uint32_t *ref_id);
void iter_drop(struct verifier *v, int regno, enum iter_kind kind);
/* After the call of next(*where), R0 being what it points to: pushes the path on which
 * there is one more, and goes on on that where there is none. */
int iter_next(struct verifier *v, const struct reg *where);
/* Both states stand before the same next() of the same iterator, b later than a. */
bool iter_goes_on(const struct state *a, const struct state *b);
/* Are the iterators in use in both the same ones? */
bool iter_same(const struct state *a, const struct state *b);
const char *iter_name(enum iter_kind kind);

/* verifier_mem.c */
int check_reg_read(struct verifier *v, int regno);
int check_reg_write(struct verifier *v, int regno);
/* size in bytes; dst_regno -1: none; src_regno -1: an immediate or nothing */
int check_mem(struct verifier *v, uint32_t insn, int regno, int32_t off, unsigned int size,
	      bool write, int value_regno, bool strict, bool sign_extend);
/* strict: of any memory, else of the stack alone */
int check_align(struct verifier *v, int regno, int32_t off, unsigned int size, bool strict);
int check_load(struct verifier *v, const struct bpf_insn *insn);
int check_store(struct verifier *v, const struct bpf_insn *insn);
int check_atomic(struct verifier *v, const struct bpf_insn *insn);
int check_map_region(struct verifier *v, int regno, int32_t off, uint32_t size, bool zero_ok);
int check_map_flags(struct verifier *v, int regno, int32_t off, uint32_t size, bool write);
int check_packet(struct verifier *v, int regno, int32_t off, uint32_t size, bool zero_ok);
int check_region(struct verifier *v, int regno, int32_t off, uint32_t size, uint32_t mem_size,
		 bool zero_ok);
/* A constant out of a frozen read-only map: true and *out. */
bool map_const_bytes(struct verifier *v, const struct reg *r, uint64_t off, uint32_t size,
		     uint64_t *out);

/* verifier_ctx.c */
struct ctx_access {
	uint8_t field;		/* enum vm_ctx_field */
	uint8_t kind;		/* enum reg_kind of the value loaded */
	uint32_t btf_id;
	bool or_null, trusted, rcu, walked;
};
int check_ctx(struct verifier *v, uint32_t insn, int32_t off, unsigned int size, bool write,
	      struct ctx_access *out);
/* verifier_ctx_net.c */
bool ctx_net_access(struct verifier *v, uint32_t insn, int32_t off, unsigned int size, bool write,
		    struct ctx_access *out);
/* May those bytes of a socket be loaded? */
bool sock_access(enum reg_kind kind, int32_t off, unsigned int size);

/* verifier_btf.c */
int btf_arg_access(struct verifier *v, int32_t off, unsigned int size, struct ctx_access *out);
int btf_walk(struct verifier *v, const struct reg *r, int regno, int32_t off, unsigned int size,
	     struct ctx_access *out);
const char *btf_struct_name(uint32_t btf_id);
int btf_check_info(struct verifier *v);
/* Sets up R1..R5 of a global function checked by itself. */
int btf_global_args(struct verifier *v, uint32_t subprog, struct frame *f);
/* Checks the caller's registers against it. */
int btf_check_global_call(struct verifier *v, uint32_t subprog);
int btf_check_attach(struct verifier *v);
void btf_print_line(struct verifier *v, uint32_t insn);

/* verifier_call.c */
int check_call(struct verifier *v, const struct bpf_insn *insn, uint32_t *next);
int check_exit(struct verifier *v, uint32_t *next, bool *done);
/* The checkpoint of the current path at insn, in the same frame, or NULL; *rounds: how many. */
const struct state *call_last_entry(const struct verifier *v, uint32_t insn, uint32_t *rounds);
int check_may_goto(struct verifier *v, const struct bpf_insn *insn, uint32_t *next);
/* The current function may end here: with 0, or with what a tail call's target returns. */
int leave_function(struct verifier *v, bool tail_call, uint32_t *next);
/* What was learnt of the packet's bounds no longer holds. */
void clear_packet_pointers(struct state *s);
/* Pushes the path on which helper p calls function `subprog` once more. */
int call_callback(struct verifier *v, const struct helper_proto *p, uint32_t subprog);
int check_no_leak(struct verifier *v, const char *what);
void clobber_caller_saved(struct verifier *v);

/* verifier_storage.c */
/* A struct of this name, or NULL. */
int check_object_arg(struct verifier *v, int regno, const char *type);
/* btf: kernel pointers too. */
int check_sock_arg(struct verifier *v, int regno, bool btf);
bool walk_is_rcu(const struct verifier *v, const struct reg *from, const char *type,
		 const char *member);

/* verifier_dynptr.c: slices that may lie in the frame that has been left are gone */
void slices_leave_frame(struct verifier *v, uint32_t frame);
/* ... and those through which bytes [from, end) of it could be changed, which hold from now on
 * what is kept track of */
void slices_leave_bytes(struct verifier *v, uint32_t frame, int64_t from, int64_t end);

/* verifier_helper.c */
/* May R[regno], a number, be the size of some memory? */
int check_size_range(struct verifier *v, int regno, bool zero_ok);
int check_helper(struct verifier *v, const struct bpf_insn *insn, uint32_t *next);
/* A new reference: its id, or -E2BIG. */
int ref_acquire(struct verifier *v);
/* The reference is gone: so is every copy of the pointer. */
int ref_release(struct verifier *v, uint32_t id);
int check_ctx_arg(struct verifier *v, int regno);
/* size bytes of memory at R[regno] that some function reads or writes. */
int check_mem_access(struct verifier *v, int regno, uint32_t size, bool write,
		     bool may_be_uninit, bool zero_ok);

/* verifier_timer.c */
/* R[regno] is the timer (or work) of a map value: 0 and the map. */
int check_timer(struct verifier *v, int regno, bool wq, uint32_t *map);
/* The callback that R[regno] is will be called for timers of that map. */
int check_async_callback(struct verifier *v, int regno, uint32_t map);
/* R1 to R3 of such a callback. */
void async_args(struct verifier *v, const struct async_callback *a, struct frame *f);
/* The value's timers are none of [from, end). */
int check_no_timer(struct verifier *v, const struct map *m, int64_t from, int64_t end);

/* verifier_kfunc.c */
/* Finds the names of the program's kfuncs: aux[].kfunc. */
int kfunc_resolve(struct verifier *v);
int check_kfunc(struct verifier *v, const struct bpf_insn *insn);
/* As insn_regs(), with what only the kfunc table tells. */
void insn_regs_at(const struct verifier *v, uint32_t insn, uint16_t *reads, uint16_t *writes);

/* verifier_map_ptr.c */
int check_map_ptr_load(struct verifier *v, uint32_t insn, int regno, int32_t off, unsigned int size,
		       bool write, int value_regno);

/* verifier_fixup.c */
int fixup(struct verifier *v);

/* verifier.c */
struct state *push_path(struct verifier *v, uint32_t insn, uint32_t prev_insn);
struct reg *cur_regs(struct verifier *v);

/* verifier_live.c: the log's table of it */
void live_print(struct verifier *v);

/* verifier_print.c */
void print_state(struct verifier *v, const struct state *s, uint32_t frame, uint32_t regs,
		 uint64_t slots, bool all);
const char *reg_kind_name(const struct reg *r);
/* As messages show it: a number, when it is one. */
struct tnum_text {
	char s[48];
};
struct tnum_text tnum_text(struct tnum t);

/* Calls fn for every register and spilled register of every frame. */
#define for_each_reg(s, r)                                                                         \
	for (uint32_t f_ = 0; f_ <= (s)->cur; f_++)                                                \
		for (uint32_t i_ = 0; i_ < VER_REGS + (s)->frames[f_]->slot_cnt; i_++)             \
			if ((r = state_reg_at((s)->frames[f_], i_)))

static inline struct reg *state_reg_at(struct frame *f, uint32_t i)
{
	if (i < VER_REGS)
		return &f->regs[i];
	if (f->slots[i - VER_REGS].kind[0] != SLOT_SPILL)
		return NULL;
	return &f->slots[i - VER_REGS].spilled;
}

#endif
