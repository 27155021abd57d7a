/*
 * deploy.h - a deployment: from a path and options to a function that is there.
 */
#pragma once

#include "cli/cli.h"
#include "cli/infer.h"
#include "cli/package.h"

struct deploy_options {
	const char *name, *runtime, *handler, *description, *isolation, *launch;
	uint64_t timeout, memory, tmp;
	struct option_words environment, settings;
	bool warm;
};

/* Everything known about it; all but client and options is owned. */
struct deploy {
	struct client *client;
	const struct deploy_options *options;
	char *name;                    /* of the function */
	char *object;                  /* "function NAME", for sentences */
	const char *runtime, *handler; /* given or inferred; NULL: as an existing function has it */
	struct inference inference;
	struct package package;
	json_t *existing; /* GetFunction's answer, or NULL when the function is new */
	json_t *result;   /* the new FunctionConfiguration */
};

void deploy_done(struct deploy *deploy);
#define _cleanup_deploy_ _cleanup_(deploy_done)

/* Deploys what is at path. `deploy` is zeroed but for the options. */
int deploy_path(struct cli *cli, struct deploy *deploy, const char *path, struct err *e) MUST_CHECK;
