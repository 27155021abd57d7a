/*
 * bench_samples.c - samples and what is read from the machine, see bench.h.
 */
#include "base/fd.h"
#include "cli/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_READINGS 10
#define MEMORY_INTERVAL_US 20000
#define MEMORY_SETTLED_KB 300 /* between two means */
/* The free lists that the kernel keeps by processor are emptied every second. */
#define MEMORY_SETTLED_MEANS 6
#define MEMORY_MEANS_MAX 20 /* where the machine does other work it never settles */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

bool bench_interrupted(void)
{
	return interrupted;
}

void bench_catch_signals(void)
{
	const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < array_size(numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

void bench_samples_done(struct bench_samples *samples)
{
	free(samples->values);
	*samples = (struct bench_samples){ 0 };
}

int bench_samples_add(struct bench_samples *samples, double value)
{
	if (samples->count == samples->capacity) {
		size_t capacity = max_of(samples->capacity * 2, (size_t)1024);
		double *values = reallocarray(samples->values, capacity, sizeof(*values));

		if (!values)
			return -ENOMEM;
		samples->values = values;
		samples->capacity = capacity;
	}
	samples->values[samples->count++] = value;
	return 0;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_samples_percentile(struct bench_samples *samples, unsigned percent)
{
	size_t rank;

	if (samples->count == 0)
		return 0;
	qsort(samples->values, samples->count, sizeof(*samples->values), compare_doubles);
	rank = (samples->count * percent + 99) / 100;
	return samples->values[max_of(rank, (size_t)1) - 1];
}

static int read_available(double *ret_kb, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long kb;
	const char *line;
	int r = fd_read_file("/proc/meminfo", 64 * 1024, &text, NULL);

	if (r < 0)
		return err_errno(e, r, "/proc/meminfo cannot be read");
	line = strstr(text, "MemAvailable:");
	if (!line || sscanf(line, "MemAvailable: %llu", &kb) != 1)
		return err_set(e, -EINVAL, "/proc/meminfo does not tell the available memory");
	*ret_kb = (double)kb;
	return 0;
}

static int read_mean(double *ret_kb, struct err *e)
{
	double sum = 0, kb = 0;

	for (int i = 0; i < MEMORY_READINGS; i++) {
		int r = read_available(&kb, e);

		if (r != 0)
			return r;
		sum += kb;
		usleep(MEMORY_INTERVAL_US);
	}
	*ret_kb = sum / MEMORY_READINGS;
	return 0;
}

int bench_memory_available(double *ret_kb, struct err *e)
{
	double before = 0, after = 0;
	int settled = 0, r = read_mean(&after, e);

	for (int i = 0; i < MEMORY_MEANS_MAX && settled < MEMORY_SETTLED_MEANS; i++) {
		before = after;
		if (r == 0)
			r = read_mean(&after, e);
		if (r != 0 || bench_interrupted())
			return r;
		settled = after - before < MEMORY_SETTLED_KB && before - after < MEMORY_SETTLED_KB
				  ? settled + 1
				  : 0;
	}
	*ret_kb = after;
	return 0;
}
