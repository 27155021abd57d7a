/*
 * Adapter.java - the life of a Java process under polyvisor: runtime template, function template,
 * isolate, in this order in one main. See docs/adding-a-language.md.
 */
package polyvisor;

import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TimeZone;
import org.crac.Core;

final class Adapter {
	private static final int CAUSES_MAX = 16;
	private static final int MESSAGE_MAX = 1000;
	private static final StackTraceElement[] NO_TRACE = {};
	/* Made before it is needed. */
	private static final byte[] NO_MEMORY =
			"{\"errorMessage\":\"Java heap space\",\"errorType\":\"java.lang.OutOfMemoryError\",\"stackTrace\":[]}".getBytes();

	private Adapter() {
	}

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
			Guest.template();
			Handler handler = becomeFunction();
			if (handler != null) {
				serve(handler);
				status = 0;
			}
		} catch (Throwable e) {
			e.printStackTrace();
		}
		Runtime.getRuntime().halt(status);
	}

	private static Handler becomeFunction() throws Failure {
		try {
			if (Guest.isClone()) {
				Uniqueness.renew();
			}
			/* Both are read again from the function's own when next asked for. */
			System.clearProperty("user.timezone");
			TimeZone.setDefault(null);
			Invocation.identify();
			Log.configure(System.getenv());
			Handler handler = Handler.load(Guest.function("handler"), Path.of(Guest.function("task_root")));
			byte[] event;
			for (int i = 0; (event = Guest.warmup(i)) != null; i++) {
				warm(handler, event, i);
			}
			if (Guest.isClone()) {
				Core.getGlobalContext().beforeCheckpoint(null);
			}
			return handler;
		} catch (Throwable e) {
			fail(true, e);
			return null;
		}
	}

	private static void warm(Handler handler, byte[] event, int index) {
		try {
			handler.handle(event, new Invocation());
		} catch (Throwable e) {
			Guest.note("Warm-up event " + index + " failed: " + e);
		}
	}

	/* Waits as the function template; goes on in each isolate. */
	static void serve(Handler handler) throws Throwable {
		Uniqueness.survey();
		Guest.template();
		Throwable broken = Guest.isClone() ? restore() : null;
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
			send(handler.handle(event, new Invocation()));
		} catch (Throwable e) {
			usable &= !(e instanceof VirtualMachineError) || e instanceof StackOverflowError;
			fail(false, e);
		}
		Thread.interrupted();
		Thread.currentThread().setContextClassLoader(loader);
		Guest.reap(Uniqueness.children());
		return usable;
	}

	private static void send(byte[] reply) throws Failure {
		if (!Guest.reply(reply, reply.length, true)) {
			throw new Failure("Function.ResponseSizeTooLarge", "The reply of " + reply.length
					+ " bytes exceeds the limit of " + Guest.function("reply-bytes") + " bytes", null);
		}
	}

	private static void fail(boolean atInit, Throwable e) throws Failure {
		String type = Failure.typeOf(e);
		Map<String, Object> shortened = new HashMap<>(Map.of("errorMessage", type, "errorType", type, "stackTrace", NO_TRACE));
		try {
			Map<String, Object> error = describe(e, CAUSES_MAX);
			e.printStackTrace();
			if (Guest.fail(atInit, type, Handler.JSON.writeValueAsBytes(error))) {
				return;
			}
			shortened.put("errorMessage", ((String) error.get("errorMessage")).substring(0, MESSAGE_MAX));
		} catch (OutOfMemoryError again) {
			Guest.fail(atInit, again.getClass().getName(), NO_MEMORY);
			return;
		} catch (Throwable again) {
			System.err.println(type + ", which cannot say what it is about: " + again.getClass().getName());
		}
		Guest.fail(atInit, type, Handler.write(shortened, Handler.JSON.writer()));
	}

	/* The error payload of Lambda's Java; our own frames below the function's are cut off. */
	private static Map<String, Object> describe(Throwable e, int causes) {
		StackTraceElement[] trace = e instanceof Failure ? NO_TRACE : e.getStackTrace();
		int end = 0;
		while (end < trace.length && !trace[end].getClassName().startsWith("polyvisor.")) {
			end++;
		}
		while (end > 0 && end < trace.length && isReflection(trace[end - 1].getClassName())) {
			end--;
		}
		e.setStackTrace(Arrays.copyOf(trace, end));
		Map<String, Object> error = new LinkedHashMap<>();
		error.put("errorMessage", e.getLocalizedMessage() == null ? e.getClass().getName() : e.getLocalizedMessage());
		error.put("errorType", Failure.typeOf(e));
		error.put("stackTrace", Arrays.stream(e.getStackTrace()).map(StackTraceElement::toString).toArray());
		if (e.getCause() != null && causes > 0) {
			error.put("cause", describe(e.getCause(), causes - 1));
		}
		return error;
	}

	private static boolean isReflection(String name) {
		return name.startsWith("java.lang.reflect.") || name.startsWith("jdk.internal.reflect.")
				|| name.startsWith("java.lang.invoke.");
	}
}
