// A hostile function in Java: the same rows as in Python as far as it goes, through its own interfaces, raw memory
// and a library of its own. At import time in the function template, and in the handler.
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.reflect.Field;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.regex.*;
import sun.misc.Unsafe;

public class Hostile implements RequestHandler<Map<String, Object>, Object> {
  interface Attempt { String run() throws Exception; }

  static native long call(long number, long a, long b, long c, long d, long e, long f);

  static final Map<String, Attempt> OWN = new LinkedHashMap<>();
  static final Map<Integer, String> ERRORS = Map.of(1, "EPERM", 2, "ENOENT", 13, "EACCES", 22, "EINVAL", 28, "ENOSPC",
      30, "EROFS", 38, "ENOSYS", 97, "EAFNOSUPPORT");
  static final Map<String, String> REASONS = Map.of("Read-only file system", "EROFS", "Permission denied", "EACCES",
      "Operation not permitted", "EPERM", "Connection refused", "ECONNREFUSED", "Network is unreachable", "ENETUNREACH",
      "Text file busy", "ETXTBSY");

  static String env(String name) { return System.getenv(name); }

  static String write(String path) throws IOException {
    Files.newOutputStream(Path.of(path), StandardOpenOption.WRITE).close();
    return "succeeds";
  }

  static String read(String path) throws IOException {
    Files.newInputStream(Path.of(path)).close();
    return "succeeds";
  }

  static String list(String path) throws IOException {
    Files.list(Path.of(path)).close();
    return "succeeds";
  }

  static String reachCanary(String start) {
    for (int depth = 0; depth < 12; depth++)
      try { read(start + "/..".repeat(depth) + env("CANARY")); return "reached at depth " + depth; } catch (IOException e) { continue; }
    return "unreachable";
  }

  static String connect(String port) throws IOException {
    try (Socket socket = new Socket()) { socket.connect(new InetSocketAddress("127.0.0.1", Integer.parseInt(env(port))), 1000); }
    return "succeeds";
  }

  static String findSecrets() throws IOException {
    Set<String> found = new TreeSet<>();
    Pattern pattern = Pattern.compile("CANA" + "RY-[0-9a-f]{32}");
    try (RandomAccessFile memory = new RandomAccessFile("/proc/self/mem", "r")) {
      for (String line : Files.readAllLines(Path.of("/proc/self/maps"), StandardCharsets.ISO_8859_1)) {
        String[] words = line.split(" ", 3), span = words[0].split("-");
        if (words[1].charAt(0) != 'r' || line.contains("[v")) continue;
        long start = Long.parseUnsignedLong(span[0], 16), end = Long.parseUnsignedLong(span[1], 16);
        for (long at = start; at < end; at += 1 << 20) {
          byte[] part = new byte[(int) Math.min((1 << 20) + 64, end - at)];
          try { memory.seek(at); memory.readFully(part); } catch (IOException e) { break; }
          Matcher matcher = pattern.matcher(new String(part, StandardCharsets.ISO_8859_1));
          while (matcher.find()) found.add(matcher.group());
        }
      }
    }
    if (!found.remove(env("OWN_SECRET"))) return "blind";
    return found.isEmpty() ? "none" : found.toString();
  }

