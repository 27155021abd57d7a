/* What a virtual machine that was cloned must still be able to do. */
package cases;

import com.sun.net.httpserver.HttpServer;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.RandomAccessFile;
import java.lang.ref.Cleaner;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Timer;
import java.util.TimerTask;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;

public class Machine {
	/* Made before the clone, used after it. */
	private static final ExecutorService OLD_POOL = Executors.newFixedThreadPool(3, Machine::daemon);
	private static final ScheduledExecutorService OLD_TIMER = Executors.newScheduledThreadPool(1, Machine::daemon);
	private static final HttpClient OLD_CLIENT = HttpClient.newHttpClient();
	private static volatile int ticks;

	public Machine() throws Exception {
		OLD_POOL.submit(() -> 1).get();
		OLD_TIMER.scheduleAtFixedRate(() -> ticks++, 1, 1, TimeUnit.MILLISECONDS);
		IntStream.range(0, 1000).parallel().sum();
	}

	private static Thread daemon(Runnable task) {
		Thread thread = new Thread(task);
		thread.setDaemon(true);
		return thread;
	}

	public int threads(int count) throws Exception {
		int[] sum = new int[1];
		List<Thread> all = new ArrayList<>();
		for (int i = 0; i < count; i++) {
			Thread thread = new Thread(() -> {
				synchronized (sum) {
					sum[0]++;
				}
			});
			thread.start();
			all.add(thread);
		}
		for (Thread each : all) {
			each.join();
		}
		return sum[0];
	}

	public int executors(int count) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(4);
		List<Future<Integer>> results = new ArrayList<>();
		for (int i = 0; i < count; i++) {
			results.add(pool.submit(() -> 1));
			results.add(OLD_POOL.submit(() -> 1));
		}
		int sum = 0;
		for (Future<Integer> each : results) {
			sum += each.get(10, TimeUnit.SECONDS);
		}
		pool.shutdown();
		return pool.awaitTermination(10, TimeUnit.SECONDS) ? sum : -1;
	}

	public int parallel(int count) throws Exception {
		return IntStream.range(0, count).parallel().map(i -> i % 7).sum()
				+ CompletableFuture.supplyAsync(() -> 1).get(10, TimeUnit.SECONDS);
	}

	public long collect(int megabytes) {
		long before = collections();
		byte[][] kept = new byte[16][];
		for (int i = 0; i < megabytes; i++) {
			kept[i % 16] = new byte[1 << 20];
		}
		System.gc();
		return collections() - before;
	}

	private static long collections() {
		return java.lang.management.ManagementFactory.getGarbageCollectorMXBeans().stream()
				.mapToLong(b -> b.getCollectionCount()).sum();
	}

	public List<String> http(int count) throws Exception {
		HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
		ExecutorService pool = Executors.newFixedThreadPool(2);
		server.setExecutor(pool);
		server.createContext("/", exchange -> {
			byte[] reply = exchange.getRequestURI().getPath().getBytes();
			exchange.sendResponseHeaders(200, reply.length);
			exchange.getResponseBody().write(reply);
			exchange.close();
		});
		server.start();
		List<String> replies = new ArrayList<>();
		HttpClient fresh = HttpClient.newHttpClient();
		for (int i = 0; i < count; i++) {
			URI uri = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/" + i);
			HttpClient client = i % 2 == 0 ? fresh : OLD_CLIENT;
			replies.add(client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString()).body());
		}
		server.stop(0);
		pool.shutdown();
		return replies;
	}

	public String process(String text) throws Exception {
		Process process = new ProcessBuilder("sh", "-c", "read line; echo \"$line from child\"; exit 3").start();
		process.getOutputStream().write((text + "\n").getBytes());
		process.getOutputStream().close();
		String output = new String(process.getInputStream().readAllBytes());
		return process.waitFor() + " " + output.trim();
	}

	public String orphans(Object event) throws Exception {
		return new ProcessBuilder("sh", "-c", "(sleep 0.1; exit 1) & (exit 1) & sleep 0.05").start().waitFor() + " "
				+ zombies();
	}

	private static long zombies() throws Exception {
		try (var all = Files.list(Path.of("/proc"))) {
			return all.filter(p -> p.getFileName().toString().matches("\\d+")).filter(p -> {
				try {
					return Files.readString(p.resolve("stat")).contains(") Z ");
				} catch (Exception e) {
					return false;
				}
			}).count();
		}
	}

	public boolean files(String text) throws Exception {
		Path file = Files.createTempFile("file", ".txt");
		Files.writeString(file, text);
		try (RandomAccessFile opened = new RandomAccessFile(file.toFile(), "rw")) {
			opened.seek(opened.length());
			opened.write('!');
		}
		boolean right = Files.readString(file).equals(text + "!");
		Files.delete(file);
		return right;
	}

	public int image(int size) throws Exception {
		BufferedImage image = new BufferedImage(size, size, BufferedImage.TYPE_INT_RGB);
		image.createGraphics().fillRect(1, 1, 4, 4);
		ByteArrayOutputStream encoded = new ByteArrayOutputStream();
		ImageIO.write(image, "png", encoded);
		return ImageIO.read(new ByteArrayInputStream(encoded.toByteArray())).getRGB(2, 2) & 0xff;
	}

	public boolean timers(Object event) throws Exception {
		CountDownLatch rung = new CountDownLatch(3);
		new Timer(true).schedule(new TimerTask() {
			@Override
			public void run() {
				rung.countDown();
			}
		}, 5, 5);
		int before = ticks;
		return rung.await(10, TimeUnit.SECONDS) && waitFor(() -> ticks > before + 3);
	}

	public double compile(int rounds) {
		long first = System.nanoTime();
		work();
		long second = System.nanoTime();
		for (int i = 0; i < rounds; i++) {
			work();
		}
		long third = System.nanoTime();
		work();
		return (double) (second - first) / (System.nanoTime() - third);
	}

	private static int work() {
		int hash = 0;
		for (int i = 0; i < 20000; i++) {
			hash = hash * 31 + Integer.toString(i % 977).hashCode();
		}
		return hash;
	}

	public boolean cleaner(Object event) throws Exception {
		CountDownLatch cleaned = new CountDownLatch(1);
		Cleaner.create().register(new Object(), cleaned::countDown);
		return waitFor(() -> {
			System.gc();
			return cleaned.getCount() == 0;
		});
	}

	private interface Condition {
		boolean holds();
	}

	private static boolean waitFor(Condition condition) throws Exception {
		for (int i = 0; i < 500; i++) {
			if (condition.holds()) {
				return true;
			}
			Thread.sleep(10);
		}
		return false;
	}

	public List<Object> identity(Object event) throws Exception {
		ProcessHandle own = ProcessHandle.current();
		return List.of(own.pid(), Long.parseLong(Path.of("/proc/self").toRealPath().getFileName().toString()),
				own.isAlive(), own.equals(ProcessHandle.of(own.pid()).orElse(null)));
	}
}
