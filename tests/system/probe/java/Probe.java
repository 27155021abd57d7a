// The probe handler in Java: does what the event's "do" names. Every language has the same operations.
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.IntStream;

public class Probe implements RequestHandler<Object, Object> {
  interface Operation { Object run(Map<String, Object> with, Context context) throws Exception; }

  // In a class of its own: its threads would wait for the initialisation of Probe, which waits for them.
  static final class Pool {
    static final ExecutorService EXECUTOR = Executors.newFixedThreadPool(2, task -> { Thread t = new Thread(task); t.setDaemon(true); return t; });
  }

  static int served;
  static final Map<String, Operation> OPERATIONS = new HashMap<>();

  static { try { Pool.EXECUTOR.submit(Thread::yield).get(); } catch (Exception e) { throw new IllegalStateException(e); } }

  static {
    OPERATIONS.put("echo", (with, context) -> with);
    OPERATIONS.put("served", (with, context) -> ++served);
    OPERATIONS.put("context", Probe::tellContext);
    OPERATIONS.put("environment", (with, context) -> {
      Map<String, Object> values = new TreeMap<>();
      for (Object name : (List<?>) with.get("names")) values.put((String) name, System.getenv((String) name));
      return values;
    });
    OPERATIONS.put("throw", (with, context) -> { throw new IllegalArgumentException("thrown on purpose"); });
    OPERATIONS.put("unserialisable", (with, context) -> { Map<String, Object> loop = new HashMap<>(); loop.put("me", loop); return loop; });
    OPERATIONS.put("exit", (with, context) -> { System.exit(((Number) with.getOrDefault("status", 3)).intValue()); return null; });
    OPERATIONS.put("crash", (with, context) -> { unsafe().putAddress(0, 0); return null; });
    OPERATIONS.put("loop", (with, context) -> { for (;;) if (served == Integer.MIN_VALUE) return null; });
    OPERATIONS.put("sleep", (with, context) -> { Thread.sleep((long) (((Number) with.get("seconds")).doubleValue() * 1000)); return "slept"; });
    OPERATIONS.put("large", (with, context) -> "x".repeat(((Number) with.get("size")).intValue()));
    OPERATIONS.put("orphans", Probe::orphans);
    OPERATIONS.put("flood", (with, context) -> {
      String line = "y".repeat(1023);
      for (int i = 0; i < ((Number) with.get("kb")).intValue(); i++) System.out.println(line);
      return "flooded";
    });
    OPERATIONS.put("close", (with, context) -> { try (FileOutputStream out = new FileOutputStream(descriptor(3))) { return "closed"; } });
    OPERATIONS.put("garbage", (with, context) -> {
      new FileOutputStream(descriptor(3)).write("garbage".repeat(100).getBytes());
      Thread.sleep(5000);
      return "not reached";
    });
    OPERATIONS.put("output", (with, context) -> { System.out.println("to standard output"); System.err.println("to standard error"); return "printed"; });
    OPERATIONS.put("threads", (with, context) -> {
      int sum = IntStream.range(0, 8).parallel().map(i -> i * i).sum();
      return sum + Pool.EXECUTOR.submit(() -> 1000).get(5, TimeUnit.SECONDS);
    });
    OPERATIONS.put("child", (with, context) -> new String(new ProcessBuilder("sh", "-c", "echo from a child; exit 7").start().getInputStream().readAllBytes()).trim());
    OPERATIONS.put("fetch", Probe::fetch);
    OPERATIONS.put("temporary", (with, context) -> {
      Path path = Path.of("/tmp/left-behind");
      boolean seen = Files.exists(path);
      Files.writeString(path, (String) with.get("secret"));
      return Map.of("seen", seen, "files", new File("/tmp").list((directory, name) -> !name.startsWith("hsperf")));
    });
    OPERATIONS.put("look", (with, context) -> {
      String[] code = new File("/var/task").list();
      Arrays.sort(code);
      boolean writable;
      try { writable = new File("/var/task/x").createNewFile(); } catch (IOException e) { writable = false; }
      int[] processes = Arrays.stream(new File("/proc").list()).filter(name -> name.matches("\\d+")).mapToInt(Integer::parseInt).sorted().toArray();
      return Map.of("pid", Integer.parseInt(Files.readSymbolicLink(Path.of("/proc/self")).toString()),
          "directory", Files.readSymbolicLink(Path.of("/proc/self/cwd")).toString(), "code", code, "processes", processes, "writable", writable);
    });
    OPERATIONS.put("hold", (with, context) -> {
      List<byte[]> kept = new ArrayList<>();
      for (int i = 0; i < number(with, "mb") / 8; i++) {
        kept.add(new byte[8 << 20]);
        Arrays.fill(kept.get(i), (byte) 1);
      }
      Thread.sleep(1000L * ((Number) with.getOrDefault("seconds", 0)).intValue());
      return kept.size() * 8;
    });
    OPERATIONS.put("processes", (with, context) -> {
      int made = 0;
      String error = null;
      try {
        for (; made < number(with, "most"); made++) new ProcessBuilder("sleep", "1000").start();
      } catch (IOException | OutOfMemoryError e) { // of which the second says that no thread can be made
        error = e.getMessage();
      }
      return Map.of("made", made, "error", String.valueOf(error));
    });
    OPERATIONS.put("bomb", (with, context) -> {
      new ProcessBuilder("sh", "-c", "b() { b | b & }; b").redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
      Thread.sleep(1000L * number(with, "seconds"));
      return "survived";
    });
    OPERATIONS.put("fill", (with, context) -> {
      int written = 0;
      String error = null;
      try (FileOutputStream file = new FileOutputStream("/tmp/filled")) {
        for (; written < number(with, "mb"); written++) file.write(new byte[1 << 20]);
      } catch (IOException e) {
        error = e.getMessage();
      }
      return Map.of("mb", written, "error", String.valueOf(error));
    });
    OPERATIONS.put("descriptors", (with, context) -> {
      List<AutoCloseable> opened = new ArrayList<>();
      String error = null;
      try {
        while (opened.size() < number(with, "most")) opened.add(new java.io.FileInputStream("/dev/null"));
      } catch (IOException e) {
        error = e.getMessage();
      }
      for (AutoCloseable each : opened) each.close();
      return Map.of("opened", opened.size(), "error", String.valueOf(error));
    });
    OPERATIONS.put("spin", (with, context) -> {
      long end = System.nanoTime() + number(with, "seconds") * 1_000_000_000L;
      long before = java.lang.management.ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
      while (System.nanoTime() < end) Thread.onSpinWait();
      return (java.lang.management.ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - before) / 1e9;
    });
    OPERATIONS.put("work", (with, context) -> {
      long total = 0;
      for (int i = 0; i < ((Number) with.getOrDefault("rounds", 1000)).intValue(); i++) total = (total * 31 + i) % 1000003;
      return total;
    });
  }

