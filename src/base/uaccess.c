/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/uaccess.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/guard.h"
#include "base/rawsys.h"

/*
 * The kernel's struct sigaction: the handlers are installed by the raw system
 * call, because libc's sigaction() is interposed by the preload layer, which
 * calls uaccess_sigaction().
 */
struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

static const int guarded[] = {SIGSEGV, SIGBUS};
/* What the application asked for; written by uaccess_sigaction(). */
static struct sigaction chained[ARRAY_SIZE(guarded)];
static uint32_t chain_lock; /* owner_pid() of who holds it: a forked child may take its parent's */
static bool installed;

#if defined(__x86_64__)

/*
 * Everything between uaccess_begin and uaccess_end may fault; the handler
 * then resumes at uaccess_fault, in the same frame: none of these functions
 * has touched the stack pointer.
 */
__asm__(".pushsection .text\n"
	".balign 64\n"
	".globl uaccess_begin, uaccess_end, uaccess_fault, uaccess_restore\n"
	".hidden uaccess_begin, uaccess_end, uaccess_fault, uaccess_restore\n"
	"uaccess_begin:\n"

	".globl uaccess_copy_raw\n.hidden uaccess_copy_raw\n"
	".type uaccess_copy_raw, @function\n"
	"uaccess_copy_raw:\n"
	"	cmpq $64, %rdx\n"
	"	jb 2f\n"
	"1:	movups (%rsi), %xmm0\n"
	"	movups 16(%rsi), %xmm1\n"
	"	movups 32(%rsi), %xmm2\n"
	"	movups 48(%rsi), %xmm3\n"
	"	movups %xmm0, (%rdi)\n"
	"	movups %xmm1, 16(%rdi)\n"
	"	movups %xmm2, 32(%rdi)\n"
	"	movups %xmm3, 48(%rdi)\n"
	"	addq $64, %rsi\n"
	"	addq $64, %rdi\n"
	"	subq $64, %rdx\n"
	"	cmpq $64, %rdx\n"
	"	jae 1b\n"
	"2:	cmpq $8, %rdx\n"
	"	jb 4f\n"
	"3:	movq (%rsi), %rax\n"
	"	movq %rax, (%rdi)\n"
	"	addq $8, %rsi\n"
	"	addq $8, %rdi\n"
	"	subq $8, %rdx\n"
	"	cmpq $8, %rdx\n"
	"	jae 3b\n"
	"4:	testb $4, %dl\n"
	"	jz 5f\n"
	"	movl (%rsi), %eax\n"
	"	movl %eax, (%rdi)\n"
	"	addq $4, %rsi\n"
	"	addq $4, %rdi\n"
	"5:	testb $2, %dl\n"
	"	jz 6f\n"
	"	movw (%rsi), %ax\n"
	"	movw %ax, (%rdi)\n"
	"	addq $2, %rsi\n"
	"	addq $2, %rdi\n"
	"6:	testb $1, %dl\n"
	"	jz 7f\n"
	"	movb (%rsi), %al\n"
	"	movb %al, (%rdi)\n"
	"7:	xorl %eax, %eax\n"
	"	ret\n"
	".size uaccess_copy_raw, .-uaccess_copy_raw\n"

	".globl uaccess_zero_raw\n.hidden uaccess_zero_raw\n"
	".type uaccess_zero_raw, @function\n"
	"uaccess_zero_raw:\n"
	"	xorl %eax, %eax\n"
	"1:	cmpq $8, %rsi\n"
	"	jb 2f\n"
	"	movq %rax, (%rdi)\n"
	"	addq $8, %rdi\n"
	"	subq $8, %rsi\n"
	"	jmp 1b\n"
	"2:	testq %rsi, %rsi\n"
	"	jz 3f\n"
	"	movb %al, (%rdi)\n"
	"	incq %rdi\n"
	"	decq %rsi\n"
	"	jmp 2b\n"
	"3:	ret\n"
	".size uaccess_zero_raw, .-uaccess_zero_raw\n"

	/* rdi dst, rsi src, rdx size: copies up to and including the NUL; the
	 * number of bytes copied, with or without a NUL among them. */
	".globl uaccess_string_raw\n.hidden uaccess_string_raw\n"
	".type uaccess_string_raw, @function\n"
	"uaccess_string_raw:\n"
	"	xorl %ecx, %ecx\n"
	"1:	cmpq %rdx, %rcx\n"
	"	jae 2f\n"
	"	movb (%rsi,%rcx), %al\n"
	"	movb %al, (%rdi,%rcx)\n"
	"	incq %rcx\n"
	"	testb %al, %al\n"
	"	jnz 1b\n"
	"2:	movq %rcx, %rax\n"
	"	ret\n"
	".size uaccess_string_raw, .-uaccess_string_raw\n"
	"uaccess_end:\n"

	"uaccess_fault:\n"
	"	movq $-14, %rax\n" /* -EFAULT */
	"	ret\n"

	".type uaccess_restore, @function\n"
	"uaccess_restore:\n"
	"	movl $15, %eax\n" /* rt_sigreturn */
	"	syscall\n"
	".size uaccess_restore, .-uaccess_restore\n"
	".popsection\n");

