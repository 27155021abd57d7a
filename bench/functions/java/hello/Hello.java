import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

import java.util.Map;

/** The least that a function can do. */
public class Hello implements RequestHandler<Map<String, String>, Map<String, String>> {
	@Override
	public Map<String, String> handleRequest(Map<String, String> event, Context context) {
		return Map.of("hello", event.get("name"));
	}
}
