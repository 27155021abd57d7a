'use strict';
/*
 * main.js - the Node.js adapter: boots, waits as the runtime template, becomes a function, waits
 * as its template, and serves events in each isolate. docs/adding-a-language.md has the order.
 */
const cloned = process.env.POLYVISOR_ROLE !== 'exec';
const Module = require('module');
const diagnostics = require('diagnostics_channel');
const pv = require('./polyvisor.node');
const { load, named } = require('./handler.js');
const { current, invoke, report } = require('./invocation.js');
const renew = require('./unique.js');

const turn = () => new Promise(setImmediate);
const children = new Set();
const before = [];
const after = [];

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
		return setImmediate(process.exit, status);
	}
	report(error, title, current.initFailed ?? (() => {}));
	process.exit(status);
}
process.on('uncaughtException', (error) => abort(error, 'Uncaught Exception', 129));
process.on('unhandledRejection', (reason) => abort(named('Runtime.UnhandledPromiseRejection',
	String(reason), reason?.stack), 'Unhandled Promise Rejection', 128));
process.on('beforeExit', () => current.drained ? current.drained() : abort(named(
	'Runtime.NodeJsExit', 'The event loop ran empty.'), 'Init Error', 1));

/* Returns in a clone only: of the runtime template the first time, of the function's the second. */
async function park() {
	await turn();
	if (cloned)
		gc();
	try {
		pv.template();
	} catch {
		process.exit(1);
	}
	renew();
}

function become() {
	const { env } = process;
	const root = pv.attribute('task_root');
	env.TZ = env.TZ; /* V8 keeps the time zone, and hears of a change from here only */
	env.NODE_PATH ??= ['/opt/nodejs/node_modules', `${env.LAMBDA_RUNTIME_DIR}/node_modules`,
		env.LAMBDA_RUNTIME_DIR, root].join(':');
	Module._initPaths();
	process.setSourceMapsEnabled(/--enable-source-maps\b/.test(env.NODE_OPTIONS));
	process.chdir(root);
	current.initFailed = pv.initFailed;
	return load(root, pv.attribute('handler'));
}

async function warmUp(handler) {
	const sink = { __proto__: pv, reply() {}, fail: (type, json) => pv.note(`A warm-up event failed: ${json}`) };
	for (let i = 0, event; (event = pv.warmup(i)) !== undefined; i++)
		await invoke(handler, event, sink);
	for (const hook of cloned ? before : [])
		await hook();
}

/* Orphans come to an isolate, its namespace's first process; node waits for its own children. */
function reap() {
	for (const child of children)
		if (child.exitCode !== null || child.signalCode !== null)
			children.delete(child);
	pv.reap(Buffer.from(Int32Array.from(children, (child) => child.pid).buffer));
}

async function serve(handler) {
	for (const hook of cloned ? after : [])
		await hook();
	for (let event; (event = pv.next()) !== undefined; await turn()) {
		await invoke(handler, event, pv);
		reap();
	}
	process.exit(0);
}

async function main() {
	pv.open(process.versions.node);
	await park();
	const handler = await become();
	await warmUp(handler);
	await park();
	current.initFailed = undefined;
	await serve(handler);
}

main().catch((error) => abort(error, 'Init Error', 1));
