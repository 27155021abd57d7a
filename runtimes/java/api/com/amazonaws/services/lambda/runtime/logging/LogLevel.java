/* How urgent a line of the log is. */
package com.amazonaws.services.lambda.runtime.logging;

import java.util.Locale;

public enum LogLevel {
	UNDEFINED, TRACE, DEBUG, INFO, WARN, ERROR, FATAL;

	public static LogLevel fromString(String name) {
		try {
			return valueOf(name.toUpperCase(Locale.ROOT));
		} catch (IllegalArgumentException | NullPointerException e) {
			throw new IllegalArgumentException("Log level \"" + name + "\" is none; use one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL");
		}
	}
}
