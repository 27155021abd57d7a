/* Hello that can be told to wait, so that many isolates serve at the same time. */
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;

public class Waiting implements RequestHandler<Map<String, Object>, Map<String, String>> {
	@Override
	public Map<String, String> handleRequest(Map<String, Object> event, Context context) {
		try {
			Thread.sleep(((Number) event.getOrDefault("wait_ms", 0)).longValue());
		} catch (InterruptedException interrupted) {
			Thread.currentThread().interrupt();
		}
		return Map.of("hello", "world");
	}
}
