/*
 * kit.h - the descriptors that a launch needs, made ahead so that they are off its path.
 *
 * A channel, a console pipe and a size-limited tmpfs that is mounted nowhere yet. One kit serves
 * one launch: the supervisor's ends are taken by the isolate, the guest's ends are closed once they
 * were sent.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <sys/types.h>

struct kit {
	bool ready;
	int channel, guest_channel;
	int console, guest_console;
	int tmp;
	int cgroup; /* v2: the directory of a group to be made in; borrowed; -1 if there is none */
};

/* uid: who owns the root of /tmp. 0 or -errno. */
int kit_make(struct kit *kit, uint32_t tmp_mb, uid_t uid) MUST_CHECK;

/* Closes what was not taken. Harmless on a kit that is zeroed. */
void kit_done(struct kit *kit);
