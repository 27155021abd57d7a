/*
 * bench_floor.c - the raw fork that launches are measured against, see bench.h.
 */
#include "base/fd.h"
#include "cli/bench.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 30000
#define HUGE_PAGE (2UL << 20)

static uint64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Private memory, written to, in pages of the wanted size where the kernel grants it. */
static int touch_memory(size_t size, int advice)
{
	char *memory, *start;

	if (size == 0)
		return 0;
	memory = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	madvise(memory, size + HUGE_PAGE, advice);
	start = (char *)(((uintptr_t)memory + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	memset(start, 1, size);
	return 0;
}

/* One fork: the child tells when it ran through memory that both see. */
static int64_t measure_fork(volatile uint64_t *ran_at)
{
	uint64_t start = nanoseconds();
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
	int64_t took;

	if (pid == 0) {
		*ran_at = nanoseconds();
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid((pid_t)pid, NULL, 0) < 0)
		if (errno != EINTR)
			return -errno;
	took = (int64_t)(*ran_at - start);
	return took;
}

/* The floor's process: one answer for each byte, until the other end is closed. */
static void serve(int socket, uint64_t kb, uint64_t huge_kb)
{
	volatile uint64_t *ran_at =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t answer = ran_at == MAP_FAILED ? -errno : 0;
	char request;

	if (answer == 0)
		answer = touch_memory((size_t)huge_kb << 10, MADV_HUGEPAGE);
	if (answer == 0)
		answer = touch_memory((size_t)(kb - huge_kb) << 10, MADV_NOHUGEPAGE);
	while (fd_read_exactly(socket, &request, 1) == 0) {
		if (answer >= 0)
			answer = measure_fork(ran_at);
		if (fd_write_all(socket, &answer, sizeof(answer)) != 0)
			break;
	}
}

int bench_floor_start(struct bench_floor *floor, uint64_t kb, uint64_t huge_kb, struct err *e)
{
	int pair[2];
	pid_t parent = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, -errno, "the floor's process cannot be made");
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd_close(pair[0]);
		if (getppid() == parent)
			serve(pair[1], kb, min_of(kb, huge_kb));
		_exit(0);
	}
	fd_close(pair[1]);
	if (pid < 0) {
		int r = err_errno(e, -errno, "the floor's process cannot be made");

		fd_close(pair[0]);
		return r;
	}
	floor->socket = pair[0];
	floor->pid = pid;
	return 0;
}

int bench_floor_sample(struct bench_floor *floor, double *ret_us, struct err *e)
{
	struct pollfd readable = { .fd = floor->socket, .events = POLLIN };
	int64_t answer;
	char request = 1;
	int r = fd_write_all(floor->socket, &request, 1);

	if (r == 0 && poll(&readable, 1, ANSWER_TIMEOUT_MS) != 1)
		r = bench_interrupted() ? -EINTR : -ETIMEDOUT;
	if (r == 0)
		r = fd_read_exactly(floor->socket, &answer, sizeof(answer));
	if (r == 0 && answer < 0)
		r = (int)answer;
	if (r != 0)
		return err_errno(e, r, "the floor cannot be measured");
	*ret_us = (double)answer / 1e3;
	return 0;
}

void bench_floor_stop(struct bench_floor *floor)
{
	if (floor->pid <= 0)
		return;
	floor->socket = fd_close(floor->socket);
	while (waitpid(floor->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	floor->pid = 0;
}
