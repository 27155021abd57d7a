import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;

/** Asks a server for a document, with a client that is made once and keeps its connections, and counts its words. */
public class HttpRequest implements RequestHandler<Map<String, String>, Map<String, Object>> {
	private static final HttpClient CLIENT = HttpClient.newBuilder()
		.version(HttpClient.Version.HTTP_1_1)
		.connectTimeout(Duration.ofSeconds(5))
		.build();

	@Override
	public Map<String, Object> handleRequest(Map<String, String> event, Context context) {
		var request = java.net.http.HttpRequest.newBuilder(URI.create(event.get("url")))
			.timeout(Duration.ofSeconds(10))
			.build();
		try {
			HttpResponse<String> response = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
			Map<String, Object> reply = new LinkedHashMap<>();
			reply.put("status", response.statusCode());
			reply.put("characters", response.body().length());
			reply.put("words", response.body().split("\\s+").length);
			return reply;
		} catch (IOException error) {
			throw new IllegalStateException(error);
		} catch (InterruptedException error) {
			Thread.currentThread().interrupt();
			throw new IllegalStateException(error);
		}
	}
}
