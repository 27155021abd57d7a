/* Handlers by class, through the interfaces of Lambda. */
package cases;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.Map;

public class Handlers {
	public static class OfMaps implements RequestHandler<Map<String, Object>, Map<String, Object>> {
		@Override
		public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
			return Map.of("got", event);
		}
	}

	public static class OfPoints implements RequestHandler<Cases.Point, String> {
		@Override
		public String handleRequest(Cases.Point event, Context context) {
			return event.getX() + "," + event.getY();
		}
	}

	/* The type of the event is known only two steps up, and in another order. */
	public abstract static class Base<R, E> implements RequestHandler<List<E>, R> {
		@Override
		public R handleRequest(List<E> event, Context context) {
			return first(event.get(0));
		}

		abstract R first(E event);
	}

	public static class Inherited extends Base<Integer, Cases.Point> {
		@Override
		Integer first(Cases.Point event) {
			return event.getX();
		}
	}

	@SuppressWarnings("rawtypes")
	public static class Raw implements RequestHandler {
		@Override
		public Object handleRequest(Object event, Context context) {
			return event.getClass().getSimpleName();
		}
	}

	public static class Streams implements RequestStreamHandler {
		@Override
		public void handleRequest(InputStream event, OutputStream reply, Context context) throws IOException {
			event.transferTo(reply);
		}
	}

	public static class BadConstructor extends OfMaps {
		public BadConstructor() {
			throw new IllegalArgumentException("constructed badly");
		}
	}

	public static class BadStatic extends OfMaps {
		static final int VALUE = Integer.parseInt("nine");
	}

	public static class NeedsArgument extends OfMaps {
		public NeedsArgument(int argument) {
		}
	}

	public abstract static class Unfinished extends OfMaps {
	}

	public static class NeedsAbsent extends OfMaps {
		static final Object ABSENT = new absent.Absent();
	}

	public static class Plain {
		public String hello(Map<String, Object> event) {
			return "plain " + event;
		}

		String hidden(Object event) {
			return "hidden";
		}
	}
}
