/* The context of an invocation, as handlers compiled for Lambda expect it; the adapter implements it. */
package com.amazonaws.services.lambda.runtime;

public interface Context {
	String getAwsRequestId();

	String getLogGroupName();

	String getLogStreamName();

	String getFunctionName();

	String getFunctionVersion();

	String getInvokedFunctionArn();

	/** Who called, where the caller said so by Cognito; else null. */
	CognitoIdentity getIdentity();

	/** What a mobile client said about itself; null when it did not. */
	ClientContext getClientContext();

	int getRemainingTimeInMillis();

	int getMemoryLimitInMB();

	LambdaLogger getLogger();

	/* Newer than the rest, and therefore with a body: handlers bring test contexts without them. */

	default String getTenantId() {
		return null;
	}

	default String getXrayTraceId() {
		return null;
	}
}
