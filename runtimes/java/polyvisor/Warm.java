/*
 * Warm.java - what every function needs, done in the runtime template, so that functions and isolates
 * find it loaded and compiled. It is loaded and called as if it were a function's.
 */
package polyvisor;

import com.amazonaws.services.lambda.runtime.Context;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public final class Warm {
	private static final int ROUNDS = 600, WATCHED = 10;

	public static final class Bean {
		private String name;
		private List<Double> numbers;

		public String getName() { return name; }
		public void setName(String name) { this.name = name; }
		public List<Double> getNumbers() { return numbers; }
		public void setNumbers(List<Double> numbers) { this.numbers = numbers; }
	}

	public record Pair(long number, Bean bean) {
	}

	public Bean bean(Bean event, Context context) {
		return event;
	}

	public Pair record(Pair event) {
		return event;
	}

	public Map<String, Object> map(Map<String, Object> event, Context context) {
		Map<String, Object> result = new LinkedHashMap<>(event);
		result.put("answer", 42);
		return result;
	}

	/* Run by the build, to make an archive of the classes that this loads. */
	public static void main(String[] arguments) throws Throwable {
		Uniqueness.prepare();
		up();
	}

	/* A rehearsal: jni_glue.c waits for nobody and sends nothing meanwhile. */
	static void up() throws Throwable {
		String bean = "{\"name\":\"a \\u00e9 \\\" b\",\"numbers\":[1.5,-2e10]}";
		Guest.rehearse(true);
		run(load("bean"), bean, ROUNDS);
		run(load("record"), "{\"number\":12345678901,\"bean\":" + bean + "}", ROUNDS);
		run(load("map"), "{\"a\":[1,true,null,\"x\",{\"b\":" + bean + "}],\"c\":3.25}", ROUNDS);
		Handler handler = load("map");
		Guest.watch(true);
		run(handler, "{}", WATCHED);
		Guest.watch(false);
		Guest.rehearse(false);
	}

	private static Handler load(String method) throws Throwable {
		Path folder = Path.of(System.getProperty("polyvisor.runtime"));
		return Handler.load(Warm.class.getName() + "::" + method, folder);
	}

	private static void run(Handler handler, String event, int rounds) throws Throwable {
		for (int i = 0; i < rounds; i++) {
			Adapter.serve(handler);
			Adapter.answer(handler, event.getBytes(StandardCharsets.UTF_8), null);
		}
	}
}
