'use strict';
/* Hello that can be told to wait, so that many isolates serve at the same time. */
exports.handler = async (event) => {
	await new Promise((resolve) => setTimeout(resolve, event.wait_ms || 0));
	return { hello: 'world' };
};
