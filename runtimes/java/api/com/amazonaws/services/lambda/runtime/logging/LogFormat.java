/* How a function's log is written. */
package com.amazonaws.services.lambda.runtime.logging;

import java.util.Locale;

public enum LogFormat {
	JSON, TEXT;

	public static LogFormat fromString(String name) {
		try {
			return valueOf(name.toUpperCase(Locale.ROOT));
		} catch (IllegalArgumentException | NullPointerException e) {
			throw new IllegalArgumentException("Log format \"" + name + "\" is none; use JSON or TEXT");
		}
	}
}
