'use strict';
/*
 * main.js - the Node.js adapter: boots, waits as the runtime template, becomes a function, waits
 * as its template, and serves events in each isolate. docs/adding-a-language.md has the order.
 */
const cloned = process.env.POLYVISOR_ROLE !== 'exec'; /* else nothing here is shared, nor warmed */
const Module = require('module');
const diagnostics = require('diagnostics_channel');
const pv = require('./polyvisor.node');
const { load, named } = require('./handler.js');
const { current, invoke, report } = require('./invocation.js');
const { renew, seed } = require('./unique.js');

const COMMON = ['http', 'https'];
const HEAP_GROWTH = 4 << 20; /* bytes that a function may add before everything is collected */
const turn = () => new Promise(setImmediate);
const children = new Set();
const before = [];
const after = [];
/* Gives events and takes outcomes. Others have its shape, on which compiled code relies. Between
 * the clone and its first wait for an event there is no turn and no promise: each costs pages. */
const supervisor = { begin: () => park(true), next: pv.next, reply: pv.reply, fail: pv.fail };
let serving = false;
let heapCollected = 0;

awslambda.registerBeforeSnapshot = (hook) => before.unshift(hook);
awslambda.registerAfterRestore = (hook) => after.push(hook);
/* What was printed must be out before an isolate waits, with its event loop frozen. */
for (const stream of [process.stdout, process.stderr])
	stream._handle?.setBlocking?.(true);

diagnostics.subscribe('child_process', ({ process: child }) => children.add(child));

/* An error that nobody caught ends the process, as on Lambda, and what was under way fails. */
function abort(error, title, status) {
	current.title = title;
	if (current.fail) {
		current.fail(error);
		setImmediate(process.exit, status);
	} else {
		report(error, title, serving ? () => {} : pv.initFailed);
		process.exit(status);
	}
}
process.on('uncaughtException', (error) => abort(error, 'Uncaught Exception', 129));
process.on('unhandledRejection', (reason) => abort(named('Runtime.UnhandledPromiseRejection',
	String(reason), reason?.stack), 'Unhandled Promise Rejection', 128));
process.on('beforeExit', () => current.drained ? current.drained() : abort(named(
	'Runtime.NodeJsExit', 'The event loop ran empty.'), 'Init Error', 1));

/* To collect everything is to touch, and so to copy, what is shared with the runtime template. */
async function settle() {
	await turn();
	if (!cloned)
		return;
	const { heapUsed } = process.memoryUsage();
	if (heapUsed > heapCollected + HEAP_GROWTH)
		gc();
	else
		gc({ type: 'minor' }), gc({ type: 'minor' });
	heapCollected = heapUsed;
}

/* Returns in a clone only: of the runtime template the first time, of the function's the second. */
function park(isIsolate) {
	try {
		pv.template(seed);
	} catch {
		process.exit(1);
	}
	serving = isIsolate;
	if (cloned)
		renew(isIsolate);
	return cloned && after.length > 0;
}

/* The handler, or, where a hook fails, what ends the isolate with the first event. */
async function restore(handler) {
	try {
		for (const hook of after)
			await hook();
		return handler;
	} catch (error) {
		return () => abort(error, 'Restore Error', 1);
	}
}

function become() {
	const { env } = process;
	const root = pv.attribute('task_root');
	env.NODE_PATH ??= [`/opt/nodejs/node${parseInt(process.versions.node)}/node_modules`,
		'/opt/nodejs/node_modules', `${env.LAMBDA_RUNTIME_DIR}/node_modules`,
		env.LAMBDA_RUNTIME_DIR, root].join(':');
	Module._initPaths();
	process.setSourceMapsEnabled(/--enable-source-maps\b/.test(env.NODE_OPTIONS));
	process.chdir(root);
	return load(root, pv.attribute('handler'));
}

/* Orphans come to an isolate, its namespace's first process; node waits for its own children. */
function reap() {
	for (const child of children)
		if (child.exitCode !== null || child.signalCode !== null)
			children.delete(child);
	pv.reap(Buffer.from(Int32Array.from(children, (child) => child.pid).buffer));
}

async function serve(handler, source) {
	if (source.begin())
		handler = await restore(handler);
	for (let event; (event = source.next()) !== undefined; await turn()) {
		await invoke(handler, event, source);
		reap();
	}
}

/* Runs through all that an isolate runs through, so that its memory is made here and shared. */
async function warm() {
	let rounds = 50; /* the last of them are the rehearsal: all is compiled by then */
	COMMON.forEach(require);
	const handler = await load(__dirname, 'hello.handler');
	const next = () => {
		if (rounds === 10)
			pv.rehearse(1);
		return rounds-- ? '{}' : undefined;
	};
	await serve(handler, { begin() {}, next, reply() {}, fail() {} });
	pv.rehearse(0);
}

async function warmUp(handler) {
	let index = 0;
	await serve(handler, { begin() {}, next: () => pv.warmup(index++), reply() {},
		fail: (type, json) => pv.note(`A warm-up event failed: ${json}`) });
	for (const hook of cloned ? before : [])
		await hook();
}

async function main() {
	pv.open(process.versions.node);
	if (cloned)
		await warm();
	await settle();
	park(false);
	const handler = await become();
	await warmUp(handler);
	await settle();
	await serve(handler, supervisor);
	process.exit(0);
}

main().catch((error) => abort(error, 'Init Error', 1));