  static String processes() throws IOException {
    List<String> found = new ArrayList<>();
    for (Object pid : ProcessHandle.allProcesses().map(ProcessHandle::pid).toArray())
      if (!Files.getAttribute(Path.of("/proc/" + pid), "unix:uid").equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid")))
        found.add(pid.toString());
    return found.isEmpty() ? "none" : found.toString();
  }

  /** By a program of the system: a shell that undoes its confinement, if it can. */
  static String command(String... words) throws Exception {
    Process process = new ProcessBuilder(words).redirectErrorStream(true).start();
    process.getInputStream().readAllBytes();
    return process.waitFor() == 0 ? "succeeds" : "fails";
  }

  static Unsafe unsafe() throws Exception {
    Field field = Unsafe.class.getDeclaredField("theUnsafe");
    field.setAccessible(true);
    return (Unsafe) field.get(null);
  }

  static String raw(String[] words) throws Exception {
    long[] arguments = new long[7];
    for (int i = 1; i < words.length; i++) {
      if (!words[i].startsWith(":")) { arguments[i - 1] = Long.parseLong(words[i]); continue; }
      byte[] text = words[i].substring(1).getBytes();
      arguments[i - 1] = unsafe().allocateMemory(text.length + 1);
      for (int k = 0; k < text.length; k++) unsafe().putByte(arguments[i - 1] + k, text[k]);
      unsafe().putByte(arguments[i - 1] + text.length, (byte) 0);
    }
    long result = call(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5], arguments[6]);
    return result >= 0 ? "succeeds" : ERRORS.getOrDefault((int) -result, "errno " + -result);
  }

  static {
    OWN.put("usr_write", () -> { Files.createFile(Path.of("/usr/lib/polyvisor-was-here")); return "succeeds"; });
    OWN.put("task_write", () -> write("/var/task/Hostile.class"));
    OWN.put("adapter_write", () -> write("/var/runtime/java/polyvisor-java.jar"));
    OWN.put("exe_write", () -> write("/proc/self/exe"));
    OWN.put("write_core_pattern", () -> write("/proc/sys/kernel/core_pattern"));
    OWN.put("canary_by_path", () -> read(env("CANARY")));
    OWN.put("canary_by_cwd", () -> reachCanary("/proc/self/cwd"));
    OWN.put("canary_by_root", () -> reachCanary("/proc/self/root"));
    OWN.put("state_directory", () -> list(env("STATE")));
    OWN.put("sys_directory", () -> list("/sys"));
    OWN.put("other_processes", Hostile::processes);
    OWN.put("memory", Hostile::findSecrets);
    OWN.put("host_loopback", () -> connect("HOST_PORT"));
    OWN.put("supervisor_api", () -> connect("API_PORT"));
    OWN.put("command unshare", () -> command("unshare", "--user", "--map-root-user", "true"));
    OWN.put("command mount", () -> command("mount", "-t", "tmpfs", "-o", "size=1m", "none", "/run"));
    OWN.put("command chroot", () -> command("/usr/sbin/chroot", "/usr", "true"));
    OWN.put("command kill", () -> command("sh", "-c", "kill -9 1; kill -0 2000000"));
    OWN.put("command nsenter", () -> command("nsenter", "--target", "1", "--mount", "true"));
  }

  static Map<String, String> tryAll() {
    Map<String, String> outcomes = new LinkedHashMap<>();
    OWN.forEach((name, attempt) -> {
      String outcome;
      try { outcome = attempt.run(); }
      catch (AccessDeniedException e) { outcome = "EACCES"; }
      catch (NoSuchFileException e) { outcome = "ENOENT"; }
      catch (FileSystemException e) { outcome = REASONS.getOrDefault(e.getReason(), e.toString()); }
      catch (SocketTimeoutException e) { outcome = "ETIMEDOUT"; }
      catch (Throwable e) { outcome = REASONS.getOrDefault(e.getMessage(), e.toString()); }
      outcomes.put(name, outcome);
    });
    return outcomes;
  }

  static final Map<String, String> AT_IMPORT;

  static {
    try {
      System.load("/var/task/libraw.so");
      for (String line : Files.readAllLines(Path.of("/var/task/raw_rows.txt"))) {
        String[] words = line.split(" ");
        OWN.put(words[0], () -> raw(words));
      }
    } catch (IOException e) { throw new IllegalStateException(e); }
    AT_IMPORT = tryAll();
  }

  /** "crash" writes to where there is nothing, which ends the isolate and nothing else. */
  public Object handleRequest(Map<String, Object> event, Context context) {
    if (event.containsKey("at_import")) return AT_IMPORT;
    if (event.containsKey("crash")) try { unsafe().putAddress(0, 0); } catch (Exception e) { return e.toString(); }
    return tryAll();
  }
}
