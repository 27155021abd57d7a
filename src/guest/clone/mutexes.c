/*
 * mutexes.c - mutexes that are held across a clone by a thread whose TID changes.
 *
 * glibc stores the owner's TID in recursive, error-checking, robust and priority-inheritance
 * mutexes and in write-locked rwlocks, and compares it when they are unlocked or locked again. The
 * new thread would not be recognised, and, worse, another one that happens to have the old TID
 * would. There is no list of mutexes, so memory is searched for what a held one looks like:
 *
 *      0        4        8        12       16       20       24        32
 *     | lock   | count  | owner  | nusers | kind   | spins  | list ... |         pthread_mutex_t
 *     | readers| writers| phase  | w futex| 0      | 0      | writer | shared | rwlock, ...
 *
 * In a clone each owner found is replaced twice: at once by a number that is no TID, so that nobody
 * is mistaken for it, and by the new TID when its thread is made.
 *
 * The search reads only pages that are there and have been written. In a clone it skips those that
 * are still shared with its template, where the template's own search has seen to all mutexes.
 *
 * How sure is it? Ten words must fit, one of them a TID of this process. TIDs from DISTINCT_TID up
 * do not occur by accident between such neighbours. The small ones of a new PID namespace may, as
 * any small numbers in an array; so, outside the data of programs and libraries, a mutex with such
 * an owner counts only if it is on the owner's stack, or if that data, the owner's stack or its
 * registers point at it or at the block of malloc that it is in. What is found by mistake has one
 * number changed; what is missed returns EPERM from its unlock. Neither happens in a PID namespace
 * whose last PID is set high before templates are made in it.
 *
 * Measured: 10 ms for a runtime template of 60 MB, about 1 ms for its function templates.
 */
#include "guest/clone/mappings.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <unistd.h>

#define DISTINCT_TID 1024
#define OBJECT_MAX ((size_t)64 << 10) /* of an object with a mutex in it */
#define STACK_SEARCHED ((size_t)64 << 10)
#define NOBODY 0x20000000 /* plus an index: larger than any TID, within FUTEX_TID_MASK */
#define MAPPING_MAX ((size_t)16 << 30) /* larger ones are sparse tables, not places for mutexes */
#define PAGE_ENTRIES 512
#define USERS_MAX 65536

#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)
#define PAGE_OF_FILE (1ULL << 61)
#define PAGE_EXCLUSIVE (1ULL << 56)

/* Bits of __kind, from glibc's nptl. */
#define KIND_TYPE 3
#define KIND_RECURSIVE 1
#define KIND_ERRORCHECK 2
#define KIND_ROBUST 0x10
#define KIND_INHERIT 0x20
#define KIND_SHARED 0x80
#define KIND_ELISION 0x300 /* two bits about lock elision */
#define KIND_KNOWN (KIND_TYPE | KIND_ROBUST | KIND_INHERIT | KIND_SHARED | KIND_ELISION)

_Static_assert(offsetof(pthread_mutex_t, __data.__owner) == 8, "searched for");
_Static_assert(offsetof(pthread_mutex_t, __data.__kind) == 16, "searched for");
_Static_assert(offsetof(pthread_mutex_t, __data.__list) == 24, "searched for");
_Static_assert(offsetof(pthread_rwlock_t, __data.__cur_writer) == 24, "searched for");
_Static_assert(offsetof(pthread_rwlock_t, __data.__flags) == 48, "searched for");

/* One word that names an owner. */
struct owner {
	struct owner *next; /* of the same thread */
	uint32_t *word;     /* the TID is in its FUTEX_TID_MASK */
};

/* Sanitizers mark memory between objects, and this looks at all of it. */
#define READS_EVERYTHING __attribute__((no_sanitize("address")))

struct search {
	struct clone_template *t;
	const struct mappings *m;
	uint32_t lowest, span; /* of TIDs */
	bool skip_shared;
	char *run, *run_end; /* neighbouring pages that are worth reading; NULL: none yet */
};

/* In a clone that has made none itself, what is shared is shared with its template. */
static bool is_last_clone;

void mutexes_mark_fork(bool is_child)
{
	is_last_clone = is_child;
}

static struct thread *owner_find(struct clone_template *t, uint32_t tid)
{
	struct thread *thread;

	if ((pid_t)tid == t->cloner.tid)
		return &t->cloner;
	thread = thread_find(t, (pid_t)tid);
	return thread && thread->state == THREAD_PARKED ? thread : NULL;
}

static const struct mapping *mapping_of(const struct mappings *m, const char *address)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct mapping *x = &m->all[middle];

		if (address >= x->start && address < x->start + x->size)
			return x;
		if (address < x->start)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Something that is looked for in stacks and data. */
struct target {
	uintptr_t mutex;
	uintptr_t lowest; /* start of the mapping that it is in */
};

