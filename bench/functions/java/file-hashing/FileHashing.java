import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;

/** The SHA-256 of a file that comes with the function. */
public class FileHashing implements RequestHandler<Map<String, String>, Map<String, String>> {
	@Override
	public Map<String, String> handleRequest(Map<String, String> event, Context context) {
		try (InputStream input = FileHashing.class.getResourceAsStream(event.get("file"))) {
			MessageDigest digest = MessageDigest.getInstance("SHA-256");
			byte[] part = new byte[65536];
			for (int length; (length = input.read(part)) >= 0; )
				digest.update(part, 0, length);
			return Map.of("sha256", HexFormat.of().formatHex(digest.digest()));
		} catch (IOException | NoSuchAlgorithmException error) {
			throw new IllegalStateException(error);
		}
	}
}
