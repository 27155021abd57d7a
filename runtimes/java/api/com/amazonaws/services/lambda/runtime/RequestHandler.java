/* A handler whose event and result are Java objects; the runtime converts them from and to JSON. */
package com.amazonaws.services.lambda.runtime;

public interface RequestHandler<I, O> {
	O handleRequest(I event, Context context);
}
