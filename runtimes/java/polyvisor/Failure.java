/* Failure.java - an error of the adapter's own, with the type that Lambda's clients know it by. */
package polyvisor;

final class Failure extends Exception {
	private final String type;

	Failure(String type, String message, Throwable cause) {
		super(message, cause);
		this.type = type;
	}

	static String typeOf(Throwable e) {
		return e instanceof Failure ? ((Failure) e).type : e.getClass().getName();
	}

	@Override
	public String toString() {
		return type + ": " + getMessage();
	}
}
