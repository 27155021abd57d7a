/*
 * Handler.java - the function's code: loaded by a class loader that sees the platform and the API
 * of this runtime, but not the adapter or its JSON library; called with what its parameters ask for.
 */
package polyvisor;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.type.TypeBindings;
import java.io.*;
import java.lang.reflect.*;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.*;
import java.util.stream.Stream;

final class Handler {
	/* As lenient as Lambda's own, so that what it accepts is accepted here. */
	static final ObjectMapper JSON = JsonMapper.builder()
			.enable(MapperFeature.USE_STD_BEAN_NAMING)
			.disable(SerializationFeature.FAIL_ON_EMPTY_BEANS)
			.disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
			.enable(DeserializationFeature.ACCEPT_SINGLE_VALUE_AS_ARRAY, DeserializationFeature.UNWRAP_SINGLE_VALUE_ARRAYS,
					DeserializationFeature.ACCEPT_EMPTY_STRING_AS_NULL_OBJECT,
					DeserializationFeature.READ_UNKNOWN_ENUM_VALUES_AS_NULL)
			.defaultPropertyInclusion(JsonInclude.Value.construct(JsonInclude.Include.NON_NULL, JsonInclude.Include.ALWAYS))
			.build();

	private static final ClassLoader API = new ClassLoader(ClassLoader.getPlatformClassLoader()) {
		@Override
		protected Class<?> findClass(String name) throws ClassNotFoundException {
			if (name.startsWith("com.amazonaws.services.lambda.runtime.") || name.startsWith("org.crac.")) {
				return Handler.class.getClassLoader().loadClass(name);
			}
			throw new ClassNotFoundException(name);
		}
	};

	private final Method method;
	private final Object target;
	private final ObjectReader[] readers;
	private final ObjectWriter writer;
	private final CustomPojoSerializer custom; /* the function's own, or null */

	/* Readers and writer find out about their types when they are made, in the function template. */
	private Handler(Class<?> type, Method method) throws Throwable {
		TypeBindings known = JSON.constructType(type).findSuperType(method.getDeclaringClass()).getBindings();
		this.readers = Stream.of(method.getGenericParameterTypes())
				.map(each -> JSON.readerFor(JSON.getTypeFactory().resolveMemberType(each, known)))
				.toArray(ObjectReader[]::new);
		this.writer = JSON.writerFor(JSON.getTypeFactory().resolveMemberType(method.getGenericReturnType(), known));
		this.custom = ServiceLoader.load(CustomPojoSerializer.class, type.getClassLoader()).findFirst().orElse(null);
		this.method = method;
		method.setAccessible(true);
		this.target = Modifier.isStatic(method.getModifiers()) ? null : instantiate(type);
	}

	/* `name` is as Lambda has it: package.Class, or package.Class::method. */
	static Handler load(String name, Path root) throws Throwable {
		String[] parts = name.split("::", -1);
		if (parts.length > 2 || !name.matches("[^\\s:/;\\[]+(::[^\\s:/;\\[]+)?")) {
			throw new Failure("Runtime.MalformedHandlerName",
					"Handler \"" + name + "\" is not of the form package.Class or package.Class::method", null);
		}
		ClassLoader loader = new URLClassLoader(classPath(root), API);
		Thread.currentThread().setContextClassLoader(loader);
		Class<?> type;
		try {
			type = loader.loadClass(parts[0]);
		} catch (ClassNotFoundException e) {
			throw new Failure(e.getClass().getName(), "Class not found: " + parts[0], null);
		}
		return new Handler(type, parts.length == 1 ? interfaceMethod(type) : namedMethod(type, parts[1]));
	}

	private static URL[] classPath(Path root) throws IOException {
		List<URL> places = new ArrayList<>();
		places.add(root.toUri().toURL());
		for (Path folder : new Path[] {root, root.resolve("lib")}) {
			if (Files.isDirectory(folder)) {
				try (Stream<Path> files = Files.list(folder)) {
					for (Path each : files.filter(f -> f.toString().endsWith(".jar")).sorted().toList()) {
						places.add(each.toUri().toURL());
					}
				}
			}
		}
		return places.toArray(new URL[0]);
	}

