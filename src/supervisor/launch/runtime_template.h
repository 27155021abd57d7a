/*
 * runtime_template.h - one process that booted a language and parked.
 *
 * Made by exec, by the spawner; ends when it is freed or by itself. Trusted until a tenant's code
 * is loaded, which happens in its clones only.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/macros.h"
#include "base/usec.h"
#include "supervisor/launch/channel.h"
#include "supervisor/launch/console.h"
#include "supervisor/launch/processes.h"

#include <stdbool.h>

struct manifest;
struct runtime_template;

struct runtime_template_events {
	void (*ready)(struct runtime_template *t);
	/* It ended, or never became ready. To be freed in it. */
	void (*lost)(struct runtime_template *t, const struct err *e);
	/* A clone request was refused. */
	void (*refused)(struct runtime_template *t, uint32_t sequence, const struct err *e);
};

struct runtime_template {
	const struct manifest *manifest;
	const struct runtime_template_events *events;
	void *owner;
	struct loop *loop;
	struct processes *processes;
	struct spawn spawn;
	struct process process;
	struct channel control;
	struct console console;
	struct loop_timer limit;
	struct loop_deferred ending;
	bool ready, ended;
	usec_t started_at, ready_at; /* monotonic */
	uint64_t thread_count;
	unsigned clones;     /* function templates made of it */
	char version[64];    /* as the adapter says it */
	char last_line[256]; /* of its console: the best hint when it does not come up */
	struct err failure;
};

int runtime_template_new(const struct manifest *manifest, struct loop *loop,
	struct processes *processes, const struct runtime_template_events *events, void *owner,
	struct runtime_template **ret) MUST_CHECK;
struct runtime_template *runtime_template_free(struct runtime_template *t);
