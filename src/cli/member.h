/*
 * member.h - members of answers, with a harmless value where one is absent or of another type.
 */
#pragma once

#include <jansson.h>

static inline const char *member_text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static inline long long member_number(const json_t *object, const char *name)
{
	return (long long)json_number_value(json_object_get(object, name));
}
