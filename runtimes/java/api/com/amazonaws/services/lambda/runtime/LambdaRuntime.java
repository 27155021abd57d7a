/* The logger for code that has no context at hand. Outside polyvisor it writes to standard output. */
package com.amazonaws.services.lambda.runtime;

public final class LambdaRuntime {
	private static volatile LambdaLogger logger = new LambdaLogger() {
		@Override
		public void log(String message) {
			System.out.print(message);
		}

		@Override
		public void log(byte[] message) {
			System.out.write(message, 0, message.length);
		}
	};

	private LambdaRuntime() {
	}

	public static LambdaLogger getLogger() {
		return logger;
	}

	static void setLogger(LambdaLogger replacement) {
		logger = replacement;
	}
}
