'use strict';
/*
 * server.js - a plain server for one Lambda handler over HTTP/1.1: what one process, or one container,
 * runs in the systems that polyvisor is compared with. It prints its port, and ends when its standard
 * input does.
 *
 *     server.js FOLDER MODULE.FUNCTION
 *
 * Connections are served by one event loop, which is also how one at a time are served.
 */
const fs = require('fs');
const http = require('http');
const path = require('path');
const { pathToFileURL } = require('url');
const { randomUUID } = require('crypto');

const SUFFIXES = ['.js', '.mjs', '.cjs'];

async function load(folder, name) {
	const dot = name.lastIndexOf('.');
	const file = SUFFIXES.map((each) => path.resolve(folder, name.slice(0, dot) + each)).find(fs.existsSync);
	let module;
	try {
		module = require(file);
	} catch (error) {
		if (error.code !== 'ERR_REQUIRE_ESM')
			throw error;
		module = await import(pathToFileURL(file));
	}
	return module[name.slice(dot + 1)];
}

function context() {
	const end = Date.now() + 900000;
	return { awsRequestId: randomUUID(), functionName: 'function', memoryLimitInMB: '512',
		getRemainingTimeInMillis: () => end - Date.now() };
}

function call(handler, event) {
	if (handler.length < 3)
		return handler(event, context());
	return new Promise((resolve, reject) => handler(event, context(),
		(error, value) => error ? reject(error) : resolve(value)));
}

async function answer(handler, body, response) {
	let status = 200;
	let reply;
	try {
		reply = JSON.stringify(await call(handler, JSON.parse(body))) ?? 'null';
	} catch (error) {
		console.error(error);
		status = 500;
		reply = JSON.stringify({ errorType: error.name, errorMessage: error.message });
	}
	response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(reply) });
	response.end(reply);
}

function serve(handler) {
	const server = http.createServer((request, response) => {
		const parts = [];
		request.on('data', (part) => parts.push(part));
		request.on('end', () => answer(handler, Buffer.concat(parts), response));
	});
	server.keepAliveTimeout = server.requestTimeout = server.headersTimeout = 0;
	server.listen(0, '127.0.0.1', 1024, () => {
		fs.writeSync(1, `${server.address().port}\n`);
		/* Nobody reads the pipe any more, and who fills it waits. */
		process.stdout.write = (...arguments_) => process.stderr.write(...arguments_);
	});
}

process.stdin.on('end', () => process.exit(0)).resume();
load(process.argv[2], process.argv[3]).then(serve).catch((error) => {
	console.error(error);
	process.exit(1);
});
