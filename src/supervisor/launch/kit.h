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
	bool has_tmp;
	int tmp;
	int cgroup; /* v2: the directory of a group to be made in; borrowed; -1 if there is none */
};

/* Makes what is missing. uid: who owns the root of /tmp. 0 or -errno. */
int kit_make(struct kit *kit, uint32_t tmp_mb, uid_t uid) MUST_CHECK;

/* The tmpfs alone: a descriptor of the caller's, or -errno. */
int kit_mount_tmp(uint32_t tmp_mb, uid_t uid) MUST_CHECK;

/* After a launch that had another /tmp: this one is left for the next. */
void kit_done_but_tmp(struct kit *kit);

/* Closes what was not taken. Harmless on a kit that is zeroed. */
void kit_done(struct kit *kit);