#else

/*
 * As above. Of a pair of registers each half is one load or store. The kernel returns from a
 * handler by a place of its own.
 */
__asm__(".pushsection .text\n"
	".balign 64\n"
	".globl uaccess_begin, uaccess_end, uaccess_fault\n"
	".hidden uaccess_begin, uaccess_end, uaccess_fault\n"
	"uaccess_begin:\n"

	".globl uaccess_copy_raw\n.hidden uaccess_copy_raw\n"
	".type uaccess_copy_raw, @function\n"
	"uaccess_copy_raw:\n"
	"	.cfi_startproc\n"
	"	hint #34\n" /* bti c */
	"1:	subs x2, x2, #64\n"
	"	b.lo 2f\n"
	"	ldp x3, x4, [x1], #16\n"
	"	ldp x5, x6, [x1], #16\n"
	"	ldp x7, x8, [x1], #16\n"
	"	ldp x9, x10, [x1], #16\n"
	"	stp x3, x4, [x0], #16\n"
	"	stp x5, x6, [x0], #16\n"
	"	stp x7, x8, [x0], #16\n"
	"	stp x9, x10, [x0], #16\n"
	"	b 1b\n"
	"2:	tbz x2, #5, 3f\n" /* the lower bits are still what is left */
	"	ldp x3, x4, [x1], #16\n"
	"	ldp x5, x6, [x1], #16\n"
	"	stp x3, x4, [x0], #16\n"
	"	stp x5, x6, [x0], #16\n"
	"3:	tbz x2, #4, 4f\n"
	"	ldp x3, x4, [x1], #16\n"
	"	stp x3, x4, [x0], #16\n"
	"4:	tbz x2, #3, 5f\n"
	"	ldr x3, [x1], #8\n"
	"	str x3, [x0], #8\n"
	"5:	tbz x2, #2, 6f\n"
	"	ldr w3, [x1], #4\n"
	"	str w3, [x0], #4\n"
	"6:	tbz x2, #1, 7f\n"
	"	ldrh w3, [x1], #2\n"
	"	strh w3, [x0], #2\n"
	"7:	tbz x2, #0, 8f\n"
	"	ldrb w3, [x1]\n"
	"	strb w3, [x0]\n"
	"8:	mov x0, #0\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size uaccess_copy_raw, .-uaccess_copy_raw\n"

	".globl uaccess_zero_raw\n.hidden uaccess_zero_raw\n"
	".type uaccess_zero_raw, @function\n"
	"uaccess_zero_raw:\n"
	"	.cfi_startproc\n"
	"	hint #34\n"
	"1:	subs x1, x1, #8\n"
	"	b.lo 2f\n"
	"	str xzr, [x0], #8\n"
	"	b 1b\n"
	"2:	add x1, x1, #8\n"
	"3:	cbz x1, 4f\n"
	"	strb wzr, [x0], #1\n"
	"	sub x1, x1, #1\n"
	"	b 3b\n"
	"4:	mov x0, #0\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size uaccess_zero_raw, .-uaccess_zero_raw\n"

	/* x0 dst, x1 src, x2 size */
	".globl uaccess_string_raw\n.hidden uaccess_string_raw\n"
	".type uaccess_string_raw, @function\n"
	"uaccess_string_raw:\n"
	"	.cfi_startproc\n"
	"	hint #34\n"
	"	mov x3, #0\n"
	"1:	cmp x3, x2\n"
	"	b.hs 2f\n"
	"	ldrb w4, [x1, x3]\n"
	"	strb w4, [x0, x3]\n"
	"	add x3, x3, #1\n"
	"	cbnz w4, 1b\n"
	"2:	mov x0, x3\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size uaccess_string_raw, .-uaccess_string_raw\n"
	"uaccess_end:\n"

	"uaccess_fault:\n"
	"	mov x0, #-14\n" /* -EFAULT */
	"	ret\n"
	".popsection\n");
#endif

