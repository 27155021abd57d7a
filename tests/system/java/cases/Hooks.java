/* Lifecycle hooks, by the names of CRaC. */
package cases;

import java.util.ArrayList;
import java.util.List;
import org.crac.Context;
import org.crac.Core;
import org.crac.Resource;

public class Hooks {
	static final List<String> HAPPENED = new ArrayList<>();
	static final List<Resource> KEPT = new ArrayList<>();

	static final class Told implements Resource {
		private final String name;

		Told(String name) {
			this.name = name;
			Core.getGlobalContext().register(this);
		}

		@Override
		public void beforeCheckpoint(Context<? extends Resource> context) throws Exception {
			HAPPENED.add("before " + name);
			if (name.equals(System.getenv("BEFORE_FAILS"))) {
				throw new IllegalStateException("before " + name + " failed");
			}
		}

		@Override
		public void afterRestore(Context<? extends Resource> context) throws Exception {
			HAPPENED.add("after " + name);
			if (name.equals(System.getenv("AFTER_FAILS"))) {
				throw new IllegalStateException("after " + name + " failed");
			}
		}
	}

	public Hooks() {
		KEPT.add(new Told("one"));
		new Told("forgotten");
		KEPT.add(new Told("two"));
		KEPT.add(new Told("three"));
		System.gc();
	}

	public List<String> happened() {
		return HAPPENED;
	}
}
