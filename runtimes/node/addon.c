/*
 * addon.c - polyvisor.h for JavaScript, as the N-API addon polyvisor.node.
 *
 * One handle for the process, made by open() and never closed. A string or a Buffer can be sent; a
 * string is received, or undefined. A fault is thrown, other outcomes are returned as numbers.
 */
#define NAPI_VERSION 8
#include "polyvisor.h"

#include <errno.h>
#include <node_api.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_RANDOM "The kernel gave no random numbers."

static pv_handle *handle;

struct call {
	napi_env env;
	uint32_t number; /* the argument that is one */
	struct {
		char *data; /* NULL where it is neither a string nor a Buffer */
		size_t size;
		void *owned;
	} argument[2];
};

static napi_value text(struct call *c, const char *data, size_t size)
{
	napi_value value = NULL; /* and stays so without data */

	napi_create_string_utf8(c->env, data, size, &value);
	return value;
}

static napi_value outcome_or(struct call *c, int r, const char *error)
{
	napi_value value = NULL;

	napi_create_int32(c->env, r, &value);
	if (r < 0)
		napi_throw_error(c->env, NULL, error);
	return value;
}

static napi_value outcome(struct call *c, int r)
{
	return outcome_or(c, r, handle ? pv_last_error(handle) : "No supervisor.");
}

/* What a clone could not say of itself is said here, since it ends without a word. */
static int template_with_seed(void *seed, size_t size)
{
	int r = pv_template(handle);

	if (r < 0)
		return r;
	r = pv_random(seed, size);
	if (r < 0)
		(void)pv_note(handle, NO_RANDOM);
	return r;
}

static napi_value event(struct call *c, bool warmup)
{
	const void *data;
	size_t size;
	int r = warmup ? pv_warmup(handle, c->number, &data, &size) : pv_next(handle, &data, &size);

	if (r == PV_CLOSED || r == -ENOENT)
		return NULL;
	return r == 0 ? text(c, data, size) : outcome(c, r);
}

#define DATA(i) c->argument[i].data
#define SIZE(i) c->argument[i].size
#define CALLS(X)                                                                                   \
	X(open, outcome(c, pv_open(&handle) ?: pv_set_runtime_version(handle, DATA(0))))           \
	X(rehearse, outcome(c, pv_rehearse(handle, (int)c->number)))                               \
	X(template, outcome(c, template_with_seed(DATA(0), SIZE(0))))                              \
	X(attribute, text(c, pv_function(handle, DATA(0)), NAPI_AUTO_LENGTH))                      \
	X(initFailed, outcome(c, pv_init_failed(handle, DATA(0), DATA(1), SIZE(1))))               \
	X(note, outcome(c, pv_note(handle, DATA(0))))                                              \
	X(warmup, event(c, true))                                                                  \
	X(next, event(c, false))                                                                   \
	X(invocation, text(c, pv_invocation(handle, DATA(0)), NAPI_AUTO_LENGTH))                   \
	X(reply, outcome(c, pv_reply(handle, DATA(0), SIZE(0), DATA(1))))                          \
	X(part, outcome(c, pv_reply_part(handle, DATA(0), SIZE(0), DATA(1))))                      \
	X(fail, outcome(c, pv_fail(handle, DATA(0), DATA(1), SIZE(1))))                            \
	X(random, outcome_or(c, pv_random(DATA(0), SIZE(0)), NO_RANDOM))                           \
	X(reap, outcome(c, pv_reap(handle, (const int *)DATA(0), SIZE(0) / sizeof(int))))          \
	X(pid, outcome(c, getpid()))

#define DEFINE(name, result)                                                                       \
	static napi_value call_##name(struct call *c)                                              \
	{                                                                                          \
		return result;                                                                     \
	}
#define DESCRIBE(name, result) { .utf8name = #name, .method = enter, .data = (void *)call_##name },
CALLS(DEFINE)

static void argument_read(struct call *c, size_t i, napi_value value)
{
	bool is_buffer = false;

	napi_get_value_uint32(c->env, value, &c->number);
	if (napi_is_buffer(c->env, value, &is_buffer) == napi_ok && is_buffer)
		napi_get_buffer_info(c->env, value, (void **)&DATA(i), &SIZE(i));
	else if (napi_get_value_string_utf8(c->env, value, NULL, 0, &SIZE(i)) == napi_ok &&
		 (DATA(i) = c->argument[i].owned = malloc(SIZE(i) + 1)))
		napi_get_value_string_utf8(c->env, value, DATA(i), SIZE(i) + 1, &SIZE(i));
}

/* Every call comes through here; what is bound to the JavaScript function says which it is. */
static napi_value enter(napi_env env, napi_callback_info info)
{
	struct call c = { .env = env };
	napi_value values[2], result;
	size_t count = 2;
	void *call = NULL;

	napi_get_cb_info(env, info, &count, values, NULL, &call);
	for (size_t i = 0; i < count && i < 2; i++)
		argument_read(&c, i, values[i]);
	result = ((napi_value(*)(struct call *))call)(&c);
	for (int i = 0; i < 2; i++)
		free(c.argument[i].owned);
	return result;
}

NAPI_MODULE_INIT()
{
	const napi_property_descriptor calls[] = { CALLS(DESCRIBE) };

	napi_define_properties(env, exports, sizeof(calls) / sizeof(calls[0]), calls);
	return exports;
}
