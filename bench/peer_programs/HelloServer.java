/* Hello as a server of the JDK's own library. It has no reader of JSON, so the event is only read. */
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

public class HelloServer {
	public static void main(String[] arguments) throws IOException {
		int port = Integer.parseInt(arguments[0]);
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);

		server.createContext("/", HelloServer::answer);
		server.setExecutor(Executors.newCachedThreadPool());
		server.start();
	}

	private static void answer(HttpExchange exchange) throws IOException {
		byte[] reply = "{\"hello\":\"world\"}".getBytes(StandardCharsets.UTF_8);

		exchange.getRequestBody().readAllBytes();
		exchange.getResponseHeaders().set("Content-Type", "application/json");
		exchange.sendResponseHeaders(200, reply.length);
		exchange.getResponseBody().write(reply);
		exchange.close();
	}
}
