/*
 * arch_x86_64.c - the processor-specific part of the clone library for x86-64.
 *
 * The functions in assembly are those that C cannot express: a system call without errno, the two
 * sides of a new thread on a stack of its own, and leaving a stack for a signal frame.
 */
#include "guest/clone/arch.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

/* Only the assembly uses the parameters of the functions written in it. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define NR_MUNMAP 11
#define NR_RT_SIGRETURN 15
#define NR_CLONE 56
#define NR_EXIT 60
#define NR_FUTEX 202
#define AS_TEXT_(x) #x
#define AS_TEXT(x) AS_TEXT_(x)

_Static_assert(SYS_munmap == NR_MUNMAP && SYS_rt_sigreturn == NR_RT_SIGRETURN, "x86-64 numbers");
_Static_assert(SYS_clone == NR_CLONE && SYS_exit == NR_EXIT && SYS_futex == NR_FUTEX, "likewise");
_Static_assert((FUTEX_WAKE | FUTEX_PRIVATE_FLAG) == 129, "used below");
_Static_assert(offsetof(struct arch_thread, flags) == 0, "used below");
_Static_assert(offsetof(struct arch_thread, stack_top) == 8, "used below");
_Static_assert(offsetof(struct arch_thread, parent_tid) == 16, "used below");
_Static_assert(offsetof(struct arch_thread, child_tid) == 24, "used below");
_Static_assert(offsetof(struct arch_thread, tls) == 32, "used below");
_Static_assert(offsetof(struct arch_thread, entry) == 40, "used below");
_Static_assert(offsetof(struct arch_thread, data) == 48, "used below");

/* The C convention and the kernel's differ in where the number and the fourth argument go. */
__attribute__((naked)) long arch_syscall(
	long number, long a, long b, long c, long d, long e, long f)
{
	__asm__("mov %rdi, %rax\n\t"
		"mov %rsi, %rdi\n\t"
		"mov %rdx, %rsi\n\t"
		"mov %rcx, %rdx\n\t"
		"mov %r8, %r10\n\t"
		"mov %r9, %r8\n\t"
		"mov 8(%rsp), %r9\n\t"
		"syscall\n\t"
		"ret");
}

/* In the 64-bit form, because debuggers and unwinders know a signal frame by these very bytes. */
__attribute__((naked)) void arch_restorer(void)
{
	__asm__("mov $" AS_TEXT(NR_RT_SIGRETURN) ", %rax\n\t"
						 "syscall");
}

long arch_clone_process(unsigned long flags, pid_t *child_tid)
{
	return raw_syscall(SYS_clone, flags, 0, 0, child_tid, 0);
}

/*
 * The new thread finds entry and data in registers that the kernel copies, so that its stack may be
 * untouched memory; a cleared frame pointer ends backtraces there.
 */
__attribute__((naked)) long arch_make_thread(const struct arch_thread *thread)
{
	__asm__("push %rbx\n\t"
		"push %r12\n\t"
		"mov 48(%rdi), %r12\n\t"
		"mov 40(%rdi), %rbx\n\t"
		"mov 32(%rdi), %r8\n\t"
		"mov 24(%rdi), %r10\n\t"
		"mov 16(%rdi), %rdx\n\t"
		"mov 8(%rdi), %rsi\n\t"
		"mov (%rdi), %rdi\n\t"
		"mov $" AS_TEXT(NR_CLONE) ", %eax\n\t"
					  "syscall\n\t"
					  "test %rax, %rax\n\t"
					  "jz 1f\n\t"
					  "pop %r12\n\t"
					  "pop %rbx\n\t"
					  "ret\n"
					  "1:\n\t"
					  "xor %ebp, %ebp\n\t"
					  "mov %r12, %rdi\n\t"
					  "call *%rbx\n\t"
					  "hlt");
}

/*
 * Both threads use one stack, the caller's while it waits in the kernel: what run() writes is below the
 * stack pointer, and what the caller restores is above it. A clone has a stack of its own, as it was.
 */
__attribute__((naked)) long arch_stand_in(unsigned long flags, int (*run)(void *data), void *data)
{
	__asm__("push %rbx\n\t"
		"push %r12\n\t"
		"sub $8, %rsp\n\t"
		"mov %rsi, %rbx\n\t"
		"mov %rdx, %r12\n\t"
		"xor %esi, %esi\n\t"
		"xor %edx, %edx\n\t"
		"xor %r10d, %r10d\n\t"
		"xor %r8d, %r8d\n\t"
		"mov $" AS_TEXT(NR_CLONE) ", %eax\n\t"
					  "syscall\n\t"
					  "test %rax, %rax\n\t"
					  "jz 1f\n\t"
					  "js 2f\n\t"
					  "xor %eax, %eax\n\t"
					  "jmp 2f\n"
					  "1:\n\t"
					  "mov %r12, %rdi\n\t"
					  "call *%rbx\n\t"
					  "cltq\n\t"
					  "test %rax, %rax\n\t"
					  "jnz 2f\n\t"
					  "xor %edi, %edi\n\t"
					  "mov $" AS_TEXT(NR_EXIT) ", %eax\n\t"
								   "syscall\n\t"
								   "hlt\n"
								   "2:\n\t"
								   "add $8, %rsp\n\t"
								   "pop %r12\n\t"
								   "pop %rbx\n\t"
								   "ret");
}

