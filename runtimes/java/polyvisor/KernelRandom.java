/*
 * KernelRandom.java - SecureRandom straight from the kernel, which never gives two clones the same.
 * The JDK's own keep state, and buffers, that a clone would inherit.
 */
package polyvisor;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.security.*;
import java.util.List;
import java.util.Map;

final class KernelRandom extends SecureRandomSpi {
	private final transient Provider.Service replaced;
	private SecureRandom seeded;
	private boolean used;

	private KernelRandom(Provider.Service replaced) {
		this.replaced = replaced;
	}

	/* Takes the place of every SecureRandom of a provider, whatever name it is asked for by. */
	static void install(Provider provider, MethodHandles.Lookup lookup) throws Throwable {
		MethodHandle put = lookup.findVirtual(Provider.class, "putService",
				MethodType.methodType(void.class, Provider.Service.class));
		for (Provider.Service each : List.copyOf(provider.getServices())) {
			if (each.getType().equals("SecureRandom")) {
				put.invoke(provider, new Provider.Service(provider, each.getType(), each.getAlgorithm(),
						KernelRandom.class.getName(), null, Map.of("ThreadSafe", "true")) {
					@Override
					public Object newInstance(Object parameters) {
						return new KernelRandom(each);
					}
				});
			}
		}
	}

	/* SHA1PRNG seeded before its first use is a promise to repeat, and existing code derives keys by it. */
	@Override
	protected synchronized void engineSetSeed(byte[] seed) {
		if (seeded == null && !used && replaced.getAlgorithm().equals("SHA1PRNG")) {
			try {
				seeded = new SecureRandom((SecureRandomSpi) replaced.newInstance(null), replaced.getProvider()) { };
			} catch (NoSuchAlgorithmException e) {
				throw new ProviderException(e);
			}
		}
		if (seeded != null) {
			seeded.setSeed(seed);
		}
	}

	@Override
	protected void engineNextBytes(byte[] bytes) {
		used = true;
		if (seeded != null) {
			seeded.nextBytes(bytes);
		} else {
			Guest.random(bytes);
		}
	}

	@Override
	protected byte[] engineGenerateSeed(int size) {
		byte[] seed = new byte[size];
		Guest.random(seed);
		return seed;
	}

	/* A DRBG has these two as well. */

	@Override
	protected void engineNextBytes(byte[] bytes, SecureRandomParameters parameters) {
		engineNextBytes(bytes);
	}

	@Override
	protected void engineReseed(SecureRandomParameters parameters) {
	}
}
