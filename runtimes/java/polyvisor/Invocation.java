/* Invocation.java - the Context of one invocation. Copied at its start, so that any thread may ask. */
package polyvisor;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.fasterxml.jackson.core.type.TypeReference;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;

final class Invocation implements Context {
	private static final String[] OF_FUNCTION = {"name", "version", "memory_mb", "log_group"};
	private static final String[] OF_INVOCATION = {"request_id", "deadline_ms", "arn", "client_context", "identity",
			"tenant_id", "trace_id"};
	private static final Map<String, String> FUNCTION = new HashMap<>();

	private final Map<String, String> attributes = new HashMap<>(FUNCTION);

	Invocation() {
		for (String each : OF_INVOCATION) {
			attributes.put(each, Guest.invocation(each));
		}
		/* The only one that a launch may change. */
		attributes.put("log_stream", Guest.function("log_stream"));
		Log.requestId = getAwsRequestId();
		/* Where tracing libraries look for it. */
		if (getXrayTraceId() != null) {
			System.setProperty("com.amazonaws.xray.traceHeader", getXrayTraceId());
		} else {
			System.clearProperty("com.amazonaws.xray.traceHeader");
		}
	}

	/* Learns what the function is, in a process that has just become it. */
	static void identify() {
		for (String each : OF_FUNCTION) {
			FUNCTION.put(each, Guest.function(each));
		}
	}

	public String getAwsRequestId() { return attributes.get("request_id"); }
	public String getLogGroupName() { return attributes.get("log_group"); }
	public String getLogStreamName() { return attributes.get("log_stream"); }
	public String getFunctionName() { return attributes.get("name"); }
	public String getFunctionVersion() { return attributes.get("version"); }
	public String getInvokedFunctionArn() { return attributes.get("arn"); }
	public int getMemoryLimitInMB() { return Integer.parseInt(attributes.get("memory_mb")); }
	public LambdaLogger getLogger() { return Log.LOGGER; }
	public String getTenantId() { return attributes.get("tenant_id"); }
	public String getXrayTraceId() { return attributes.get("trace_id"); }

	/* A warm-up event has no deadline: the three seconds that a function has at least, unless told otherwise. */
	public int getRemainingTimeInMillis() {
		String deadline = attributes.get("deadline_ms");
		return deadline == null ? 3000 : (int) Math.max(0, Long.parseLong(deadline) - System.currentTimeMillis());
	}

	public CognitoIdentity getIdentity() {
		Map<String, String> identity = parse("identity", new TypeReference<>() { });
		return identity == null ? null : new Identity(identity.get("cognitoIdentityId"), identity.get("cognitoIdentityPoolId"));
	}

	public ClientContext getClientContext() {
		Map<String, Map<String, String>> context = parse("client_context", new TypeReference<>() { });
		return context == null ? null : new Caller(context.get("client"), context.get("custom"), context.get("env"));
	}

	private <T> T parse(String attribute, TypeReference<T> type) {
		try {
			return attributes.get(attribute) == null ? null : Handler.JSON.readValue(attributes.get(attribute), type);
		} catch (IOException e) {
			throw new UncheckedIOException("The " + attribute + " of this invocation is not what Lambda's clients send", e);
		}
	}

	private record Identity(String getIdentityId, String getIdentityPoolId) implements CognitoIdentity {
	}

	private record Caller(Map<String, String> client, Map<String, String> getCustom, Map<String, String> getEnvironment)
			implements ClientContext, Client {
		public Client getClient() { return client == null ? null : this; }
		public String getInstallationId() { return client.get("installation_id"); }
		public String getAppTitle() { return client.get("app_title"); }
		public String getAppVersionName() { return client.get("app_version_name"); }
		public String getAppVersionCode() { return client.get("app_version_code"); }
		public String getAppPackageName() { return client.get("app_package_name"); }
	}
}