extern const char uaccess_begin[], uaccess_end[], uaccess_fault[];
int uaccess_copy_raw(void *dst, const void *src, size_t n);
int uaccess_zero_raw(void *dst, size_t n);
long uaccess_string_raw(char *dst, const char *src, size_t size);

int uaccess_copy(void *dst, const void *src, size_t n)
{
	return uaccess_copy_raw(dst, src, n);
}

int uaccess_zero(void *dst, size_t n)
{
	return uaccess_zero_raw(dst, n);
}

long uaccess_copy_string(char *dst, const char *src, size_t size)
{
	long n = uaccess_string_raw(dst, src, size);

	if (n > 0 && dst[n - 1] != '\0') {
		dst[n - 1] = '\0';
		return -E2BIG;
	}
	return n;
}

/* Where uaccess.h's instructions are that may fault, and where to go on then: distances
 * from the place where each stands. The linker puts the names at the section's ends. */
struct table_entry {
	int32_t insn, fault;
};
extern const struct table_entry uaccess_table_begin[] __asm__("__start_uaccess_table")
	__attribute__((visibility("hidden"), weak));
extern const struct table_entry uaccess_table_end[] __asm__("__stop_uaccess_table")
	__attribute__((visibility("hidden"), weak));

static bool fault_resume(void *context)
{
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
#if defined(__x86_64__)
	greg_t *at = &m->gregs[REG_RIP];
#else
	__u64 *at = &m->pc;
#endif
	uintptr_t ip = (uintptr_t)*at;
	const struct table_entry *t;

	if (ip >= (uintptr_t)uaccess_begin && ip < (uintptr_t)uaccess_end) {
		*at = (uintptr_t)uaccess_fault;
		return true;
	}
	for (t = uaccess_table_begin; t < uaccess_table_end; t++) {
		if (ip != (uintptr_t)&t->insn + (intptr_t)t->insn)
			continue;
		*at = (uintptr_t)&t->fault + (uintptr_t)(intptr_t)t->fault;
		return true;
	}
	return false;
}

#if defined(__x86_64__)
void uaccess_restore(void);
#define RESTORER uaccess_restore
#define RESTORER_FLAG SA_RESTORER
#else
#define RESTORER NULL
#define RESTORER_FLAG 0
#endif

static int guarded_index(int sig)
{
	return sig == SIGSEGV ? 0 : sig == SIGBUS ? 1 : -1;
}

static long raw_sigaction(int sig, const struct kernel_sigaction *act, struct kernel_sigaction *old)
{
	long ret;

#if defined(__x86_64__)
	register long r10 __asm__("r10") = sizeof(act->mask);

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_rt_sigaction), "D"((long)sig), "S"(act), "d"(old), "r"(r10)
			 : "rcx", "r11", "memory");
#else
	register long x8 __asm__("x8") = SYS_rt_sigaction;
	register long x0 __asm__("x0") = sig;
	register const void *x1 __asm__("x1") = act;
	register void *x2 __asm__("x2") = old;
	register long x3 __asm__("x3") = sizeof(act->mask);

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	ret = x0;
#endif
	return ret;
}

/*
 * Whose memory this is: the process that is not the child of a vfork(2), or of a clone(2)
 * with CLONE_VM. Such a child has handlers of its own (until it calls exec) but our
 * variables, which are about its parent's handlers. The word is in a page that the child
 * of a fork(2) finds wiped.
 */
static uint32_t *memory_owner;

