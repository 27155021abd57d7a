/*
 * calls.c - tries every system call, each in a process of its own, with arguments that no call can use; says for
 * each number whether it was answered, refused or unknown. Run as a hostile function, never outside one.
 *
 *     calls            the numbers 0 to 550
 *     calls x32        some numbers of the x32 ABI
 *     calls int80      some numbers of the 32-bit ABI, by its own instruction
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST 550
#define PATIENCE_US 30000 /* a call that waits was allowed */
#define X32 0x40000000

enum {
	ANSWERED = 10,
	REFUSED,
	UNKNOWN
};

struct arguments {
	long number, words[6];
};

/* Those that tell nothing with the arguments of the others. */
static const struct arguments particular[] = {
	{ SYS_futex, { 0, 1 } },
	{ SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, -1 } },
	{ SYS_sendto, { -1 } },
	{ SYS_sendmsg, { -1 } },
	{ SYS_sendmmsg, { -1 } },
	{ SYS_recvfrom, { -1 } },
	{ SYS_recvmsg, { -1 } },
	{ SYS_recvmmsg, { -1 } },
};

/* In line, since a vfork() must not return from a function. */
static inline __attribute__((always_inline)) long call(const struct arguments *a)
{
	register long r10 __asm__("r10") = a->words[3];
	register long r8 __asm__("r8") = a->words[4];
	register long r9 __asm__("r9") = a->words[5];
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(a->number), "D"(a->words[0]), "S"(a->words[1]), "d"(a->words[2]),
			 "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static long call_int80(long number)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(-1L), "c"(-1L), "d"(-1L)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static inline __attribute__((always_inline)) _Noreturn void leave(long status)
{
	const struct arguments exit_group = { SYS_exit_group, { status } };

	call(&exit_group);
	__builtin_unreachable();
}

static _Noreturn void try_one(const struct arguments *a, int int80)
{
	const struct itimerval patience = { .it_value.tv_usec = PATIENCE_US };
	pid_t self = getpid();
	long result;

	setitimer(ITIMER_REAL, &patience, NULL);
	result = int80 ? call_int80(a->number) : call(a);
	if (getpid() != self)
		leave(0); /* what fork() and vfork() made */
	leave(result == -EPERM ? REFUSED : result == -ENOSYS ? UNKNOWN : ANSWERED);
}

static const char *outcome_of(const struct arguments *a, int int80)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		try_one(a, int80);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return "untried";
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? "killed" : "allowed";
	return WEXITSTATUS(status) == REFUSED   ? "EPERM"
	       : WEXITSTATUS(status) == UNKNOWN ? "ENOSYS"
						: "allowed";
}

static void say(long number, int int80)
{
	struct arguments a = { number, { -1, -1, -1, -1, -1, -1 } };

	for (size_t i = 0; i < sizeof(particular) / sizeof(particular[0]); i++)
		if (particular[i].number == number && !int80)
			a = particular[i];
	printf("%ld %s\n", number, outcome_of(&a, int80));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const int some[] = { 1, 2, 4, 5, 11, 20, 37, 90, 102, 120, 162, 192, 310, 386, 435 };

	if (argc == 1)
		for (long number = 0; number <= LAST; number++)
			say(number, 0);
	for (size_t i = 0; argc > 1 && i < sizeof(some) / sizeof(some[0]); i++)
		say(strcmp(argv[1], "x32") ? some[i] : X32 | some[i], !strcmp(argv[1], "int80"));
	return 0;
}
