import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Base64;
import java.util.Map;
import javax.imageio.ImageIO;

/** A photograph made small by the JDK's own ImageIO and Java 2D: decoded from JPEG, scaled, and encoded again. */
public class Thumbnail implements RequestHandler<Map<String, Object>, Map<String, String>> {
	static {
		ImageIO.setUseCache(false);
	}

	@Override
	public Map<String, String> handleRequest(Map<String, Object> event, Context context) {
		try (InputStream input = Thumbnail.class.getResourceAsStream((String) event.get("file"))) {
			BufferedImage picture = ImageIO.read(input);
			int width = ((Number) event.get("width")).intValue(), height = ((Number) event.get("height")).intValue();
			while (picture.getWidth() >= 2 * width)
				picture = scale(picture, picture.getWidth() / 2, picture.getHeight() / 2);
			ByteArrayOutputStream small = new ByteArrayOutputStream();
			ImageIO.write(scale(picture, width, height), "jpeg", small);
			return Map.of("jpeg", Base64.getEncoder().encodeToString(small.toByteArray()));
		} catch (IOException error) {
			throw new IllegalStateException(error);
		}
	}

	/* Bilinear reads four pixels for each new one, so it must not shrink by more than half at once. */
	private static BufferedImage scale(BufferedImage picture, int width, int height) {
		BufferedImage scaled = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
		Graphics2D graphics = scaled.createGraphics();
		graphics.setRenderingHint(RenderingHints.KEY_INTERPOLATION, RenderingHints.VALUE_INTERPOLATION_BILINEAR);
		graphics.drawImage(picture, 0, 0, width, height, null);
		graphics.dispose();
		return scaled;
	}
}
