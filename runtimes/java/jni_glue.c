/*
 * jni_glue.c - libpolyvisor for the Java adapter: one C function for each native method of
 * polyvisor.Guest, all called by the thread that runs its main.
 *
 * Text crosses as bytes, since JNI's own strings are not UTF-8. The handle is the process's only
 * one and lives as long as it does.
 */
#include <jni.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "polyvisor.h"

#define LENGTH(array) (sizeof(array) / sizeof(*(array)))

static pv_handle *guest;

/* A template rehearses what its clones will do, before there is anybody to do it for. */
static bool rehearsing;

/* Turns a fault into an exception; the outcomes of a call pass through. */
static int check(JNIEnv *env, int r)
{
	if (r < 0)
		(*env)->ThrowNew(env, (*env)->FindClass(env, "java/lang/IllegalStateException"),
			guest ? pv_last_error(guest) : strerror(-r));
	return r;
}

static jbyteArray to_java(JNIEnv *env, const void *data, size_t size)
{
	jbyteArray array = (*env)->NewByteArray(env, (jsize)size);

	if (array)
		(*env)->SetByteArrayRegion(env, array, 0, (jsize)size, data);
	return array;
}

static jbyteArray text_to_java(JNIEnv *env, const char *text)
{
	return text ? to_java(env, text, strlen(text)) : NULL;
}

/* Whether it is a template. */
static jboolean open_guest(JNIEnv *env, jclass class, jstring version)
{
	const char *text = (*env)->GetStringUTFChars(env, version, NULL);
	const char *role = getenv("POLYVISOR_ROLE");

	(void)class;
	if (check(env, pv_open(&guest)) == 0)
		check(env, pv_set_runtime_version(guest, text));
	(*env)->ReleaseStringUTFChars(env, version, text);
	return role && strcmp(role, "template") == 0;
}

static void rehearse(JNIEnv *env, jclass class, jboolean begin)
{
	(void)env, (void)class;
	rehearsing = begin;
}

static void park(JNIEnv *env, jclass class)
{
	(void)class;
	if (!rehearsing)
		check(env, pv_template(guest));
}

static jboolean is_clone(JNIEnv *env, jclass class)
{
	(void)env, (void)class;
	return rehearsing || pv_is_clone(guest) == 1;
}

/* What an attribute of the function or of the invocation says; the names are our own, and short. */
static jbyteArray attribute(JNIEnv *env, jclass class, jboolean of_invocation, jstring name)
{
	char key[32] = "";
	jsize length = (*env)->GetStringLength(env, name);

	(void)class;
	if (length >= (jsize)sizeof(key))
		return NULL;
	(*env)->GetStringUTFRegion(env, name, 0, length, key);
	return text_to_java(
		env, of_invocation ? pv_invocation(guest, key) : pv_function(guest, key));
}

static jbyteArray warmup(JNIEnv *env, jclass class, jint index)
{
	const void *event;
	size_t size;

	(void)class;
	return pv_warmup(guest, (size_t)index, &event, &size) == 0 ? to_java(env, event, size)
								   : NULL;
}

/* The next event, or null when there will be none. */
static jbyteArray next(JNIEnv *env, jclass class)
{
	const void *event;
	size_t size;

	(void)class;
	if (rehearsing)
		return NULL;
	return check(env, pv_next(guest, &event, &size)) == 0 ? to_java(env, event, size) : NULL;
}

/* Whether the reply was small enough. */
static jboolean reply(JNIEnv *env, jclass class, jbyteArray array, jint size, jboolean last)
{
	jbyte *data;
	int r = -ENOMEM;

	(void)class;
	if (rehearsing)
		return JNI_TRUE;
	data = (*env)->GetByteArrayElements(env, array, NULL);
	if (data)
		r = last ? pv_reply(guest, data, (size_t)size, NULL)
			 : pv_reply_part(guest, data, (size_t)size, NULL);
	check(env, r);
	if (data)
		(*env)->ReleaseByteArrayElements(env, array, data, JNI_ABORT);
	return r != PV_TOO_LARGE;
}

