/*
 * Failure.java - an error of the adapter's own, with the type that Lambda's clients know it by; and
 * how errors of any kind are told: printed, and sent as the payload of Lambda's Java.
 */
package polyvisor;

import java.util.*;

final class Failure extends Exception {
	private static final int CAUSES_MAX = 16;
	private static final int MESSAGE_MAX = 1000;
	private static final StackTraceElement[] NO_TRACE = {};
	/* Made before it is needed. */
	private static final byte[] NO_MEMORY =
			"{\"errorMessage\":\"Java heap space\",\"errorType\":\"java.lang.OutOfMemoryError\",\"stackTrace\":[]}".getBytes();

	private final String type;

	Failure(String type, String message, Throwable cause) {
		super(message, cause, false, false);
		this.type = type;
	}

	@Override
	public String toString() {
		return type + ": " + getMessage();
	}

	private static String typeOf(Throwable e) {
		return e instanceof Failure ? ((Failure) e).type : e.getClass().getName();
	}

	static void report(int what, Throwable e) throws Failure {
		String type = typeOf(e), message = type;
		try {
			Map<String, Object> error = describe(e, CAUSES_MAX);
			e.printStackTrace();
			if (Guest.send(what, type, Handler.JSON.writeValueAsBytes(error))) {
				return;
			}
			message = error.get("errorMessage").toString();
			message = message.substring(0, Math.min(message.length(), MESSAGE_MAX));
		} catch (OutOfMemoryError again) {
			Guest.send(what, again.getClass().getName(), NO_MEMORY);
			return;
		} catch (Throwable again) {
			System.err.println(type + ", which cannot say what it is about: " + again.getClass().getName());
		}
		Guest.send(what, type, Handler.write(
				Map.of("errorMessage", message, "errorType", type, "stackTrace", NO_TRACE), Handler.JSON.writer()));
	}

	/* Our own frames, below the function's, are cut off. */
	private static Map<String, Object> describe(Throwable e, int causes) {
		StackTraceElement[] trace = e.getStackTrace();
		int end = 0;
		while (end < trace.length && !trace[end].getClassName().startsWith("polyvisor.")) {
			end++;
		}
		while (end > 0 && end < trace.length && trace[end - 1].getClassName().matches("(java.lang|jdk.internal).(reflect|invoke).*")) {
			end--;
		}
		e.setStackTrace(Arrays.copyOf(trace, end));
		Map<String, Object> error = new LinkedHashMap<>();
		error.put("errorMessage", e.getLocalizedMessage() == null ? e.getClass().getName() : e.getLocalizedMessage());
		error.put("errorType", typeOf(e));
		error.put("stackTrace", Arrays.stream(e.getStackTrace()).map(StackTraceElement::toString).toArray());
		if (e.getCause() != null && causes > 0) {
			error.put("cause", describe(e.getCause(), causes - 1));
		}
		return error;
	}
}
