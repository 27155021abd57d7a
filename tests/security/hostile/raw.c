/*
 * raw.c - system calls for hostile functions in JavaScript and Java: one library that is an addon of Node.js and
 * the native half of a Java class. What it needs of both interfaces is declared here, so that no header is needed.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static int64_t raw(const int64_t *words)
{
	int64_t result =
		syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);

	return result < 0 ? -errno : result;
}

/* Java: static native long call(long number, long a, ... long f) of a class without a package. */
int64_t Java_Hostile_call(void *env, void *class, int64_t number, int64_t a, int64_t b, int64_t c,
	int64_t d, int64_t e, int64_t f)
{
	const int64_t words[] = { number, a, b, c, d, e, f };

	(void)env;
	(void)class;
	return raw(words);
}

/* Node.js: call(number, ...), where an argument is a number or a text. */
typedef void *napi_value;
enum {
	NAPI_STRING = 4
};

extern int napi_get_cb_info(
	void *env, void *info, size_t *count, napi_value *values, napi_value *this, void **data);
extern int napi_typeof(void *env, napi_value value, int *ret);
extern int napi_get_value_int64(void *env, napi_value value, int64_t *ret);
extern int napi_get_value_string_utf8(
	void *env, napi_value value, char *text, size_t size, size_t *ret_size);
extern int napi_create_int64(void *env, int64_t value, napi_value *ret);
extern int napi_create_function(void *env, const char *name, size_t size,
	napi_value (*call)(void *env, void *info), void *data, napi_value *ret);

static napi_value node_call(void *env, void *info)
{
	napi_value values[7], result = NULL;
	char texts[7][256];
	int64_t words[7] = { 0 };
	size_t count = 7;
	int type;

	napi_get_cb_info(env, info, &count, values, NULL, NULL);
	for (size_t i = 0; i < count && i < 7; i++) {
		napi_typeof(env, values[i], &type);
		words[i] = (int64_t)(intptr_t)texts[i];
		if (type == NAPI_STRING)
			napi_get_value_string_utf8(
				env, values[i], texts[i], sizeof(texts[i]), NULL);
		else
			napi_get_value_int64(env, values[i], &words[i]);
	}
	napi_create_int64(env, raw(words), &result);
	return result;
}

napi_value napi_register_module_v1(void *env, napi_value exports)
{
	napi_value function = exports;

	napi_create_function(env, "call", 4, node_call, NULL, &function);
	return function;
}
