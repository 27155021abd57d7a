/*
 * Server.java - a plain server for one Lambda handler over HTTP/1.1: what one process, or one container,
 * runs in the systems that polyvisor is compared with. It prints its port, and ends when its standard
 * input does.
 *
 *     Server FOLDER CLASS[::METHOD] one|threads
 */
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.reflect.Method;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.stream.Stream;

public final class Server {
	private static final ObjectMapper JSON = new ObjectMapper();

	/* A handler is given bytes and returns bytes. */
	private interface Handler {
		byte[] handle(byte[] event) throws Exception;
	}

	private static URLClassLoader loader(Path folder) throws IOException {
		List<URL> places = new ArrayList<>();
		places.add(folder.toUri().toURL());
		for (Path each : new Path[] {folder, folder.resolve("lib")}) {
			if (Files.isDirectory(each)) {
				try (Stream<Path> files = Files.list(each)) {
					for (Path jar : files.filter(f -> f.toString().endsWith(".jar")).toList()) {
						places.add(jar.toUri().toURL());
					}
				}
			}
		}
		return new URLClassLoader(places.toArray(new URL[0]), Server.class.getClassLoader());
	}

	private static Handler load(Path folder, String name) throws Exception {
		String[] parts = name.split("::");
		Class<?> type = loader(folder).loadClass(parts[0]);
		Object target = type.getConstructor().newInstance();
		Thread.currentThread().setContextClassLoader(type.getClassLoader());
		if (target instanceof RequestStreamHandler) {
			return event -> {
				ByteArrayOutputStream reply = new ByteArrayOutputStream();
				((RequestStreamHandler) target).handleRequest(new ByteArrayInputStream(event), reply, new Invocation());
				return reply.toByteArray();
			};
		}
		String wanted = parts.length > 1 ? parts[1] : "handleRequest";
		Method method = Stream.of(type.getMethods()).filter(m -> m.getName().equals(wanted) && !m.isBridge()).findFirst()
				.orElseThrow(() -> new IllegalArgumentException(name + " has no method " + wanted));
		method.setAccessible(true);
		return event -> call(target, method, event);
	}

	private static byte[] call(Object target, Method method, byte[] event) throws Exception {
		Class<?>[] types = method.getParameterTypes();
		Object[] arguments = new Object[types.length];
		for (int i = 0; i < types.length; i++) {
			JavaType type = JSON.getTypeFactory().constructType(method.getGenericParameterTypes()[i]);
			arguments[i] = types[i] == Context.class ? new Invocation() : JSON.readValue(event, type);
		}
		return JSON.writeValueAsBytes(method.invoke(target, arguments));
	}

	private static void answer(HttpExchange exchange, Handler handler) throws IOException {
		int status = 200;
		byte[] reply;
		try {
			reply = handler.handle(exchange.getRequestBody().readAllBytes());
		} catch (Exception e) {
			Throwable cause = e.getCause() == null ? e : e.getCause();
			cause.printStackTrace();
			status = 500;
			reply = JSON.writeValueAsBytes(Map.of("errorType", cause.getClass().getName(),
					"errorMessage", String.valueOf(cause.getMessage())));
		}
		exchange.getResponseHeaders().set("Content-Type", "application/json");
		exchange.sendResponseHeaders(status, reply.length);
		exchange.getResponseBody().write(reply);
		exchange.close();
	}

	private static void endWithInput() {
		try {
			while (System.in.read() >= 0) {
			}
		} catch (IOException e) {
			/* then it is at its end, too */
		}
		Runtime.getRuntime().halt(0);
	}

	public static void main(String[] arguments) throws Exception {
		Handler handler = load(Path.of(arguments[0]), arguments[1]);
		HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 1024);
		server.createContext("/", exchange -> answer(exchange, handler));
		server.setExecutor(arguments[2].equals("one") ? Executors.newSingleThreadExecutor() : Executors.newCachedThreadPool());
		server.start();
		System.out.println(server.getAddress().getPort());
		System.out.flush();
		System.setOut(System.err);
		Thread end = new Thread(Server::endWithInput);
		end.setDaemon(true);
		end.start();
	}

	/* What a handler may ask of its context here. */
	private static final class Invocation implements Context {
		private final String id = UUID.randomUUID().toString();

		public String getAwsRequestId() { return id; }
		public String getLogGroupName() { return "group"; }
		public String getLogStreamName() { return "stream"; }
		public String getFunctionName() { return "function"; }
		public String getFunctionVersion() { return "$LATEST"; }
		public String getInvokedFunctionArn() { return "arn:aws:lambda:us-east-1:1:function:function"; }
		public CognitoIdentity getIdentity() { return null; }
		public ClientContext getClientContext() { return null; }
		public int getRemainingTimeInMillis() { return 900000; }
		public int getMemoryLimitInMB() { return 512; }

		public LambdaLogger getLogger() {
			return new LambdaLogger() {
				public void log(String message) { System.err.print(message); }
				public void log(byte[] message) { System.err.print(new String(message, StandardCharsets.UTF_8)); }
			};
		}
	}
}
