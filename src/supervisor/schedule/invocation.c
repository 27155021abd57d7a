/*
 * invocation.c - see invocation.h.
 */
#include "supervisor/schedule/invocation.h"

#include "base/uuid.h"

struct invocation *invocation_new(void)
{
	struct invocation *invocation = calloc(1, sizeof(*invocation));

	if (!invocation)
		return NULL;
	list_init(&invocation->link);
	uuid_make(invocation->request_id);
	return invocation;
}

struct invocation *invocation_free(struct invocation *invocation)
{
	if (!invocation)
		return NULL;
	free(invocation->event);
	free(invocation->client_context);
	free(invocation->trace_id);
	free(invocation->content_type);
	buffer_done(&invocation->reply);
	buffer_done(&invocation->tail);
	free(invocation);
	return NULL;
}

const char *invocation_start_name(enum invocation_start start)
{
	static const char *const names[] = {
		[START_NONE] = "none",
		[START_WARM] = "warm",
		[START_SPARE] = "spare",
		[START_CLONE] = "clone",
		[START_FIRST] = "first",
		[START_EXEC] = "exec",
	};

	return names[start];
}