/* malloc keeps the size of a block in front of it, with three flags in the lowest bits. */
READS_EVERYTHING static bool is_in_block(const struct target *t, uintptr_t block)
{
	size_t size;

	if (t->mutex - block > OBJECT_MAX || block % 16 || block < t->lowest + sizeof(size))
		return false; /* unsigned: what lies behind it is very far away */
	size = ((const size_t *)block)[-1] & ~(size_t)7;
	return size <= OBJECT_MAX && size >= t->mutex - block + sizeof(pthread_mutex_t) + 8;
}

READS_EVERYTHING static bool words_point_at(const void *start, size_t size, const struct target *t)
{
	const uintptr_t *word = start, *end = word + size / sizeof(*word);

	for (; word < end; word++)
		if (*word == t->mutex || is_in_block(t, *word))
			return true;
	return false;
}

/* What is on the owner's own stack needs no pointer. */
static bool stack_points_at(
	const struct mappings *m, const char *stack_pointer, const struct target *t)
{
	const char *top = (const char *)((uintptr_t)stack_pointer & ~(uintptr_t)7);
	const struct mapping *stack = mapping_of(m, top);
	size_t size;

	if (!stack)
		return false;
	size = (size_t)(stack->start + stack->size - top);
	return t->mutex - (uintptr_t)top < size ||
	       words_point_at(top, min_of(size, STACK_SEARCHED), t);
}

static bool image_points_at(const struct mappings *m, const struct target *t)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct mapping *x = &m->all[i];

		if (x->is_image && x->writable && x->readable &&
			words_point_at(x->start, x->size, t))
			return true;
	}
	return false;
}

/* The cloner's own frames begin here. */
static bool owner_points_at(
	const struct search *s, const struct thread *owner, const struct target *t)
{
	const uintptr_t *registers;
	size_t count;

	if (owner == &s->t->cloner)
		return stack_points_at(s->m, __builtin_frame_address(0), t);
	registers = arch_registers(owner->context, &count);
	return words_point_at(registers, count * sizeof(*registers), t) ||
	       stack_points_at(s->m, arch_stack_pointer(owner->context), t);
}

static bool is_credible(const struct search *s, const struct thread *owner, const void *mutex)
{
	const struct mapping *x = mapping_of(s->m, mutex);
	const struct target t = { (uintptr_t)mutex, (uintptr_t)x->start };

	return owner->tid >= DISTINCT_TID || x->is_image || owner_points_at(s, owner, &t) ||
	       image_points_at(s->m, &t);
}

static int owner_add(struct search *s, struct thread *thread, uint32_t *word)
{
	struct owner *owner = arena_alloc(&s->t->arena, sizeof(*owner));

	if (!owner)
		return -ENOMEM;
	owner->word = word;
	owner->next = thread->owners;
	thread->owners = owner;
	s->t->owner_count++;
	return 0;
}

READS_EVERYTHING static bool is_held_mutex(const uint32_t *w)
{
	uint32_t kind = w[4], type = kind & KIND_TYPE, owner = w[2];
	bool names_owner_in_lock = kind & (KIND_ROBUST | KIND_INHERIT);

	if (kind & ~KIND_KNOWN || w[3] < 1 || w[3] > USERS_MAX)
		return false;
	if (names_owner_in_lock ? (w[0] & FUTEX_TID_MASK) != owner : w[0] != 1 && w[0] != 2)
		return false;
	if (!names_owner_in_lock && type != KIND_RECURSIVE && type != KIND_ERRORCHECK)
		return false; /* the others do not look at their owner */
	if (type == KIND_RECURSIVE ? w[1] < 1 || w[1] > USERS_MAX : w[1] > names_owner_in_lock)
		return false;
	if (!(kind & KIND_ROBUST) && (w[6] || w[7] || w[8] || w[9]))
		return false; /* in no list */
	return w[5] == 0;
}

READS_EVERYTHING static bool is_write_locked(const uint32_t *w)
{
	return (w[0] & 3) == 3 && w[1] < USERS_MAX && (w[2] & ~2U) == 1 && (w[3] & ~2U) == 1 &&
	       !w[4] && !w[5] && w[7] <= 1 && !w[8] && !w[9] && !w[10] && !w[11] && w[12] <= 2;
}

READS_EVERYTHING static int mutex_record(struct search *s, uint32_t *w)
{
	struct thread *owner = owner_find(s->t, w[2]);
	int r;

	if (!owner || !is_credible(s, owner, w))
		return 0;
	r = owner_add(s, owner, &w[2]);
	if (r == 0 && w[4] & (KIND_ROBUST | KIND_INHERIT))
		r = owner_add(s, owner, &w[0]);
	if (w[4] & KIND_INHERIT && owner != &s->t->cloner)
		s->t->must_meet = true;
	return r;
}

