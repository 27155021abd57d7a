'use strict';
/*
 * invocation.js - one event through the handler: context, callback, streamed replies, errors, and
 * what the console writes meanwhile. The sink takes the outcome: the supervisor, or what stands for
 * it while a template is being warmed.
 */
const { Writable } = require('stream');
const { finished } = require('stream/promises');
const { format } = require('util');
const { attribute, invocation, part } = require('./polyvisor.node');
const { named } = require('./handler.js');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';
const TOO_LARGE = 2;
const REPLY_BYTES = 6 << 20; /* where the function has no limit of its own */
const WARM_UP_MS = 60000;
const TEXT_MAX = 100000; /* characters of an error's message, and of its trace */
const LEVELS = { trace: 'TRACE', debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN',
	error: 'ERROR', fatal: 'FATAL' };

/* The invocation under way: how it fails, and what it does once the event loop has run empty. */
const current = { requestId: undefined, fail: undefined, drained: undefined };

function log(level, message) {
	const [timestamp, { requestId }] = [new Date().toISOString(), current];
	process.stdout.write(process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON' ?
		`${JSON.stringify({ timestamp, level, requestId, message })}\n` :
		`${timestamp}\t${requestId}\t${level}\t${message}\n`);
}
for (const [method, level] of Object.entries(LEVELS))
	console[method] = (...words) => log(level, format(...words));

/* What Lambda tells of an error, which may be any value at all. */
function describe(error) {
	const clean = (text) => String(text).slice(0, TEXT_MAX).replaceAll('\x7f', '%7F');
	try {
		const isError = error instanceof Error || (error?.name && error.stack);
		const { name, message, stack } = isError ? error :
			{ name: typeof error, message: format('%s', error) };
		return { errorType: clean(name), errorMessage: clean(message),
			trace: stack ? clean(stack).split('\n') : [] };
	} catch {
		return { errorType: 'handled', errorMessage: 'It cannot be read', trace: [] };
	}
}

function report(error, title, send) {
	const description = describe(error);
	const json = JSON.stringify(description);
	log('ERROR', `${title} \t${json}`);
	send(description.errorType, json);
}

/* A streamed reply; where the caller wants it in one piece, the parts are collected. */
class ResponseStream extends Writable {
	contentType = 'application/octet-stream';
	parts = [];
	part = (data) => this.parts.push(data);

	setContentType(type) {
		this.contentType = type;
	}

	_write(chunk, encoding, done) {
		const plain = typeof chunk === 'string' || chunk instanceof Uint8Array;
		const data = Buffer.from(plain ? chunk : JSON.stringify(chunk), encoding);
		this.part(data, this.contentType);
		done();
	}
}

globalThis.awslambda = {
	streamifyResponse: (handler) => Object.assign(handler, { [STREAMING]: 'response' }),
	HttpResponseStream: {
		from(stream, prelude) {
			stream.setContentType(HTTP_TYPE);
			stream.write(JSON.stringify(prelude) + '\0'.repeat(8));
			return stream;
		},
	},
};

/* A warm-up event is no invocation, and gets what a handler can live with. */
function makeContext(succeed, fail) {
	const parsed = (name) => invocation(name) && JSON.parse(invocation(name));
	const deadline = Number(invocation('deadline_ms') ?? Date.now() + WARM_UP_MS);
	return {
		callbackWaitsForEmptyEventLoop: true,
		awsRequestId: current.requestId,
		invokedFunctionArn: invocation('arn') ?? attribute('arn'),
		functionName: attribute('name'),
		functionVersion: attribute('version'),
		memoryLimitInMB: attribute('memory_mb'),
		logGroupName: attribute('log_group'),
		logStreamName: attribute('log_stream'),
		clientContext: parsed('client_context'),
		identity: parsed('identity'),
		tenantId: invocation('tenant_id'),
		getRemainingTimeInMillis: () => deadline - Date.now(),
		done: (error, result) => (error ?? null) === null ? succeed(result) : fail(error),
		succeed,
		fail,
	};
}

/* Calls the handler; whatever it does first of succeeding and failing counts. */
function start(handler, event, succeed, fail) {
	const context = makeContext(succeed, fail);
	const callback = (error, result) => {
		if ((error ?? null) !== null || !context.callbackWaitsForEmptyEventLoop)
			context.done(error, result);
		else if (current.fail === fail)
			current.drained = () => succeed(result);
	};
	Object.assign(current, { fail, drained: succeed });
	const stream = handler[STREAMING] && new ResponseStream({ objectMode: true });
	if (stream && invocation('stream') === '1')
		stream.part = part;
	const result = stream ?
		Promise.all([finished(stream), handler(event, stream, context)])
			.then(() => stream) :
		handler(event, context, callback);
	if (typeof result?.then === 'function') {
		current.drained = () => fail(named('Runtime.NodeJsExit',
			'The event loop ran empty before the promise of the handler was settled.'));
		result.then(succeed, fail);
	} else if (result !== undefined && handler.length < 3) {
		succeed(result);
	}
}

function parse(text) {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw named('Runtime.UnmarshalError',
			`Unable to unmarshal input: ${error.message}`);
	}
}

function serialise(result) {
	if (result instanceof ResponseStream)
		return [Buffer.concat(result.parts), result.contentType];
	try {
		return [JSON.stringify(result) ?? 'null'];
	} catch (error) {
		throw named('Runtime.MarshalError',
			`Unable to stringify response body: ${error.message}`);
	}
}

function tooLarge() {
	const limit = attribute('reply-bytes') ?? REPLY_BYTES;
	return named('Function.ResponseSizeTooLarge',
		`Response payload size exceeded maximum allowed payload size (${limit} bytes).`);
}

/* Runs the handler on an event; the promise is fulfilled when the outcome has been sent. */
async function invoke(handler, text, sink) {
	const trace = invocation('trace_id');
	if (trace)
		process.env._X_AMZN_TRACE_ID = trace;
	else
		delete process.env._X_AMZN_TRACE_ID;
	current.requestId = invocation('request_id') ?? 'warm-up';
	try {
		const event = parse(text);
		const result = await new Promise((succeed, fail) =>
			start(handler, event, succeed, fail));
		if (sink.reply(...serialise(result)) === TOO_LARGE)
			throw tooLarge();
	} catch (error) {
		report(error ?? 'handled', current.title ?? 'Invoke Error', sink.fail);
	}
	current.fail = current.drained = undefined;
}

module.exports = { current, invoke, report };
