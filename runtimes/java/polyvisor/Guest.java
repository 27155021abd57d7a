/* Guest.java - libpolyvisor as jni_glue.c gives it to Java; called by the main thread only. */
package polyvisor;

import java.lang.invoke.MethodHandles;
import java.nio.charset.StandardCharsets;

final class Guest {
	static {
		System.load(System.getProperty("polyvisor.runtime") + "/libpolyvisor-java.so");
	}

	private Guest() {
	}

	/* Whether this process is to be a template. */
	static native boolean open(String version);
	static native void rehearse(boolean begin);
	static native void template();
	static native boolean isClone();
	static native byte[] warmup(int index);
	static native byte[] next();
	static native boolean reply(byte[] data, int size, boolean last);
	static native boolean fail(boolean atInit, String type, byte[] json);
	static native void note(String sentence);
	static native void random(byte[] data);
	static native void reap(int[] known);
	static native long pid();
	static native void setLong(Object object, String field, long value);
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
