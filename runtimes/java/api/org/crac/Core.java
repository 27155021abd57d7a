/*
 * Where resources register. The one global context holds them weakly, tells them in reverse order of
 * registration before a clone is made, and in order in the clone. A resource that throws does not
 * keep the others from being told; what they threw is suppressed in the one exception.
 */
package org.crac;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

public class Core {
	private static final GlobalContext GLOBAL = new GlobalContext();

	public static Context<Resource> getGlobalContext() {
		return GLOBAL;
	}

	/** Here it is polyvisor that decides when a process is cloned, never the function. */
	public static void checkpointRestore() throws CheckpointException, RestoreException {
		throw new UnsupportedOperationException("polyvisor decides when a process is cloned");
	}

	private static final class GlobalContext extends Context<Resource> {
		private final List<WeakReference<Resource>> registered = new ArrayList<>();

		@Override
		public synchronized void register(Resource resource) {
			registered.add(new WeakReference<>(Objects.requireNonNull(resource)));
		}

		private synchronized List<Resource> alive() {
			List<Resource> resources = new ArrayList<>();
			for (WeakReference<Resource> each : registered) {
				Resource resource = each.get();
				if (resource != null) {
					resources.add(resource);
				}
			}
			return resources;
		}

		@Override
		public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
			List<Resource> resources = alive();
			CheckpointException failed = null;
			Collections.reverse(resources);
			for (Resource each : resources) {
				try {
					each.beforeCheckpoint(this);
				} catch (Exception e) {
					failed = failed != null ? failed : new CheckpointException(e.toString());
					failed.addSuppressed(e);
				}
			}
			if (failed != null) {
				throw failed;
			}
		}

		@Override
		public void afterRestore(Context<? extends Resource> context) throws RestoreException {
			RestoreException failed = null;
			for (Resource each : alive()) {
				try {
					each.afterRestore(this);
				} catch (Exception e) {
					failed = failed != null ? failed : new RestoreException(e.toString());
					failed.addSuppressed(e);
				}
			}
			if (failed != null) {
				throw failed;
			}
		}
	}
}