static uint32_t owner_pid(void)
{
	const uint32_t pid = (uint32_t)raw_getpid();
	uint32_t *word = load_acquire(&memory_owner), *none = NULL, owner = 0;

	if (!word) {
		word = raw_mmap(NULL, SHMAP_PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (raw_is_error(word))
			return pid;
		/* (Linux 4.14. Without it every child is taken for one of fork.) */
		if (raw_syscall3(SYS_madvise, (long)word, SHMAP_PAGE, MADV_WIPEONFORK)) {
			raw_munmap(word, SHMAP_PAGE);
			return pid;
		}
		if (!cas_seq_cst(&memory_owner, &none, word)) {
			raw_munmap(word, SHMAP_PAGE);
			word = none;
		}
	}
	return cas_seq_cst(word, &owner, pid) ? pid : owner;
}

static bool is_vfork_child(void)
{
	return owner_pid() != (uint32_t)raw_getpid();
}

/* Before there is any child. */
static void __attribute__((constructor)) at_load(void)
{
	owner_pid();
}

/* Held for a copy only, with no fault possible inside, and without signals: a handler may
 * call sigaction(2). */
static uint64_t chain_take(void)
{
	const uint64_t all = UINT64_MAX;
	const uint32_t pid = owner_pid();
	uint32_t held = 0;
	uint64_t mask = 0;

	raw_sigprocmask(SIG_SETMASK, &all, &mask);
	while (!cas_acquire(&chain_lock, &held, pid)) {
		if (held && held != pid && cas_acquire(&chain_lock, &held, pid))
			break;
		held = 0;
		cpu_relax();
	}
	return mask;
}

static void chain_give(uint64_t mask)
{
	store_release(&chain_lock, 0);
	raw_sigprocmask(SIG_SETMASK, &mask, NULL);
}

static void chain_read(int index, struct sigaction *act)
{
	const uint64_t mask = chain_take();

	*act = chained[index];
	chain_give(mask);
}

static bool (*fixup)(void *context);

void uaccess_set_fixup(bool (*fn)(void *context))
{
	store_release(&fixup, fn);
}

static bool fixed_up(void *context)
{
	bool (*fn)(void *context) = load_acquire(&fixup);

	return fn && fn(context);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	struct sigaction act;
	int index = guarded_index(sig);

	if (info->si_code > 0 && (fault_resume(context) || fixed_up(context) || fault_guard_resume(context)))
		return;

	chain_read(index, &act);
	if (!(act.sa_flags & SA_SIGINFO) &&
	    (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN)) {
		struct kernel_sigaction dfl = {0};

		/* Sent by kill(2) and ignored: nothing happens. A real fault
		 * that is ignored kills, as the kernel has it. */
		if (info->si_code <= 0 && act.sa_handler == SIG_IGN)
			return;
		raw_sigaction(sig, &dfl, NULL);
		if (info->si_code <= 0)
			syscall(SYS_tgkill, (long)getpid(), syscall(SYS_gettid), (long)sig);
		return; /* the instruction faults again, now for the default */
	}
	if (act.sa_flags & SA_RESETHAND) {
		struct sigaction reset = {.sa_handler = SIG_DFL};

		uaccess_sigaction(sig, &reset, NULL);
	}
	if (act.sa_flags & SA_SIGINFO)
		act.sa_sigaction(sig, info, context);
	else
		act.sa_handler(sig);
}

static long install(int sig, int extra_flags)
{
	struct kernel_sigaction act = {
		.handler = on_fault,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | RESTORER_FLAG | extra_flags,
		.restorer = RESTORER,
	};

	return raw_sigaction(sig, &act, NULL);
}

int uaccess_init(void)
{
	uint64_t mask;
	unsigned int i;

	if (load_acquire(&installed) || is_vfork_child())
		return 0;
	mask = chain_take();
	for (i = 0; !load_relaxed(&installed) && i < ARRAY_SIZE(guarded); i++) {
		struct kernel_sigaction old = {0};

		raw_sigaction(guarded[i], NULL, &old);
		/* the child of a fork in the middle of this has some of them */
		if (old.handler == on_fault)
			continue;
		chained[i].sa_sigaction = old.handler;
		chained[i].sa_flags = (int)(old.flags & ~(unsigned long)SA_RESTORER);
		memcpy(&chained[i].sa_mask, &old.mask, sizeof(old.mask));
		install(guarded[i], 0);
	}
	store_release(&installed, true);
	chain_give(mask);
	return 0;
}

/* The child's own handlers, which are the kernel's to know; what it finds are its parent's. */
static int child_sigaction(int sig, const struct sigaction *act)
{
	struct kernel_sigaction own = {
		.handler = act->sa_sigaction,
		.flags = (unsigned long)(unsigned int)act->sa_flags | SA_RESTORER,
		.restorer = RESTORER,
	};

	memcpy(&own.mask, &act->sa_mask, sizeof(own.mask));
	return (int)raw_sigaction(sig, &own, NULL);
}

int uaccess_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	int index = guarded_index(sig);
	struct sigaction now, then;
	uint64_t mask;

	if (index < 0)
		return -EINVAL;
	uaccess_init();
	/* The caller's pointers are touched outside the lock. */
	if (act)
		now = *act;
	if (act && is_vfork_child()) {
		const int err = child_sigaction(sig, &now);

		if (err)
			return err;
		act = NULL;
	}
	mask = chain_take();
	then = chained[index];
	if (act)
		chained[index] = now;
	chain_give(mask);
	/* The default action may have put SIG_DFL back in the kernel. */
	if (act)
		install(sig, now.sa_flags & SA_RESTART);
	if (old)
		*old = then;
	return 0;
}
