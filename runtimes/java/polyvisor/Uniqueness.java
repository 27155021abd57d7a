/*
 * Uniqueness.java - nothing that the JDK keeps may be the same in two clones: seeds, the process id.
 *
 * SecureRandom, and with it UUID, temporary files and TLS, needs no care in a clone: before its first
 * use it is made to ask the kernel. What is seeded is given a new seed in each clone.
 */
package polyvisor;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.invoke.VarHandle;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.security.Security;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.random.RandomGeneratorFactory;

final class Uniqueness {
	private static final MethodHandles.Lookup LOOKUP = Guest.trustedLookup();
	private static final List<AtomicLong> SEEDERS = new ArrayList<>();
	private static final List<Random> GENERATORS = new ArrayList<>();
	private static final int[] NONE = {};
	private static final int THREADS_MARGIN = 16;
	private static ThreadGroup everyThread = Thread.currentThread().getThreadGroup();
	private static Thread[] threads;
	private static VarHandle threadSeed;
	private static Class<?> processes;
	private static MethodHandle notInitialised, startOf;
	private static Map<?, ?> children;

	private Uniqueness() {
	}

	/* In the runtime template: makes and finds all that renew() will seed. */
	static void prepare() throws Throwable {
		KernelRandom.install(Security.getProvider("SUN"), LOOKUP);
		Collections.shuffle(new ArrayList<>(List.of(1, 2)));
		List<Class<?>> keepers = new ArrayList<>(List.of(Random.class, ThreadLocalRandom.class, Collections.class,
				Class.forName("java.lang.Math$RandomNumberGeneratorHolder"),
				Class.forName("java.lang.StrictMath$RandomNumberGeneratorHolder")));
		RandomGeneratorFactory.all().forEach(f -> keepers.add(f.create().getClass()));
		for (Class<?> each : keepers) {
			for (Field field : each.getDeclaredFields()) {
				if (field.getType() == AtomicLong.class && Modifier.isStatic(field.getModifiers())) {
					SEEDERS.add((AtomicLong) LOOKUP.unreflectGetter(field).invoke());
				} else if (field.getType() == Random.class) {
					GENERATORS.add((Random) LOOKUP.unreflectGetter(field).invoke());
				}
			}
		}
		threadSeed = LOOKUP.findVarHandle(Thread.class, "threadLocalRandomSeed", long.class);
		while (everyThread.getParent() != null) {
			everyThread = everyThread.getParent();
		}
		processes = Class.forName("java.lang.ProcessHandleImpl", false, null);
		startOf = LOOKUP.findStatic(processes, "isAlive0", MethodType.methodType(long.class, long.class));
		Class<?> unsafe = Class.forName("jdk.internal.misc.Unsafe");
		notInitialised = LOOKUP.findVirtual(unsafe, "shouldBeInitialized", MethodType.methodType(boolean.class, Class.class))
				.bindTo(LOOKUP.findStatic(unsafe, "getUnsafe", MethodType.methodType(unsafe)).invoke()).bindTo(processes);
	}

	/* Before a template is parked: the threads that its clones will have. */
	static void survey() {
		Thread[] found = new Thread[everyThread.activeCount() + THREADS_MARGIN];
		threads = Arrays.copyOf(found, everyThread.enumerate(found));
	}

	/* In every clone. */
	static void renew() throws Throwable {
		ByteBuffer fresh = ByteBuffer.allocate(Long.BYTES * (SEEDERS.size() + GENERATORS.size() + threads.length));
		Guest.random(fresh.array());
		for (AtomicLong each : SEEDERS) {
			each.set(fresh.getLong());
		}
		for (Random each : GENERATORS) {
			each.setSeed(fresh.getLong());
		}
		for (Thread each : threads) {
			threadSeed.set(each, fresh.getLong());
		}
		if (processesUsed()) {
			long pid = Guest.pid();
			Guest.setLong(ProcessHandle.current(), "pid", pid);
			Guest.setLong(ProcessHandle.current(), "startTime", (long) startOf.invokeExact(pid));
		}
	}

	private static boolean processesUsed() throws Throwable {
		return !(boolean) notInitialised.invokeExact();
	}

	/* The children that Java's own threads wait for, to be left to them. */
	static int[] children() throws Throwable {
		if (children == null && processesUsed()) {
			children = (Map<?, ?>) LOOKUP.findStaticGetter(processes, "completions", ConcurrentMap.class).invoke();
		}
		return children == null ? NONE : children.keySet().stream().mapToInt(pid -> ((Long) pid).intValue()).toArray();
	}
}
