/* Log.java - the function's log: standard output, a line at a time, as text or as JSON records. */
package polyvisor;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;

final class Log implements LambdaLogger {
	static final Log LOGGER = new Log();
	static volatile String requestId;

	private final PrintStream out = System.out;
	private volatile boolean json;
	private volatile LogLevel lowest = LogLevel.UNDEFINED;

	/* Follows the settings of the function that this process has just become. */
	static void configure(Map<String, String> environment) {
		LOGGER.json = "JSON".equalsIgnoreCase(environment.get("AWS_LAMBDA_LOG_FORMAT"));
		LOGGER.lowest = LogLevel.fromString(environment.getOrDefault("AWS_LAMBDA_LOG_LEVEL", "UNDEFINED"));
	}

	@Override
	public void log(byte[] message) {
		log(message, LogLevel.UNDEFINED);
	}

	@Override
	public void log(byte[] message, LogLevel level) {
		log(new String(message, StandardCharsets.UTF_8), level);
	}

	@Override
	public void log(String message) {
		log(message, LogLevel.UNDEFINED);
	}

	@Override
	public void log(String message, LogLevel level) {
		if (level != LogLevel.UNDEFINED && level.compareTo(lowest) < 0) {
			return;
		}
		String line = json ? record(message, level) : level == LogLevel.UNDEFINED ? message : "[" + level + "] " + message;
		out.print(String.valueOf(line).endsWith("\n") ? line : line + "\n");
	}

	private static String record(String message, LogLevel level) {
		Map<String, String> record = new LinkedHashMap<>();
		record.put("timestamp", Instant.now().toString());
		if (level != LogLevel.UNDEFINED) {
			record.put("level", level.name());
		}
		record.put("message", message);
		record.put("AWSRequestId", requestId);
		try {
			return Handler.JSON.writeValueAsString(record);
		} catch (IOException e) {
			return message;
		}
	}
}
