/*
 * watch.h - keeps isolates within their MemorySize, where the kernel's limits are the function's.
 *
 * What counts is what an isolate holds itself: resident anonymous memory of all its processes beyond
 * what its function template had, and shared memory and memory files; not files in /tmp, which have a
 * limit of their own, and not pages of program files. So the memory of a warm runtime, which isolates
 * share with their template, is nobody's. With launch = exec nothing is shared and everything counts,
 * and so it does for a template while it loads the function's code.
 *
 * Ten times a second those that serve are looked at, and once a second the idle ones too, by the
 * keeper. A function whose control group is charged with less than one isolate may hold needs one small
 * read for all of it. One round looks at WATCH_ROUND isolates at most, and goes on where it stopped.
 */
#pragma once

#include "base/macros.h"

struct deployment;
struct isolate;
struct registry;
struct watch;

#define WATCH_ROUND 64

int watch_new(struct registry *registry, struct watch **ret) MUST_CHECK;
struct watch *watch_free(struct watch *watch);

/* From the deployment: it has, or has no more, processes; an isolate is about to be freed. */
void watch_add(struct watch *watch, struct deployment *d);
void watch_remove(struct deployment *d);
void watch_forget(struct isolate *isolate);