/* Whether the error was small enough. */
static jboolean fail(JNIEnv *env, jclass class, jboolean at_init, jstring type, jbyteArray json)
{
	const char *text = (*env)->GetStringUTFChars(env, type, NULL);
	jbyte *data = (*env)->GetByteArrayElements(env, json, NULL);
	size_t size = (size_t)(*env)->GetArrayLength(env, json);
	int r = -ENOMEM;

	(void)class;
	if (text && data)
		r = at_init ? pv_init_failed(guest, text, (char *)data, size)
			    : pv_fail(guest, text, (char *)data, size);
	if (data)
		(*env)->ReleaseByteArrayElements(env, json, data, JNI_ABORT);
	if (text)
		(*env)->ReleaseStringUTFChars(env, type, text);
	return check(env, r) == 0;
}

static void note(JNIEnv *env, jclass class, jstring sentence)
{
	const char *text = (*env)->GetStringUTFChars(env, sentence, NULL);

	(void)class;
	check(env, pv_note(guest, text));
	(*env)->ReleaseStringUTFChars(env, sentence, text);
}

static void fill_random(JNIEnv *env, jclass class, jbyteArray array)
{
	jsize size = (*env)->GetArrayLength(env, array), part;
	unsigned char data[256];

	(void)class;
	for (jsize done = 0; done < size; done += part) {
		part = size - done < (jsize)sizeof(data) ? size - done : (jsize)sizeof(data);
		if (check(env, pv_random(data, (size_t)part)) != 0)
			return;
		(*env)->SetByteArrayRegion(env, array, done, part, (jbyte *)data);
	}
}

static void reap(JNIEnv *env, jclass class, jintArray known)
{
	jint *pids = (*env)->GetIntArrayElements(env, known, NULL);

	(void)class;
	if (pids) {
		pv_reap(guest, pids, (size_t)(*env)->GetArrayLength(env, known));
		(*env)->ReleaseIntArrayElements(env, known, pids, JNI_ABORT);
	}
}

/*
 * The lookup that may reach every member of the JDK. By JNI, since opening the packages on the
 * command line would open them to the function as well.
 */
static jobject trusted_lookup(JNIEnv *env, jclass class)
{
	jclass lookup = (*env)->FindClass(env, "java/lang/invoke/MethodHandles$Lookup");
	jfieldID field = lookup ? (*env)->GetStaticFieldID(env, lookup, "IMPL_LOOKUP",
					  "Ljava/lang/invoke/MethodHandles$Lookup;")
				: NULL;

	(void)class;
	return field ? (*env)->GetStaticObjectField(env, lookup, field) : NULL;
}

static jlong pid(JNIEnv *env, jclass class)
{
	(void)env, (void)class;
	return getpid();
}

/* Sets a field of any object, final or not; VarHandles refuse the final ones. */
static void set_long(JNIEnv *env, jclass class, jobject object, jstring name, jlong value)
{
	const char *text = (*env)->GetStringUTFChars(env, name, NULL);
	jfieldID field = (*env)->GetFieldID(env, (*env)->GetObjectClass(env, object), text, "J");

	(void)class;
	if (field)
		(*env)->SetLongField(env, object, field, value);
	(*env)->ReleaseStringUTFChars(env, name, text);
}

static const JNINativeMethod METHODS[] = {
	{ "open", "(Ljava/lang/String;)Z", open_guest },
	{ "rehearse", "(Z)V", rehearse },
	{ "template", "()V", park },
	{ "isClone", "()Z", is_clone },
	{ "attribute", "(ZLjava/lang/String;)[B", attribute },
	{ "warmup", "(I)[B", warmup },
	{ "next", "()[B", next },
	{ "reply", "([BIZ)Z", reply },
	{ "fail", "(ZLjava/lang/String;[B)Z", fail },
	{ "note", "(Ljava/lang/String;)V", note },
	{ "random", "([B)V", fill_random },
	{ "reap", "([I)V", reap },
	{ "trustedLookup", "()Ljava/lang/invoke/MethodHandles$Lookup;", trusted_lookup },
	{ "pid", "()J", pid },
	{ "setLong", "(Ljava/lang/Object;Ljava/lang/String;J)V", set_long },
};

JNIEXPORT jint JNI_OnLoad(JavaVM *machine, void *reserved)
{
	JNIEnv *env;
	jclass class;

	(void)reserved;
	if ((*machine)->GetEnv(machine, (void **)&env, JNI_VERSION_10) != JNI_OK)
		return JNI_ERR;
	class = (*env)->FindClass(env, "polyvisor/Guest");
	if (!class || (*env)->RegisterNatives(env, class, METHODS, LENGTH(METHODS)) != JNI_OK)
		return JNI_ERR;
	return JNI_VERSION_10;
}
