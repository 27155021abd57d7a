/* Some resources could not be prepared for a clone; their exceptions are the suppressed ones. */
package org.crac;

public class CheckpointException extends Exception {
	private static final long serialVersionUID = 1;

	public CheckpointException() {
	}

	public CheckpointException(String message) {
		super(message);
	}
}
