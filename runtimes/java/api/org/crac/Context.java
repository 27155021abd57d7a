/* A group of resources that is told as one; it is a resource itself. */
package org.crac;

public abstract class Context<R extends Resource> implements Resource {
	protected Context() {
	}

	@Override
	public abstract void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException;

	@Override
	public abstract void afterRestore(Context<? extends Resource> context) throws RestoreException;

	/** The resource is told as long as something else refers to it. */
	public abstract void register(R resource);
}
