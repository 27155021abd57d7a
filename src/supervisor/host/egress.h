/*
 * egress.h - whether this machine has what a way out for functions is made of (launch/network_hub.h).
 */
#pragma once

#include "base/err.h"
#include "base/macros.h"

#include <limits.h>
#include <stdbool.h>

struct egress_tools {
	char pasta[PATH_MAX], nft[PATH_MAX]; /* the programs */
	bool tun_is_closed; /* /dev/net/tun is root's only: another node of it is needed */
};

/* 0, or -errno with what is missing as the sentence. Changes nothing. */
int egress_find(struct egress_tools *ret, struct err *e) MUST_CHECK;
