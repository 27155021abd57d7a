/* Everything that must differ between clones, each drawn from before the function template parks. */
package cases;

import java.io.File;
import java.nio.file.Files;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadLocalRandom;
import java.util.random.RandomGeneratorFactory;

public class Sources {
	private static final SecureRandom SECURE = new SecureRandom();
	private static final ExecutorService POOL = Executors.newSingleThreadExecutor(task -> {
		Thread thread = new Thread(task);
		thread.setDaemon(true);
		return thread;
	});

	public Sources() throws Exception {
		draw();
	}

	public Map<String, String> draw() throws Exception {
		Map<String, String> drawn = new LinkedHashMap<>();
		drawn.put("Math.random", String.valueOf(Math.random()));
		drawn.put("StrictMath.random", String.valueOf(StrictMath.random()));
		drawn.put("new Random", String.valueOf(new Random().nextLong()));
		drawn.put("ThreadLocalRandom", String.valueOf(ThreadLocalRandom.current().nextLong()));
		drawn.put("ThreadLocalRandom of an old thread", POOL.submit(() -> ThreadLocalRandom.current().nextLong()).get().toString());
		String[] other = new String[1];
		Thread thread = new Thread(() -> other[0] = String.valueOf(ThreadLocalRandom.current().nextLong()));
		thread.start();
		thread.join();
		drawn.put("ThreadLocalRandom of a new thread", other[0]);
		drawn.put("SplittableRandom", String.valueOf(new SplittableRandom().nextLong()));
		RandomGeneratorFactory.all().filter(f -> !f.name().equals("SecureRandom"))
				.forEach(f -> drawn.put("generator " + f.name(), String.valueOf(f.create().nextLong())));
		drawn.put("SecureRandom", String.valueOf(SECURE.nextLong()));
		drawn.put("new SecureRandom", String.valueOf(new SecureRandom().nextLong()));
		for (String name : List.of("NativePRNG", "NativePRNGNonBlocking", "NativePRNGBlocking", "DRBG", "SHA1PRNG")) {
			drawn.put(name, String.valueOf(SecureRandom.getInstance(name).nextLong()));
			drawn.put(name + " of SUN", String.valueOf(SecureRandom.getInstance(name, "SUN").nextLong()));
		}
		drawn.put("strong SecureRandom", String.valueOf(SecureRandom.getInstanceStrong().nextLong()));
		drawn.put("UUID", UUID.randomUUID().toString());
		List<Integer> cards = new ArrayList<>();
		for (int i = 0; i < 30; i++) {
			cards.add(i);
		}
		Collections.shuffle(cards);
		drawn.put("shuffle", cards.toString());
		File file = File.createTempFile("abc", ".d");
		drawn.put("File.createTempFile", file.getName());
		drawn.put("Files.createTempDirectory", Files.createTempDirectory("abc").getFileName().toString());
		KeyPairGenerator keys = KeyPairGenerator.getInstance("EC");
		keys.initialize(256);
		drawn.put("EC key", Arrays.toString(keys.generateKeyPair().getPublic().getEncoded()));
		return drawn;
	}

	/* What the author seeded must repeat, in a clone as anywhere. */
	public List<Long> repeat() throws Exception {
		SecureRandom seeded = SecureRandom.getInstance("SHA1PRNG");
		seeded.setSeed(42);
		return List.of(new Random(42).nextLong(), seeded.nextLong(), new SplittableRandom(42).nextLong());
	}
}
