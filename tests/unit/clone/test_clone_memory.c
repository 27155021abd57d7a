/*
 * test_clone_memory.c - memory that a fork treats specially, and mutexes that are held across a
 * clone by threads whose TIDs change.
 */
#include "clone/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define MB ((size_t)1 << 20)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static char *memory;

static char *map(size_t size, int protection, int flags, int fd)
{
	char *p = mmap(NULL, size, protection, flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static char *map_shared(size_t size)
{
	return map(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static char *map_private(size_t size)
{
	return map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* V8 marks its heap so. */
static void expect_memory(void)
{
	CHECK(memory[5] == 'x' && memory[MB - 1] == 'y');
}

static void test_dontfork(void)
{
	memory = map_private(MB);
	memory[5] = 'x';
	memory[MB - 1] = 'y';
	CHECK(madvise(memory, MB, MADV_DONTFORK) == 0);
	check_in_clone_and_template(expect_memory);
}

/* Parking reads no page that is not there. */
static void test_untouched_memory(void)
{
	size_t before, after;

	memory = map_private(256 * MB);
	memory[100 * MB] = 1;
	CHECK(mprotect(memory + 10 * MB, MB, PROT_NONE) == 0);
	before = memory_kb("Rss:");
	clone_release(template_park());
	after = memory_kb("Rss:");
	CHECK(after < before + 16 * 1024, "%zu KB, %zu KB", before, after);
}

static void expect_park_refused(const char *part)
{
	struct clone_template *t = NULL;
	struct err e = { 0 };

	CHECK(clone_park(&t, NULL, &e) == -EBUSY);
	CHECK(strstr(e.text, part) && strstr(e.text, "shared and writable"), "%s", e.text);
}

/* A shared mapping of a file that others may have open too. */
static void test_shared_file_is_refused(void)
{
	char path[] = "/tmp/clone-test-XXXXXX";
	int fd = mkstemp(path);

	CHECK(ftruncate(fd, 4096) == 0);
	memory = map(4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	close(fd);
	expect_park_refused(path);
	CHECK(munmap(memory, 4096) == 0);

	/* Read only, it does no harm. */
	fd = open(path, O_RDONLY);
	memory = map(4096, PROT_READ, MAP_SHARED, fd);
	clone_release(template_park());
	unlink(path);
}

static void test_shared_memory_with_descriptor_is_refused(void)
{
	int fd = memfd_create("somebody-elses", MFD_CLOEXEC);

	CHECK(ftruncate(fd, 4096) == 0);
	memory = map(4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	expect_park_refused("somebody-elses");
	close(fd); /* nothing but this mapping leads there now */
	clone_release(template_park());
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	CHECK(mremap(memory, 0, 4096, MREMAP_MAYMOVE) != MAP_FAILED); /* a second view of it */
	expect_park_refused("somebody-elses");
}

static void test_large_shared_memory_is_refused(void)
{
	memory = map_shared(MB);
	expect_park_refused("1024 KB");
}

/* A window of 2 MB with a gap in it, of which a third is in use. */
static char *gathered_window(void)
{
	char *area = map_private(6 * MB);
	char *window = (char *)(((uintptr_t)area + 2 * MB - 1) & ~(uintptr_t)(2 * MB - 1));

	for (size_t i = 0; i < 640 * 1024; i += 4096)
		window[i] = (char)(i >> 12);
	CHECK(munmap(window + MB, 64 * 1024) == 0);
	window[2 * MB - 1] = 'z';
	return window;
}

static void expect_gathered(void)
{
	for (size_t i = 0; i < 640 * 1024; i += 4096)
		CHECK(memory[i] == (char)(i >> 12), "at %zu", i);
	CHECK(memory[2 * MB - 1] == 'z');
}

static void test_gathered_memory(void)
{
	size_t before = memory_kb("AnonHugePages:");
	struct clone_template *t;
	bool kernel_can;
	pid_t pid;

	memory = gathered_window();
	kernel_can = madvise(memory, 0, MADV_COLLAPSE) == 0; /* Linux 6.1 */
	t = template_park();
	clone_gather(t);
	if (kernel_can)
		CHECK(memory_kb("AnonHugePages:") >= before + 2048);
	pid = template_clone(t);
	if (pid == 0) {
		expect_gathered();
		memory[4096] = 'c';
		clone_done();
	}
	clone_expect_done(pid);
	clone_release(t);
	expect_gathered();
	/* malloc goes on above what was gathered of its heap. */
	for (int i = 0; i < 100; i++)
		CHECK(memset(malloc(100 * 1024), i, 100 * 1024));
}

/* A window with memory in it that is not like the rest stays as it is. */
static void test_mixed_memory_is_not_gathered(void)
{
	struct clone_template *t;

	memory = gathered_window();
	CHECK(mprotect(memory + 256 * 1024, 4096, PROT_READ) == 0);
	t = template_park();
	clone_gather(t);
	CHECK(mmap(memory + MB, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		      -1, 0) == memory + MB);
	clone_release(t);
	expect_gathered();
}

/* As a class archive of the JVM: a private view of a file, in part overwritten, between plain memory. */
static void test_gathered_file(void)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);
	size_t before = memory_kb("AnonHugePages:");
	char *area = map_private(6 * MB), page[4096];
	struct clone_template *t;
	bool kernel_can;

	for (size_t i = 0; i < MB; i += sizeof(page))
		CHECK(write(fd, memset(page, (int)(i >> 12), sizeof(page)), sizeof(page)) > 0);
	memory = (char *)(((uintptr_t)area + 2 * MB - 1) & ~(uintptr_t)(2 * MB - 1));
	CHECK(mmap(memory, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == memory);
	close(fd);
	memset(memory + 4096, 'w', 4096);
	memory[2 * MB - 1] = 'z';
	kernel_can = madvise(memory, 0, MADV_COLLAPSE) == 0;
	t = template_park();
	clone_gather(t);
	if (kernel_can)
		CHECK(memory_kb("AnonHugePages:") >= before + 2048);
	clone_release(t);
	for (size_t i = 0; i < MB; i += 4096)
		CHECK(memory[i] == (i == 4096 ? 'w' : (char)(i >> 12)), "at %zu", i);
	CHECK(memory[2 * MB - 1] == 'z');
}

/* What a fork is to wipe, such as the state of a random generator, is wiped afterwards too. */
static void test_wiped_memory_is_not_gathered(void)
{
	struct clone_template *t;
	pid_t pid;

	memory = gathered_window();
	CHECK(madvise(memory + 4096, 4096, MADV_WIPEONFORK) == 0);
	t = template_park();
	clone_gather(t);
	pid = template_clone(t);
	if (pid == 0) {
		CHECK(memory[4096] == 0 && memory[8192] == 2);
		clone_done();
	}
	clone_expect_done(pid);
	clone_release(t);
	expect_gathered();
}

/* What Python's multiprocessing.Lock is made of. */
static sem_t *semaphore;

static void *semaphore_run(void *data)
{
	CHECK(sem_wait(semaphore) == 0);
	return data;
}

static pthread_t waiter;

static void expect_semaphore(void)
{
	pid_t child;

	CHECK(strcmp((char *)(semaphore + 1), "beside it") == 0);
	usleep(5000);
	child = fork(); /* it is shared with children, and with nobody else */
	if (child == 0) {
		sem_post(semaphore);
		_exit(7);
	}
	clone_expect_done(child);
	thread_join_expect(waiter, &waiter);
}

static void test_anonymous_semaphore(void)
{
	semaphore = (sem_t *)map_shared(4096);
	strcpy((char *)(semaphore + 1), "beside it");
	CHECK(sem_init(semaphore, 1, 0) == 0);
	waiter = thread_start(semaphore_run, &waiter);
	usleep(5000);
	check_in_clone_and_template(expect_semaphore);
}

static void test_unlinked_semaphore(void)
{
	struct clone_template *t;
	char name[64];
	int value;
	pid_t pid;

	snprintf(name, sizeof(name), "/clone-test-%d-%llx", getpid(),
		(unsigned long long)usec_realtime());
	semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 3);
	CHECK(semaphore != SEM_FAILED);
	CHECK(sem_unlink(name) == 0);
	t = template_park();
	CHECK(scenario_noted("Shared memory /dev/shm/"));
	pid = template_clone(t);
	if (pid == 0) {
		t = template_park(); /* it can be cloned again */
		pid = template_clone(t);
		if (pid > 0) {
			clone_expect_done(pid);
			clone_release(t);
		}
		CHECK(sem_getvalue(semaphore, &value) == 0 && value == 3);
		CHECK(sem_wait(semaphore) == 0);
		clone_done();
	}
	clone_expect_done(pid);
	CHECK(sem_getvalue(semaphore, &value) == 0 && value == 3);
}

/*
 * Mutexes: a holder takes one, waits to be told, and lets it go; meanwhile another thread tries.
 * Both must see what POSIX says, in the template and, with other TIDs, in clones.
 */

static struct locks {
	pthread_mutex_t recursive, checking, robust, inheriting;
	pthread_rwlock_t lock;
} * locks;

static struct locks static_locks;
static int held, let_go;

static void mutex_init(pthread_mutex_t *mutex, int type, int robust, int protocol)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, type);
	pthread_mutexattr_setrobust(&attributes, robust);
	pthread_mutexattr_setprotocol(&attributes, protocol);
	CHECK(pthread_mutex_init(mutex, &attributes) == 0);
}

static void locks_init(struct locks *where)
{
	locks = where;
	mutex_init(&locks->recursive, PTHREAD_MUTEX_RECURSIVE, 0, 0);
	mutex_init(&locks->checking, PTHREAD_MUTEX_ERRORCHECK, 0, 0);
	mutex_init(&locks->robust, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, 0);
	mutex_init(&locks->inheriting, PTHREAD_MUTEX_ERRORCHECK, 0, PTHREAD_PRIO_INHERIT);
	CHECK(pthread_rwlock_init(&locks->lock, NULL) == 0);
}

static void locks_take(void)
{
	CHECK(pthread_mutex_lock(&locks->recursive) == 0);
	CHECK(pthread_mutex_lock(&locks->recursive) == 0);
	CHECK(pthread_mutex_lock(&locks->checking) == 0);
	CHECK(pthread_mutex_lock(&locks->robust) == 0);
	CHECK(pthread_mutex_lock(&locks->inheriting) == 0);
	CHECK(pthread_rwlock_wrlock(&locks->lock) == 0);
}

static void expect_return(int got, int wanted, const char *what)
{
	CHECK(got == wanted, "%s: %s instead of %s", what, strerrorname_np(got),
		strerrorname_np(wanted));
}

static void locks_let_go(struct locks *mine)
{
	expect_return(pthread_mutex_lock(&mine->recursive), 0, "third lock of recursive");
	for (int i = 0; i < 3; i++)
		expect_return(pthread_mutex_unlock(&mine->recursive), 0, "unlock of recursive");
	expect_return(pthread_mutex_lock(&mine->checking), EDEADLK, "second lock of checking");
	expect_return(pthread_mutex_unlock(&mine->checking), 0, "unlock of checking");
	expect_return(pthread_mutex_unlock(&mine->checking), EPERM, "second unlock of checking");
	expect_return(pthread_mutex_unlock(&mine->robust), 0, "unlock of robust");
	expect_return(pthread_mutex_unlock(&mine->inheriting), 0, "unlock of inheriting");
	expect_return(pthread_rwlock_wrlock(&mine->lock), EDEADLK, "second lock for writing");
	expect_return(pthread_rwlock_unlock(&mine->lock), 0, "unlock of lock");
}

static void expect_not_mine(void)
{
	expect_return(pthread_mutex_trylock(&locks->recursive), EBUSY, "try recursive");
	expect_return(pthread_mutex_unlock(&locks->checking), EPERM, "unlock another's checking");
	expect_return(pthread_mutex_trylock(&locks->robust), EBUSY, "try robust");
	expect_return(pthread_mutex_unlock(&locks->robust), EPERM, "unlock another's robust");
	expect_return(pthread_mutex_trylock(&locks->inheriting), EBUSY, "try inheriting");
	expect_return(pthread_rwlock_tryrdlock(&locks->lock), EBUSY, "try lock");
}

static void *holder_run(void *data)
{
	locks_take();
	__atomic_store_n(&held, 1, __ATOMIC_RELEASE);
	counter_await(&let_go, 1);
	locks_let_go(locks);
	return data;
}

/* Waits for what the holder has; it must get each when the holder lets go. */
static void *waiter_run(void *data)
{
	expect_return(pthread_mutex_lock(&locks->recursive), 0, "waiting for recursive");
	expect_return(pthread_mutex_lock(&locks->checking), 0, "waiting for checking");
	expect_return(pthread_mutex_lock(&locks->robust), 0, "waiting for robust");
	expect_return(pthread_mutex_lock(&locks->inheriting), 0, "waiting for inheriting");
	expect_return(pthread_rwlock_wrlock(&locks->lock), 0, "waiting for lock");
	pthread_mutex_unlock(&locks->recursive);
	pthread_mutex_unlock(&locks->checking);
	pthread_mutex_unlock(&locks->robust);
	pthread_mutex_unlock(&locks->inheriting);
	pthread_rwlock_unlock(&locks->lock);
	return data;
}

static void *inheriting_waiter_run(void *data)
{
	expect_return(pthread_mutex_lock(&locks->inheriting), 0, "waiting for inheriting");
	pthread_mutex_unlock(&locks->inheriting);
	return data;
}

static pthread_t holder, others[3];

static void expect_locks(void)
{
	expect_not_mine();
	__atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
	thread_join_expect(holder, &holder);
	thread_join_expect(others[0], &others[0]);
	thread_join_expect(others[1], &others[1]);
	expect_return(pthread_mutex_trylock(&locks->inheriting), 0, "free inheriting");
	expect_return(pthread_rwlock_trywrlock(&locks->lock), 0, "free lock");
}

static void locks_start(void)
{
	holder = thread_start(holder_run, &holder);
	counter_await(&held, 1);
	others[0] = thread_start(waiter_run, &others[0]);
	others[1] = thread_start(inheriting_waiter_run, &others[1]);
	usleep(5000);
}

static void test_mutexes_in_data(void)
{
	locks_init(&static_locks);
	locks_start();
	check_in_clone_and_template(expect_locks);
}

static void test_mutexes_in_heap(void)
{
	locks_init(malloc(sizeof(struct locks)));
	locks_start();
	check_in_clone_and_template(expect_locks);
}

/* One that lies across two pages. */
static pthread_mutex_t *across;

static void *across_run(void *data)
{
	CHECK(pthread_mutex_lock(across) == 0);
	__atomic_store_n(&held, 1, __ATOMIC_RELEASE);
	counter_await(&let_go, 1);
	expect_return(pthread_mutex_unlock(across), 0, "unlock across pages");
	return data;
}

static void expect_across(void)
{
	expect_return(pthread_mutex_trylock(across), EBUSY, "try across pages");
	__atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
	thread_join_expect(holder, &holder);
}

static void test_mutex_across_pages(void)
{
	across = (pthread_mutex_t *)(map_private(3 * 4096) + 4096 - 16);
	mutex_init(across, PTHREAD_MUTEX_RECURSIVE, 0, 0);
	holder = thread_start(across_run, &holder);
	counter_await(&held, 1);
	check_in_clone_and_template(expect_across);
}

/* Held by the thread that clones, on whose stack they are. */
static void test_mutexes_of_cloner(void)
{
	struct locks mine;
	struct clone_template *t;
	pid_t pid;

	locks_init(&mine);
	locks_take();
	t = template_park();
	pid = template_clone(t);
	if (pid == 0) {
		locks_let_go(&mine);
		clone_done();
	}
	clone_expect_done(pid);
	clone_release(t);
	locks_let_go(&mine);
}

/* A holder that ends without letting go: the next one is told, in a clone too. */
static void *dying_holder_run(void *data)
{
	CHECK(pthread_mutex_lock(&locks->robust) == 0);
	__atomic_store_n(&held, 1, __ATOMIC_RELEASE);
	counter_await(&let_go, 1);
	return data;
}

static void expect_owner_died(void)
{
	__atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
	expect_return(pthread_mutex_lock(&locks->robust), EOWNERDEAD, "lock of a dead owner's");
	thread_join_expect(holder, &holder);
	CHECK(pthread_mutex_consistent(&locks->robust) == 0);
	expect_return(pthread_mutex_unlock(&locks->robust), 0, "unlock of what was inherited");
}

static void test_robust_mutex_of_dead(void)
{
	locks_init(&static_locks);
	holder = thread_start(dying_holder_run, &holder);
	counter_await(&held, 1);
	check_in_clone_and_template(expect_owner_died);
}

/* The same when the holder is the one that made the clone. */
static void *heir_run(void *data)
{
	(void)data;
	counter_await(&let_go, 1);
	expect_return(pthread_mutex_lock(&locks->robust), EOWNERDEAD, "lock of the cloner's");
	clone_done();
}

static void test_robust_mutex_of_cloner(void)
{
	struct clone_template *t;
	pid_t pid;

	locks_init(&static_locks);
	thread_start(heir_run, NULL);
	CHECK(pthread_mutex_lock(&locks->robust) == 0);
	t = template_park();
	pid = template_clone(t);
	if (pid == 0) {
		__atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
		pthread_exit(NULL);
	}
	clone_expect_done(pid);
}

/* The same with the small TIDs of a new PID namespace, which occur again in its clones. */

static struct {
	uint32_t *numbers;
} * *decoy;

static void small_tids(void)
{
	struct clone_template *t;
	pid_t pid;

	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0);
	/* The sanitizer's malloc does not say where a block begins, so there is no telling. */
	locks_init(WITH_ADDRESS_SANITIZER ? &static_locks : malloc(sizeof(struct locks)));
	locks_start();
	CHECK(getpid() == 1 && count_entries("/proc/self/task") == 4);
	/* Numbers that happen to look like a mutex that the second thread holds. */
	decoy = malloc(sizeof(*decoy));
	*decoy = malloc(sizeof(**decoy));
	(*decoy)->numbers = calloc(2000, sizeof(uint32_t));
	memcpy((*decoy)->numbers, (uint32_t[]){ 1, 1, 2, 1, 1, 0, 0, 0, 0, 0 }, 40);
	t = template_park();
	for (int i = 0; i < 3; i++) {
		pid = template_clone(t);
		if (pid == 0) {
			CHECK((*decoy)->numbers[2] == 2, "%u", (*decoy)->numbers[2]);
			expect_locks();
			clone_done();
		}
		clone_expect_done(pid);
	}
	clone_release(t);
	expect_locks();
	clone_done();
}

static void test_mutexes_with_small_tids(void)
{
	pid_t pid;

	if (geteuid() != 0)
		return;
	CHECK(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0);
	pid = fork();
	if (pid == 0)
		small_tids();
	CHECK(pid > 0);
	clone_expect_done(pid);
}

/* Three generations that hold and take one and the same mutex in turn. */
static void test_mutex_over_generations(void)
{
	locks_init(malloc(sizeof(struct locks)));
	locks_start();
	for (int i = 0; i < 4; i++) {
		struct clone_template *t = template_park();
		pid_t pid = template_clone(t);

		if (pid > 0) {
			clone_expect_done(pid);
			clone_release(t);
			break;
		}
		expect_not_mine();
	}
	expect_locks();
	clone_done();
}

static void test_mutex_over_generations_apart(void)
{
	pid_t pid = fork();

	if (pid == 0)
		test_mutex_over_generations();
	clone_expect_done(pid);
}

int main(void)
{
	static const struct scenario scenarios[] = {
		{ "dontfork", test_dontfork },
		{ "untouched memory", test_untouched_memory },
		{ "shared file is refused", test_shared_file_is_refused },
		{ "shared memory with a descriptor is refused",
			test_shared_memory_with_descriptor_is_refused },
		{ "large shared memory is refused", test_large_shared_memory_is_refused },
		{ "gathered memory", test_gathered_memory },
		{ "mixed memory is not gathered", test_mixed_memory_is_not_gathered },
		{ "gathered file", test_gathered_file },
		{ "wiped memory is not gathered", test_wiped_memory_is_not_gathered },
		{ "anonymous semaphore", test_anonymous_semaphore },
		{ "unlinked semaphore", test_unlinked_semaphore },
		{ "mutexes in data", test_mutexes_in_data },
		{ "mutexes in the heap", test_mutexes_in_heap },
		{ "mutex across pages", test_mutex_across_pages },
		{ "mutexes of the cloner", test_mutexes_of_cloner },
		{ "robust mutex of the dead", test_robust_mutex_of_dead },
		{ "robust mutex of the cloner", test_robust_mutex_of_cloner },
		{ "mutexes with small tids", test_mutexes_with_small_tids },
		{ "mutex over generations", test_mutex_over_generations_apart },
	};

	return scenario_run_all(scenarios, array_size(scenarios));
}
