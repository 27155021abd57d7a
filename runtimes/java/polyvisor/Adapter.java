/*
 * Adapter.java - the life of a Java process under polyvisor: runtime template, function template,
 * isolate, in this order in one main. See docs/adding-a-language.md.
 */
package polyvisor;

import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.nio.file.Path;
import java.util.TimeZone;
import org.crac.Core;

final class Adapter {
	private static final byte[] NOTHING = {};

	/* Leaves by halt(), which waits for no thread of the function's. */
	public static void main(String[] arguments) {
		int status = 1;
		try {
			boolean isTemplate = Guest.open(System.getProperty("java.version"));
			Uniqueness.prepare();
			LambdaRuntimeInternal.setLogger(Log.LOGGER);
			if (isTemplate) {
				Warm.up();
				System.gc();
			}
			Uniqueness.survey();
			Handler handler = becomeFunction(Guest.template());
			if (handler != null) {
				serve(handler);
				status = 0;
			}
		} catch (Throwable e) {
			e.printStackTrace();
		}
		Runtime.getRuntime().halt(status);
	}

	private static Handler becomeFunction(boolean isClone) throws Throwable {
		try {
			if (isClone) {
				Uniqueness.renew();
			}
			/* Both are read again from TZ when next asked for. */
			System.clearProperty("user.timezone");
			TimeZone.setDefault(null);
			Invocation.identify();
			Log.configure(System.getenv());
			if (System.getenv("JAVA_TOOL_OPTIONS") != null) {
				Guest.send(Guest.NOTE, "JAVA_TOOL_OPTIONS has no effect: the virtual machine was started before the function", NOTHING);
			}
			Handler handler = Handler.load(Guest.function("handler"), Path.of(Guest.function("task_root")));
			warm(handler);
			if (isClone) {
				Core.getGlobalContext().beforeCheckpoint(null);
			}
			return handler;
		} catch (Throwable e) {
			Failure.report(Guest.INIT_FAILED, e);
			return null;
		}
	}

	private static void warm(Handler handler) {
		byte[] event;
		for (int i = 0; (event = Guest.warmup(i)) != null; i++) {
			try {
				handler.handle(event, new Invocation());
			} catch (Throwable e) {
				Guest.send(Guest.NOTE, "Warm-up event " + i + " failed: " + e, NOTHING);
			}
		}
	}

	/* Waits as the function template; goes on in each isolate. */
	static void serve(Handler handler) throws Throwable {
		Uniqueness.survey();
		Throwable broken = Guest.template() ? restore() : null;
		byte[] event;
		while ((event = Guest.next()) != null && answer(handler, event, broken)) {
			continue;
		}
	}

	/* Returns what hooks threw. */
	private static Throwable restore() {
		try {
			Uniqueness.renew();
			Core.getGlobalContext().afterRestore(null);
			return null;
		} catch (Throwable e) {
			return e;
		}
	}

	/* Whether there can be a next invocation: not in a machine without memory, or one half restored. */
	static boolean answer(Handler handler, byte[] event, Throwable broken) throws Throwable {
		ClassLoader loader = Thread.currentThread().getContextClassLoader();
		boolean usable = broken == null;
		try {
			if (broken != null) {
				throw broken;
			}
			reply(handler.handle(event, new Invocation()));
		} catch (Throwable e) {
			usable &= !(e instanceof VirtualMachineError) || e instanceof StackOverflowError;
			Failure.report(Guest.FAIL, e);
		}
		Thread.interrupted();
		Thread.currentThread().setContextClassLoader(loader);
		Guest.reap(Uniqueness.children());
		return usable;
	}

	private static void reply(byte[] data) throws Failure {
		if (!Guest.send(Guest.REPLY, "", data)) {
			throw new Failure("Function.ResponseSizeTooLarge", "The reply of " + data.length
					+ " bytes exceeds the limit of " + Guest.function("reply-bytes") + " bytes", null);
		}
	}
}
