/* A handler that reads the event and writes the reply as bytes. */
package com.amazonaws.services.lambda.runtime;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;

public interface RequestStreamHandler {
	void handleRequest(InputStream event, OutputStream reply, Context context) throws IOException;
}
