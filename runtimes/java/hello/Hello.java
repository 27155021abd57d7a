/* The least that a function can do: what `polyvisor bench` launches. */
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;

public class Hello implements RequestHandler<Map<String, Object>, Map<String, String>> {
	@Override
	public Map<String, String> handleRequest(Map<String, Object> event, Context context) {
		return Map.of("hello", "world");
	}
}
