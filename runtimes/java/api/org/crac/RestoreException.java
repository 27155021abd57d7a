/* Some resources could not be made again in a clone; their exceptions are the suppressed ones. */
package org.crac;

public class RestoreException extends Exception {
	private static final long serialVersionUID = 1;

	public RestoreException() {
	}

	public RestoreException(String message) {
		super(message);
	}
}
