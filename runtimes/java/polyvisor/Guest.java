/* Guest.java - libpolyvisor as jni_glue.c gives it to Java; called by the main thread only. */
package polyvisor;

import java.lang.invoke.MethodHandles;
import java.nio.charset.StandardCharsets;

final class Guest {
	static final int REPLY = 0, FAIL = 1, INIT_FAILED = 2, NOTE = 3;

	static {
		System.load(System.getProperty("polyvisor.runtime") + "/libpolyvisor-java.so");
	}

	static native boolean open(String version);
	static native void rehearse(boolean begin);
	static native void watch(boolean begin);
	static native boolean template();
	static native byte[] warmup(int index);
	static native byte[] next();
	static native boolean send(int what, String type, byte[] data);
	static native void random(byte[] data);
	static native void reap(int[] known);
	static native MethodHandles.Lookup trustedLookup();
	private static native byte[] attribute(boolean ofInvocation, String name);

	static String function(String name) {
		return text(attribute(false, name));
	}

	static String invocation(String name) {
		return text(attribute(true, name));
	}

	private static String text(byte[] utf8) {
		return utf8 == null ? null : new String(utf8, StandardCharsets.UTF_8);
	}
}
