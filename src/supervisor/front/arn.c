/*
 * arn.c - see arn.h.
 */
#include "supervisor/front/arn.h"

#include <errno.h>
#include <string.h>

#define ACCOUNT_DIGITS 12

static bool is_account(const char *text, size_t size)
{
	return size == ACCOUNT_DIGITS && strspn(text, "0123456789") == size;
}

/* Skips "arn:PARTITION:lambda:REGION:" if it is there: the rest, or NULL when it is malformed. */
static const char *skip_service(const char *text)
{
	if (strncmp(text, "arn:", 4) != 0)
		return text;
	text = strchr(text + 4, ':');
	if (!text || strncmp(text, ":lambda:", 8) != 0)
		return NULL;
	text = strchr(text + 8, ':');
	return text ? text + 1 : NULL;
}

static const char *skip_account(const char *text)
{
	size_t size = strcspn(text, ":");

	return is_account(text, size) && text[size] == ':' ? text + size + 1 : text;
}

static const char *skip_kind(const char *text)
{
	return strncmp(text, "function:", 9) == 0 ? text + 9 : text;
}

int arn_parse(const char *text, struct function_reference *ret)
{
	struct function_reference reference = { 0 };
	size_t size;

	text = skip_service(text);
	if (!text)
		return -EINVAL;
	text = skip_kind(skip_account(text));
	size = strcspn(text, ":");
	if (size > CONFIG_NAME_MAX)
		return -EINVAL;
	memcpy(reference.name, text, size);
	if (!config_name_is_valid(reference.name))
		return -EINVAL;
	if (text[size] == ':') {
		text += size + 1;
		size = strlen(text);
		if (size == 0 || size > ARN_QUALIFIER_MAX || strchr(text, ':'))
			return -EINVAL;
		memcpy(reference.qualifier, text, size);
	}
	*ret = reference;
	return 0;
}

bool arn_is_latest(const struct function_reference *reference)
{
	return !*reference->qualifier || strcmp(reference->qualifier, "$LATEST") == 0;
}