	private static Method interfaceMethod(Class<?> type) throws Exception {
		if (RequestStreamHandler.class.isAssignableFrom(type)) {
			return RequestStreamHandler.class.getMethods()[0];
		}
		if (RequestHandler.class.isAssignableFrom(type)) {
			return RequestHandler.class.getMethods()[0];
		}
		throw new Failure("Runtime.HandlerNotFound", "Class " + type.getName()
				+ " implements neither RequestHandler nor RequestStreamHandler; name the method as Class::method", null);
	}

	/* Of several, the one with the most parameters, a Context counting twice: Lambda's choice. */
	private static Method namedMethod(Class<?> type, String name) throws Failure {
		return Stream.of(type.getMethods())
				.filter(m -> m.getName().equals(name) && !m.isBridge() && eventCount(m) <= 1)
				.max(Comparator.comparingInt(Handler::rank).thenComparing(Method::toGenericString))
				.orElseThrow(() -> new Failure("Runtime.HandlerNotFound", "Class " + type.getName()
						+ " has no public method " + name + " that takes at most an event, or streams, and a Context", null));
	}

	private static int rank(Method method) {
		return method.getParameterCount() + (List.of(method.getParameterTypes()).contains(Context.class) ? 1 : 0);
	}

	private static long eventCount(Method method) {
		return Stream.of(method.getParameterTypes())
				.filter(p -> p != Context.class && p != OutputStream.class).count();
	}

	private static Object instantiate(Class<?> type) throws Throwable {
		try {
			Constructor<?> constructor = type.getConstructor();
			constructor.setAccessible(true);
			return constructor.newInstance();
		} catch (NoSuchMethodException e) {
			throw new Failure("Runtime.HandlerNotFound",
					"Class " + type.getName() + " has no public constructor without parameters", null);
		} catch (InvocationTargetException e) {
			throw e.getCause();
		}
	}

	byte[] handle(byte[] event, Context context) throws Throwable {
		Object[] arguments = new Object[readers.length];
		ByteArrayOutputStream reply = null;
		for (int i = 0; i < arguments.length; i++) {
			Class<?> wanted = readers[i].getValueType().getRawClass();
			if (wanted == Context.class) {
				arguments[i] = context;
			} else if (wanted == InputStream.class) {
				arguments[i] = new ByteArrayInputStream(event);
			} else if (wanted == OutputStream.class) {
				arguments[i] = reply = new ByteArrayOutputStream();
			} else {
				arguments[i] = custom == null ? read(event, readers[i])
						: custom.fromJson(new ByteArrayInputStream(event), method.getGenericParameterTypes()[i]);
			}
		}
		Object result = call(arguments);
		if (custom != null && reply == null) {
			custom.toJson(result, reply = new ByteArrayOutputStream(), method.getGenericReturnType());
		}
		return reply != null ? reply.toByteArray() : write(result, writer);
	}

	private Object call(Object[] arguments) throws Throwable {
		try {
			return method.invoke(target, arguments);
		} catch (InvocationTargetException e) {
			throw e.getCause();
		}
	}

	private static Object read(byte[] event, ObjectReader reader) throws Failure {
		try {
			return reader.readValue(event);
		} catch (IOException e) {
			throw failure("Runtime.UnmarshalError", "The event cannot be read as " + reader.getValueType().toCanonical(), e);
		}
	}

	static byte[] write(Object result, ObjectWriter writer) throws Failure {
		try {
			return writer.writeValueAsBytes(result);
		} catch (IOException | StackOverflowError e) {
			throw failure("Runtime.MarshalError", "The result of class " + result.getClass().getName() + " cannot be written as JSON", e);
		}
	}

	/* What Jackson says is enough; only what the function's own accessors threw is worth its trace. */
	private static Failure failure(String type, String failed, Throwable e) {
		String reason = e instanceof JacksonException ? ((JacksonException) e).getOriginalMessage() : e.toString();
		return new Failure(type, failed + ": " + reason, e.getCause());
	}
}
