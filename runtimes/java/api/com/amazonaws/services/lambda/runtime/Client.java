/* The application that made an invocation, in its own words. */
package com.amazonaws.services.lambda.runtime;

public interface Client {
	String getInstallationId();

	String getAppTitle();

	String getAppVersionName();

	String getAppVersionCode();

	String getAppPackageName();
}
