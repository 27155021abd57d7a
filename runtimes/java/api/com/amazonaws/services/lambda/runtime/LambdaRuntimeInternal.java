/* What runtime and log appenders agree on; not for handlers. */
package com.amazonaws.services.lambda.runtime;

public final class LambdaRuntimeInternal {
	private static volatile boolean useLog4jAppender;

	private LambdaRuntimeInternal() {
	}

	public static void setUseLog4jAppender(boolean use) {
		useLog4jAppender = use;
	}

	public static boolean getUseLog4jAppender() {
		return useLog4jAppender;
	}

	/** Called once by the adapter. */
	public static void setLogger(LambdaLogger logger) {
		LambdaRuntime.setLogger(logger);
	}
}
