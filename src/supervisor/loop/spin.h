/*
 * spin.h - whether the loop looks a little longer for something to do before it sleeps.
 *
 * To sleep and be woken costs 25 microseconds on a virtual machine whose idle processors are halted:
 * as much as a short handler takes. Where events came at once lately, the next is likely to, and is
 * worth a moment of a processor that nobody else can use. Whether somebody else could is not to be
 * seen from here, but what is waited for does not come then: spins in vain make the next ones rare.
 * It is learnt apart for each outlook, and where processors are known to be short nothing is tried.
 */
#pragma once

#include "base/usec.h"

#include <stdbool.h>

#define SPIN_LONGEST 50 /* microseconds */

enum spin_outlook {
	SPIN_QUIET,     /* nothing is under way here: a client may ask for something */
	SPIN_EXPECTING, /* functions run, on fewer processors than there are */
	SPIN_CROWDED,   /* functions need all processors */
};

/* Waits that are not spun through: what is left of them, and how many follow a spin in vain. */
struct spin_caution {
	unsigned left, next;
};

struct spin {
	enum spin_outlook outlook;
	struct spin_caution cautions[SPIN_CROWDED];
};

void spin_init(struct spin *spin);

bool spin_pays(const struct spin *spin);

/* After a spin, found: there was an event before its end. */
void spin_tried(struct spin *spin, bool found);

/* After a sleep without a spin. */
void spin_slept(struct spin *spin, usec_t took);
