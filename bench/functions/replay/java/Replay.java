/* What a replay runs for a recorded function: takes as long, keeps as much memory, as its event says. */
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Map;

public class Replay implements RequestHandler<Map<String, Double>, Map<String, Integer>> {
	private static final int PAGE = 4096;
	private static byte[] kept = new byte[0];

	/* One for all threads, where a server has several. */
	private static synchronized int keep(int size) {
		if (kept.length < size) {
			kept = new byte[size];
		}
		for (int at = 0; at < size; at += PAGE) {
			kept[at] = 1;
		}
		return kept.length >> 10;
	}

	@Override
	public Map<String, Integer> handleRequest(Map<String, Double> event, Context context) {
		int kb = keep(event.get("kb").intValue() << 10);
		long end = System.nanoTime() + (long) (event.get("spin_ms") * 1e6);
		while (System.nanoTime() < end) {
			Thread.onSpinWait();
		}
		try {
			long sleep = (long) (event.get("sleep_ms") * 1e6);
			Thread.sleep(sleep / 1_000_000, (int) (sleep % 1_000_000));
		} catch (InterruptedException e) {
			Thread.currentThread().interrupt();
		}
		return Map.of("kb", kb);
	}
}
