/*
 * jni_glue.c - libpolyvisor for the Java adapter: one function for each native method of
 * polyvisor.Guest, called by the thread that runs its main; random() by any.
 *
 * Text comes out as bytes, since JNI's own strings are not UTF-8. The handle is the process's only
 * one and lives as long as it does.
 */
#include <jni.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "polyvisor.h"

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))
#define UNUSED __attribute__((unused))

enum {
	SEND_REPLY,
	SEND_FAIL,
	SEND_INIT_FAILED,
	SEND_NOTE
}; /* as Guest.java counts them */

static pv_handle *guest;

/* A template rehearses what its clones will do, before there is anybody to do it for. */
static bool rehearsing;

static void throw_fault(JNIEnv *env, const char *text)
{
	(*env)->ThrowNew(env, (*env)->FindClass(env, "java/lang/IllegalStateException"), text);
}

/* Turns a fault into an exception; the outcomes of a call pass through. */
static int check(JNIEnv *env, int r)
{
	if (r < 0)
		throw_fault(env, guest ? pv_last_error(guest) : strerror(-r));
	return r;
}

static jbyteArray to_java(JNIEnv *env, const void *data, size_t size)
{
	jbyteArray array = (*env)->NewByteArray(env, (jsize)size);

	if (array)
		(*env)->SetByteArrayRegion(env, array, 0, (jsize)size, data);
	return array;
}

/* Whether the process is to be a template. */
static jboolean open_guest(JNIEnv *env, UNUSED jclass class, jstring version)
{
	const char *text = (*env)->GetStringUTFChars(env, version, NULL);
	const char *role = getenv("POLYVISOR_ROLE");
	bool is_template = role && strcmp(role, "template") == 0;

	if (check(env, pv_open(&guest)) == 0)
		check(env, pv_set_runtime_version(guest, text));
	(*env)->ReleaseStringUTFChars(env, version, text);
	return is_template;
}

static void rehearse(UNUSED JNIEnv *env, UNUSED jclass class, jboolean begin)
{
	rehearsing = begin;
}

/* The last rounds of the rehearsal, when everything is compiled; without a guest it is the build's. */
static void watch(JNIEnv *env, UNUSED jclass class, jboolean begin)
{
	if (guest)
		check(env, pv_rehearse(guest, begin));
}

/* Whether this process is a clone now, and not one that was started by exec. */
static jboolean template(JNIEnv *env, UNUSED jclass class)
{
	return rehearsing || (check(env, pv_template(guest)) == 0 && pv_is_clone(guest) == 1);
}

/* What an attribute of the function or of the invocation says; the names are our own, and short. */
static jbyteArray attribute(JNIEnv *env, UNUSED jclass class, jboolean of_invocation, jstring name)
{
	jsize length = (*env)->GetStringLength(env, name);
	char key[32] = "";
	const char *value;

	if (length >= (jsize)sizeof(key))
		return NULL;
	(*env)->GetStringUTFRegion(env, name, 0, length, key);
	value = of_invocation ? pv_invocation(guest, key) : pv_function(guest, key);
	return value ? to_java(env, value, strlen(value)) : NULL;
}

static jbyteArray warmup(JNIEnv *env, UNUSED jclass class, jint index)
{
	const void *event;
	size_t size;
	int r = pv_warmup(guest, (size_t)index, &event, &size);

	return r == 0 ? to_java(env, event, size) : NULL;
}

/* The next event, or null when there will be none. */
static jbyteArray next(JNIEnv *env, UNUSED jclass class)
{
	const void *event;
	size_t size;

	if (rehearsing || check(env, pv_next(guest, &event, &size)) != 0)
		return NULL;
	return to_java(env, event, size);
}

static int send_bytes(jint what, const char *type, const char *data, size_t size)
{
	switch (what) {
	case SEND_REPLY:
		return pv_reply(guest, data, size, NULL);
	case SEND_FAIL:
		return pv_fail(guest, type, data, size);
	case SEND_INIT_FAILED:
		return pv_init_failed(guest, type, data, size);
	default:
		return pv_note(guest, type);
	}
}

/* Whether it was small enough. A note is all in the type. */
static jboolean send(JNIEnv *env, UNUSED jclass class, jint what, jstring type, jbyteArray array)
{
	const char *text;
	jbyte *data;
	int r = -ENOMEM;

	if (rehearsing)
		return JNI_TRUE;
	text = (*env)->GetStringUTFChars(env, type, NULL);
	data = (*env)->GetByteArrayElements(env, array, NULL);
	if (text && data)
		r = send_bytes(
			what, text, (char *)data, (size_t)(*env)->GetArrayLength(env, array));
	if (data)
		(*env)->ReleaseByteArrayElements(env, array, data, JNI_ABORT);
	if (text)
		(*env)->ReleaseStringUTFChars(env, type, text);
	return check(env, r) == 0;
}

static void fill_random(JNIEnv *env, UNUSED jclass class, jbyteArray array)
{
	jsize size = (*env)->GetArrayLength(env, array), part;
	jbyte data[256];

	for (jsize done = 0; done < size; done += part) {
		part = size - done < (jsize)sizeof(data) ? size - done : (jsize)sizeof(data);
		if (pv_random(data, (size_t)part) < 0) {
			throw_fault(env, "The kernel gave no random numbers.");
			return;
		}
		(*env)->SetByteArrayRegion(env, array, done, part, data);
	}
}

static void reap(JNIEnv *env, UNUSED jclass class, jintArray known)
{
	jint *pids = (*env)->GetIntArrayElements(env, known, NULL);

	if (!pids)
		return;
	pv_reap(guest, pids, (size_t)(*env)->GetArrayLength(env, known));
	(*env)->ReleaseIntArrayElements(env, known, pids, JNI_ABORT);
}

/*
 * The lookup that may reach every member of the JDK. By JNI, since opening the packages on the
 * command line would open them to the function as well.
 */
static jobject trusted_lookup(JNIEnv *env, UNUSED jclass class)
{
	static const char signature[] = "Ljava/lang/invoke/MethodHandles$Lookup;";
	jclass lookup = (*env)->FindClass(env, "java/lang/invoke/MethodHandles$Lookup");
	jfieldID field =
		lookup ? (*env)->GetStaticFieldID(env, lookup, "IMPL_LOOKUP", signature) : NULL;

	return field ? (*env)->GetStaticObjectField(env, lookup, field) : NULL;
}

static const JNINativeMethod METHODS[] = {
	{ "open", "(Ljava/lang/String;)Z", open_guest },
	{ "rehearse", "(Z)V", rehearse },
	{ "watch", "(Z)V", watch },
	{ "template", "()Z", template },
	{ "attribute", "(ZLjava/lang/String;)[B", attribute },
	{ "warmup", "(I)[B", warmup },
	{ "next", "()[B", next },
	{ "send", "(ILjava/lang/String;[B)Z", send },
	{ "random", "([B)V", fill_random },
	{ "reap", "([I)V", reap },
	{ "trustedLookup", "()Ljava/lang/invoke/MethodHandles$Lookup;", trusted_lookup },
};

JNIEXPORT jint JNI_OnLoad(JavaVM *machine, UNUSED void *reserved)
{
	JNIEnv *env;
	jclass class;

	if ((*machine)->GetEnv(machine, (void **)&env, JNI_VERSION_10) != JNI_OK)
		return JNI_ERR;
	class = (*env)->FindClass(env, "polyvisor/Guest");
	if (!class || (*env)->RegisterNatives(env, class, METHODS, LENGTH(METHODS)) != JNI_OK)
		return JNI_ERR;
	return JNI_VERSION_10;
}
