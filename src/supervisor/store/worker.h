/*
 * worker.h - a thread that may wait for a disk.
 *
 * A job is embedded in its owner's object. work() runs on the worker thread, jobs strictly in the
 * order they were submitted; done() runs on the loop thread afterwards and may free the job.
 * Between the two the job belongs to the worker.
 */
#pragma once

#include "base/list.h"
#include "base/macros.h"
#include "supervisor/loop/loop.h"

struct worker;

struct job {
	void (*work)(struct job *job); /* worker thread */
	void (*done)(struct job *job); /* loop thread */
	struct list link;
};

int worker_new(struct loop *loop, struct worker **ret) MUST_CHECK;
void worker_submit(struct worker *worker, struct job *job);

/* Waits on the loop thread until every job that was submitted so far, and every one that a done()
 * submits meanwhile, is finished, done() included: for the orderly end of a job's owner. */
void worker_flush(struct worker *worker);

/* Finishes every job that was submitted, done() included, then ends the thread. NULL is accepted.
 */
struct worker *worker_free(struct worker *worker);
DEFINE_CLEANUP(struct worker *, worker_free)
