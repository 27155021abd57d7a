/*
 * Uniqueness.java - nothing that the JDK keeps may be the same in two clones: seeds, the process id.
 *
 * SecureRandom, and with it UUID, temporary files and TLS, needs no care in a clone: before its first
 * use it is made to ask the kernel. What is seeded is given a new seed in each clone.
 */
package polyvisor;

import java.lang.invoke.*;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.security.Security;
import java.util.*;
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
	private static MethodHandle notInitialised;
	private static Map<?, ?> children;

	/* In the runtime template: makes and finds all that renew() will seed. */
	static void prepare() throws Throwable {
		KernelRandom.install(Security.getProvider("SUN"), LOOKUP);
		Collections.shuffle(new ArrayList<>(List.of(1, 2)));
		addSeeds(Random.class);
		addSeeds(ThreadLocalRandom.class);
		addSeeds(Collections.class);
		addSeeds(Class.forName("java.lang.Math$RandomNumberGeneratorHolder"));
		addSeeds(Class.forName("java.lang.StrictMath$RandomNumberGeneratorHolder"));
		for (var each : RandomGeneratorFactory.all().toList()) {
			addSeeds(each.create().getClass());
		}
		threadSeed = LOOKUP.findVarHandle(Thread.class, "threadLocalRandomSeed", long.class);
		while (everyThread.getParent() != null) {
			everyThread = everyThread.getParent();
		}
		processes = Class.forName("java.lang.ProcessHandleImpl", false, null);
		notInitialised = unsafe("shouldBeInitialized", boolean.class, Class.class).bindTo(processes);
	}

	private static void addSeeds(Class<?> keeper) throws Throwable {
		for (Field field : keeper.getDeclaredFields()) {
			if (field.getType() == AtomicLong.class && Modifier.isStatic(field.getModifiers())) {
				SEEDERS.add((AtomicLong) LOOKUP.unreflectGetter(field).invoke());
			} else if (field.getType() == Random.class) {
				GENERATORS.add((Random) LOOKUP.unreflectGetter(field).invoke());
			}
		}
	}

	private static MethodHandle unsafe(String name, Class<?> result, Class<?>... parameters) throws Throwable {
		Class<?> unsafe = Class.forName("jdk.internal.misc.Unsafe");
		return LOOKUP.findVirtual(unsafe, name, MethodType.methodType(result, parameters))
				.bindTo(LOOKUP.findStatic(unsafe, "getUnsafe", MethodType.methodType(unsafe)).invoke());
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
			renewProcess();
		}
	}

	private static boolean processesUsed() throws Throwable {
		return !(boolean) notInitialised.invokeExact();
	}

	/* ProcessHandle.current() is made once, and its fields are final. */
	private static void renewProcess() throws Throwable {
		MethodHandle offset = unsafe("objectFieldOffset", long.class, Class.class, String.class);
		MethodHandle put = unsafe("putLong", void.class, Object.class, long.class, long.class);
		Object pid = LOOKUP.findStatic(processes, "getCurrentPid0", MethodType.methodType(long.class)).invoke();
		Object start = LOOKUP.findStatic(processes, "isAlive0", MethodType.methodType(long.class, long.class)).invoke(pid);
		put.invoke(ProcessHandle.current(), offset.invoke(processes, "pid"), pid);
		put.invoke(ProcessHandle.current(), offset.invoke(processes, "startTime"), start);
	}

	/* The children that Java's own threads wait for, to be left to them. */
	static int[] children() throws Throwable {
		if (children == null && processesUsed()) {
			children = (Map<?, ?>) LOOKUP.findStaticGetter(processes, "completions", ConcurrentMap.class).invoke();
		}
		return children == null ? NONE : children.keySet().stream().mapToInt(pid -> ((Long) pid).intValue()).toArray();
	}
}
