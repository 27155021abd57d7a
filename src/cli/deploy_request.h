/*
 * deploy_request.h - the requests that carry a deployment out.
 */
#pragma once

#include "cli/deploy.h"

/* Creates the function, or updates what differs; gives the new FunctionConfiguration. */
int deploy_create(struct deploy *deploy, json_t **ret, struct err *e) MUST_CHECK;
int deploy_update(struct deploy *deploy, json_t **ret, struct err *e) MUST_CHECK;
