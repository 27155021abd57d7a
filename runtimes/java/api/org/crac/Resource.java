/*
 * Something that must know when its process is cloned: a pool of connections, a seed, a cache of
 * credentials. Registered with a Context, which does not keep it alive.
 */
package org.crac;

public interface Resource {
	/** In the function template, before it is parked: give up what clones cannot share. */
	void beforeCheckpoint(Context<? extends Resource> context) throws Exception;

	/** In each isolate, before its first event: make it again. */
	void afterRestore(Context<? extends Resource> context) throws Exception;
}