READS_EVERYTHING static int lock_record(struct search *s, uint32_t *w)
{
	struct thread *owner = owner_find(s->t, w[6]);

	return owner && is_credible(s, owner, w) ? owner_add(s, owner, &w[6]) : 0;
}

/*
 * Searches [start, end). The owner is at an offset of 8 in a mutex and 24 in a lock, both aligned
 * to 8, and one comparison per 8 bytes dismisses nearly everything.
 */
READS_EVERYTHING static int pages_search(struct search *s, char *start, char *end)
{
	for (char *at = start + 8; at < end; at += 8) {
		uint32_t *word = (uint32_t *)at;
		int r = 0;

		if (word[0] - s->lowest > s->span)
			continue;
		if (at + 32 <= end && is_held_mutex(word - 2))
			r = mutex_record(s, word - 2);
		else if (at - start >= 24 && at + 32 <= end && is_write_locked(word - 6))
			r = lock_record(s, word - 6);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_worth_reading(const struct search *s, uint64_t page)
{
	if (!(page & (PAGE_PRESENT | PAGE_SWAPPED)) || page & PAGE_OF_FILE)
		return false;
	return !s->skip_shared || page & PAGE_EXCLUSIVE;
}

/* A mutex may lie across two pages, and even across a library's data and its zeroed data. */
static int run_end(struct search *s)
{
	char *start = s->run;

	s->run = NULL;
	return start ? pages_search(s, start, s->run_end) : 0;
}

static int run_add(struct search *s, char *page, size_t size)
{
	int r = s->run && s->run_end != page ? run_end(s) : 0;

	if (!s->run)
		s->run = page;
	s->run_end = page + size;
	return r;
}

static int mapping_search(struct search *s, const struct mapping *x, int pagemap)
{
	uint64_t entries[PAGE_ENTRIES];
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE), pages = x->size / page_size;
	off_t base = (off_t)((uintptr_t)x->start / page_size * sizeof(*entries));
	int r = 0;

	for (size_t i = 0; i < pages && r == 0; i++) {
		size_t slot = i % PAGE_ENTRIES;
		size_t size = min_of(PAGE_ENTRIES, pages - i) * sizeof(*entries);
		off_t at = base + (off_t)(i * sizeof(*entries));

		if (slot == 0 && pread(pagemap, entries, size, at) != (ssize_t)size)
			return -EIO;
		if (is_worth_reading(s, entries[slot]))
			r = run_add(s, x->start + i * page_size, page_size);
	}
	return r;
}

static void tids_bound(struct search *s)
{
	uint32_t lowest = (uint32_t)s->t->cloner.tid, highest = lowest;

	for (const struct thread *thread = s->t->threads; thread; thread = thread->next) {
		lowest = min_of(lowest, (uint32_t)thread->tid);
		highest = max_of(highest, (uint32_t)thread->tid);
	}
	s->lowest = lowest;
	s->span = highest - lowest;
}

static bool may_hold_mutexes(const struct mapping *x)
{
	return x->readable && x->writable && !x->shared && !x->is_kernels && x->size <= MAPPING_MAX;
}

int mutexes_survey(struct clone_template *t, const struct mappings *m, struct err *e)
{
	_cleanup_close_ int pagemap = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
	struct search s = { .t = t, .m = m, .skip_shared = is_last_clone };
	int r = 0;

	if (pagemap < 0) {
		template_note(t,
			"Mutexes that a thread holds now cannot be found (no /proc/self/pagemap: "
			"%s); in "
			"clones, recursive and error-checking ones among them have a wrong owner",
			strerrordesc_np(errno));
		return 0;
	}
	tids_bound(&s);
	for (size_t i = 0; i < m->count && r == 0; i++)
		if (may_hold_mutexes(&m->all[i]))
			r = mapping_search(&s, &m->all[i], pagemap);
	if (r == 0)
		r = run_end(&s);
	return r < 0 ? err_described(e, r, "Cannot search memory for mutexes") : 0;
}

/* Others may set a bit for waiters in the same word at any time. */
static void owner_set(const struct owner *owner, uint32_t tid)
{
	uint32_t before = __atomic_load_n(owner->word, __ATOMIC_RELAXED), after;

	do {
		after = (before & ~(uint32_t)FUTEX_TID_MASK) | tid;
	} while (!__atomic_compare_exchange_n(
		owner->word, &before, after, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

void mutexes_own(const struct thread *thread, pid_t tid)
{
	for (const struct owner *owner = thread->owners; owner; owner = owner->next)
		owner_set(owner, (uint32_t)tid);
}

void mutexes_disown(const struct clone_template *t)
{
	pid_t nobody = NOBODY;

	if (t->owner_count == 0)
		return;
	for (const struct thread *thread = t->threads; thread; thread = thread->next)
		mutexes_own(thread, nobody++);
	mutexes_own(&t->cloner, (pid_t)raw_syscall(SYS_gettid));
}