/*
 * rt_sigreturn() takes the frame that ends at the stack pointer: its ucontext. The order matters:
 * the old stack is left before the count can reach zero, because whoever sees zero unmaps it.
 */
__attribute__((naked)) void arch_resume_context(ucontext_t *context, uint32_t *remaining)
{
	__asm__("mov %rdi, %rsp\n\t"
		"lock decl (%rsi)\n\t"
		"jnz 1f\n\t"
		"mov %rsi, %rdi\n\t"
		"mov $129, %esi\n\t" /* FUTEX_WAKE_PRIVATE */
		"mov $1, %edx\n\t"
		"mov $" AS_TEXT(NR_FUTEX) ", %eax\n\t"
					  "syscall\n"
					  "1:\n\t"
					  "mov $" AS_TEXT(NR_RT_SIGRETURN) ", %eax\n\t"
									   "syscall\n\t"
									   "hlt");
}

__attribute__((naked)) void arch_unmap_and_exit(void *base, size_t size)
{
	__asm__("mov $" AS_TEXT(NR_MUNMAP) ", %eax\n\t"
					   "syscall\n\t"
					   "xor %edi, %edi\n\t"
					   "mov $" AS_TEXT(NR_EXIT) ", %eax\n\t"
								    "syscall\n\t"
								    "hlt");
}

void *arch_thread_pointer(void)
{
	unsigned long value = 0;

	raw_syscall(SYS_arch_prctl, ARCH_GET_FS, &value);
	return (void *)value;
}

unsigned long arch_second_pointer(void)
{
	unsigned long value = 0;

	raw_syscall(SYS_arch_prctl, ARCH_GET_GS, &value);
	return value;
}

void arch_set_second_pointer(unsigned long value)
{
	raw_syscall(SYS_arch_prctl, ARCH_SET_GS, value);
}

const uintptr_t *arch_registers(const ucontext_t *context, size_t *ret_count)
{
	*ret_count = REG_RIP; /* the general ones come first */
	return (const uintptr_t *)context->uc_mcontext.gregs;
}

const char *arch_stack_pointer(const ucontext_t *context)
{
	return (const char *)context->uc_mcontext.gregs[REG_RSP];
}

static const int argument_registers[6] = { REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9 };

static bool agrees(const greg_t *registers, const struct blocked_call *call)
{
	if (call->number < 0 || (unsigned long)registers[REG_RIP] != call->program_counter ||
		(unsigned long)registers[REG_RSP] != call->stack_pointer)
		return false;
	for (size_t i = 0; i < 6; i++)
		if ((unsigned long)registers[argument_registers[i]] != call->arguments[i])
			return false;
	return true;
}

/*
 * The number is overwritten by the result, but nearly all code that makes system calls has it in
 * the instruction before: "mov $number, %eax; syscall", that is, b8 NN NN NN NN 0f 05.
 */
static long number_from_code(unsigned long program_counter)
{
	const unsigned char *code = (const unsigned char *)program_counter - 7;
	int32_t number;

	if (program_counter % 4096 < 7) /* the page before may not be there */
		return -1;
	if (code[0] != 0xb8 || code[5] != 0x0f || code[6] != 0x05)
		return -1;
	memcpy(&number, code + 1, sizeof(number));
	return number;
}

bool arch_find_interrupted(const ucontext_t *context, struct blocked_call *call)
{
	const greg_t *registers = context->uc_mcontext.gregs;

	if (registers[REG_RAX] != -EINTR)
		return false;
	if (agrees(registers, call))
		return true;
	call->program_counter = (unsigned long)registers[REG_RIP];
	call->stack_pointer = (unsigned long)registers[REG_RSP];
	for (size_t i = 0; i < 6; i++)
		call->arguments[i] = (unsigned long)registers[argument_registers[i]];
	call->number = number_from_code(call->program_counter);
	return call->number >= 0;
}

void arch_reissue(ucontext_t *context, const struct blocked_call *call)
{
	context->uc_mcontext.gregs[REG_RAX] = call->number;
	context->uc_mcontext.gregs[REG_RIP] -= 2; /* the length of the syscall instruction */
}

void arch_set_argument(ucontext_t *context, size_t index, unsigned long value)
{
	context->uc_mcontext.gregs[argument_registers[index]] = (greg_t)value;
}
