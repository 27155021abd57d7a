/* Handlers by method name, one for each kind of signature. */
package cases;

import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

public class Cases {
	public enum Colour { RED, GREEN }

	public static class Point {
		private int x;
		private Integer y;
		public Colour colour;
		public BigDecimal exact;

		public int getX() {
			return x;
		}

		public void setX(int x) {
			this.x = x;
		}

		public Integer getY() {
			return y;
		}

		public void setY(Integer y) {
			this.y = y;
		}
	}

	public record Line(Point from, Point to, List<String> labels) {
	}

	public Object nothing() {
		return List.of();
	}

	public void empty(Object event) {
	}

	public Object same(Object event) {
		return event;
	}

	public Map<String, Object> map(Map<String, Object> event, Context context) {
		return event;
	}

	public String string(String event) {
		return event + "!";
	}

	public int integer(int event) {
		return event + 1;
	}

	public long total(List<Long> events) {
		return events.stream().mapToLong(Long::longValue).sum();
	}

	public boolean not(boolean event) {
		return !event;
	}

	public BigInteger square(BigInteger event) {
		return event.multiply(event);
	}

	public BigDecimal half(BigDecimal event) {
		return event.divide(BigDecimal.valueOf(2));
	}

	public double sum(double[] events) {
		double sum = 0;
		for (double each : events) {
			sum += each;
		}
		return sum;
	}

	public Point point(Point event) {
		event.setX(event.getX() + 1);
		return event;
	}

	public Line line(Line event) {
		return new Line(event.to(), event.from(), event.labels());
	}

	public int points(Map<String, List<Point>> event) {
		return event.values().stream().flatMap(List::stream).mapToInt(Point::getX).sum();
	}

	public static String fixed(String event, Context context) {
		return context.getFunctionName() + ":" + event;
	}

	public String context(Context context) {
		return context.getAwsRequestId();
	}

	public void stream(InputStream event, OutputStream reply) throws IOException {
		event.transferTo(reply);
	}

	public void streamContext(InputStream event, OutputStream reply, Context context) throws IOException {
		reply.write(context.getFunctionName().getBytes());
		event.transferTo(reply);
	}

	public int length(InputStream event) throws IOException {
		return event.readAllBytes().length;
	}

	public String large(int size) {
		return "x".repeat(size);
	}

	/* Lambda takes the one with the most parameters. */
	public String overloaded(String event) {
		return "short";
	}

	public String overloaded(String event, Context context) {
		return "long";
	}

	public String overloaded(String event, String other, Context context) {
		return "no handler at all";
	}

	public Map<String, Object> environment(List<String> names) {
		Map<String, Object> found = new LinkedHashMap<>();
		names.forEach(name -> found.put(name, System.getenv(name)));
		return found;
	}

	public Map<String, Object> properties(List<String> names) {
		Map<String, Object> found = new LinkedHashMap<>();
		names.forEach(name -> found.put(name, System.getProperty(name)));
		return found;
	}

	public Map<String, Object> whole(Object event, Context context) {
		Map<String, Object> found = new LinkedHashMap<>();
		found.put("request", context.getAwsRequestId());
		found.put("name", context.getFunctionName());
		found.put("version", context.getFunctionVersion());
		found.put("arn", context.getInvokedFunctionArn());
		found.put("memory", context.getMemoryLimitInMB());
		found.put("group", context.getLogGroupName());
		found.put("stream", context.getLogStreamName());
		found.put("left", context.getRemainingTimeInMillis());
		found.put("tenant", context.getTenantId());
		found.put("trace", context.getXrayTraceId());
		found.put("traceProperty", System.getProperty("com.amazonaws.xray.traceHeader"));
		found.put("identity", Optional.ofNullable(context.getIdentity())
				.map(i -> List.of(i.getIdentityId(), i.getIdentityPoolId())).orElse(null));
		ClientContext client = context.getClientContext();
		found.put("client", client == null ? null : List.of(client.getClient().getAppTitle(),
				client.getClient().getInstallationId(), client.getCustom(), client.getEnvironment()));
		return found;
	}

	public String loggers(String event, Context context) {
		LambdaLogger logger = context.getLogger();
		logger.log("plain " + event);
		logger.log("bytes\n".getBytes());
		logger.log("debug", LogLevel.DEBUG);
		logger.log("warned", LogLevel.WARN);
		LambdaRuntime.getLogger().log("static");
		System.out.println("out " + event);
		System.err.println("err " + event);
		System.out.print("no end");
		return "logged";
	}

	public String loader(Object event) throws Exception {
		try {
			Class.forName("com.fasterxml.jackson.databind.ObjectMapper");
			return "sees the adapter's Jackson";
		} catch (ClassNotFoundException e) {
			return Thread.currentThread().getContextClassLoader() == Cases.class.getClassLoader() ? "alone" : "lost";
		}
	}

	public String changesThread(Object event) {
		Thread thread = Thread.currentThread();
		String found = thread.isInterrupted() + " " + (thread.getContextClassLoader() == Cases.class.getClassLoader());
		thread.setContextClassLoader(null);
		thread.interrupt();
		return found;
	}

	public String zone(Object event) {
		return java.util.TimeZone.getDefault().getID() + " " + java.time.ZoneId.systemDefault();
	}

	/* Errors. */

	public Object fail(String message) {
		throw new IllegalStateException(message, new IOException("inside"));
	}

	public Object failSilently(Object event) throws Exception {
		throw new Exception();
	}

	public Object overflow(int depth) {
		return overflow(depth + 1);
	}

	public Object exhaust(Object event) {
		java.util.ArrayList<byte[]> all = new java.util.ArrayList<>();
		for (;;) {
			all.add(new byte[8 << 20]);
		}
	}

	public Object exit(int status) {
		System.exit(status);
		return null;
	}

	public Object itself(Object event) {
		Map<String, Object> circle = new LinkedHashMap<>();
		circle.put("self", circle);
		return circle;
	}

	public static class Liar {
		public String getTruth() {
			throw new UnsupportedOperationException("no truth here");
		}
	}

	public Liar liar(Object event) {
		return new Liar();
	}

	public Object circularCause(Object event) {
		RuntimeException first = new RuntimeException("first"), second = new RuntimeException("second", first);
		first.initCause(second);
		throw first;
	}

	public static class Mean extends RuntimeException {
		@Override
		public String getMessage() {
			throw new IllegalStateException("not even a message");
		}
	}

	public Object mean(Object event) {
		throw new Mean();
	}

	public Object empties() {
		return Collections.singletonMap("nothing", null);
	}
}