  static int number(Map<String, Object> with, String name) {
    return ((Number) with.get(name)).intValue();
  }

  static Object tellContext(Map<String, Object> with, Context context) {
    int left = context.getRemainingTimeInMillis();
    Map<String, Object> told = new HashMap<>();
    told.put("name", context.getFunctionName());
    told.put("version", context.getFunctionVersion());
    told.put("memory", context.getMemoryLimitInMB());
    told.put("arn", context.getInvokedFunctionArn());
    told.put("request", context.getAwsRequestId());
    told.put("left", left > 0 && left <= 60000);
    told.put("group", context.getLogGroupName());
    told.put("stream", context.getLogStreamName() != null && !context.getLogStreamName().isEmpty());
    told.put("client", context.getClientContext() == null ? null : context.getClientContext().getCustom());
    return told;
  }

  static Object orphans(Map<String, Object> with, Context context) throws Exception {
    new ProcessBuilder("sh", "-c", "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & setsid sleep 1000 & exit").start();
    Thread.sleep(300);
    return new File("/proc").list((directory, name) -> name.matches("\\d+")).length >= 3;
  }

  static Object fetch(Map<String, Object> with, Context context) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", exchange -> {
      exchange.sendResponseHeaders(200, 7);
      exchange.getResponseBody().write("fetched".getBytes());
      exchange.close();
    });
    server.start();
    try {
      URI uri = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/");
      return HttpClient.newHttpClient().send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString()).body();
    } finally {
      server.stop(0);
    }
  }

  static sun.misc.Unsafe unsafe() throws Exception {
    Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
    field.setAccessible(true);
    return (sun.misc.Unsafe) field.get(null);
  }

  static FileDescriptor descriptor(int number) throws Exception {
    FileDescriptor descriptor = new FileDescriptor();
    unsafe().putInt(descriptor, unsafe().objectFieldOffset(FileDescriptor.class.getDeclaredField("fd")), number);
    return descriptor;
  }

  @Override
  @SuppressWarnings("unchecked")
  public Object handleRequest(Object event, Context context) {
    if (!(event instanceof Map) || !((Map<String, Object>) event).containsKey("do")) return event;
    Map<String, Object> wanted = (Map<String, Object>) event;
    Map<String, Object> with = (Map<String, Object>) wanted.getOrDefault("with", Map.of());
    try {
      return OPERATIONS.get(wanted.get("do")).run(with, context);
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new RuntimeException(e);
    }
  }
}
