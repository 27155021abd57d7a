/*
 * arn.h - the forms in which clients name a function.
 *
 *     NAME  NAME:QUALIFIER  ACCOUNT:function:NAME  arn:aws:lambda:REGION:ACCOUNT:function:NAME
 *
 * each of the last two also with a qualifier. Region and account are accepted and ignored.
 */
#pragma once

#include "base/macros.h"
#include "supervisor/store/config.h"

#define ARN_QUALIFIER_MAX 128

struct function_reference {
	char name[CONFIG_NAME_MAX + 1];
	char qualifier[ARN_QUALIFIER_MAX + 1]; /* "" if there is none */
};

/* 0 or -EINVAL. */
int arn_parse(const char *text, struct function_reference *ret) MUST_CHECK;

/* Whether it names the one version that there is. */
bool arn_is_latest(const struct function_reference *reference);
