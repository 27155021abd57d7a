/*
 * scenario.h - tests of the clone library: each scenario is a small program of its own.
 *
 * A scenario runs in a process made for it, in a process group made for it, under a time limit, so
 * that a hang or a crash is the failure of one test with a name. It ends by returning; the checks
 * end the process with a sentence on standard error. Clones end by clone_done().
 */
#pragma once

#include "guest/clone/clone.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* AddressSanitizer makes code slower, stacks larger, and mappings of its own. */
#ifdef __SANITIZE_ADDRESS__
#define WITH_ADDRESS_SANITIZER 1
#else
#define WITH_ADDRESS_SANITIZER 0
#endif

struct scenario {
	const char *name;
	void (*run)(void);
};

/* Runs all scenarios as tests of cmocka; returns how many failed. */
int scenario_run_all(const struct scenario *scenarios, size_t count);

#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			scenario_fail(__FILE__, __LINE__, #condition, " " __VA_ARGS__);            \
	} while (0)

_Noreturn void scenario_fail(const char *file, int line, const char *condition, const char *format,
	...) PRINTF_LIKE(4, 5);

/* Parks or fails the scenario; notes are kept for scenario_noted(). */
struct clone_template *template_park(void);
struct clone_template *template_park_ignoring(const int *fds, size_t count);
bool scenario_noted(const char *part_of_sentence);
void scenario_forget_notes(void);

/* Forks, remakes descriptors and resumes. 0 in the clone, its PID in the template. */
pid_t template_clone(struct clone_template *t);
_Noreturn void clone_done(void);

/* Waits for a clone and fails the scenario unless it ended by clone_done(). */
void clone_expect_done(pid_t pid);

/* Parks, makes one clone that runs `check`, waits for it, releases and runs `check` here too. */
void check_in_clone_and_template(void (*check)(void));

pthread_t thread_start(void *(*run)(void *), void *data);
void thread_join_expect(pthread_t thread, void *value);

/* Waits until the thread with this TID sleeps in the kernel. */
void thread_await_blocked(pid_t tid);

/* Waits until *counter has reached value. */
void counter_await(const int *counter, int value);

int count_entries(const char *directory);
size_t count_mappings(void);
size_t memory_kb(const char *key); /* a field of /proc/self/smaps_rollup */
