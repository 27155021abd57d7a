import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

import java.text.BreakIterator;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * What there is to count in a text: sentences, words, the longest of them and the most frequent ones, and how long reading takes.
 *
 * The event holds the text as "text", and may hold how many of the most frequent words are wanted as "top", and the
 * language of the text as "language".
 */
public class TextStatistics implements RequestHandler<Map<String, Object>, Map<String, Object>> {
	private static final int WORDS_PER_MINUTE = 230;

	@Override
	public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
		if (!(event.get("text") instanceof String text))
			throw new IllegalArgumentException("the event has no \"text\"");
		Locale language = Locale.forLanguageTag((String) event.getOrDefault("language", "en"));
		int top = ((Number) event.getOrDefault("top", 5)).intValue();
		List<String> words = words(text, language);

		Map<String, Object> statistics = new LinkedHashMap<>();
		statistics.put("characters", text.codePointCount(0, text.length()));
		statistics.put("sentences", parts(text, BreakIterator.getSentenceInstance(language)).size());
		statistics.put("words", words.size());
		statistics.put("differentWords", words.stream().distinct().count());
		statistics.put("longestWord", words.stream().max(Comparator.comparingInt(String::length)).orElse(""));
		statistics.put("mostFrequent", mostFrequent(words, top));
		statistics.put("readingSeconds", Math.round(words.size() * 60.0 / WORDS_PER_MINUTE));
		return statistics;
	}

	private static List<String> parts(String text, BreakIterator breaks) {
		List<String> parts = new ArrayList<>();
		breaks.setText(text);
		int start = breaks.first();
		for (int end = breaks.next(); end != BreakIterator.DONE; start = end, end = breaks.next())
			if (!text.substring(start, end).isBlank())
				parts.add(text.substring(start, end));
		return parts;
	}

	private static List<String> words(String text, Locale language) {
		return parts(text, BreakIterator.getWordInstance(language)).stream()
			.filter(part -> part.codePoints().anyMatch(Character::isLetterOrDigit))
			.map(part -> part.toLowerCase(language))
			.toList();
	}

	private static Map<String, Integer> mostFrequent(List<String> words, int top) {
		Map<String, Integer> counts = new TreeMap<>();
		words.forEach(word -> counts.merge(word, 1, Integer::sum));
		Map<String, Integer> first = new LinkedHashMap<>();
		counts.entrySet().stream()
			.sorted(Map.Entry.<String, Integer>comparingByValue().reversed())
			.limit(top)
			.forEach(entry -> first.put(entry.getKey(), entry.getValue()));
		return first;
	}
}
