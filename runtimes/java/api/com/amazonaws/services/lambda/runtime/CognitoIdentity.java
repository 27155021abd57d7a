/* The Cognito identity that an invocation was made with. */
package com.amazonaws.services.lambda.runtime;

public interface CognitoIdentity {
	String getIdentityId();

	String getIdentityPoolId();
}
