"""The Node.js adapter against the fake supervisor: one table of cases, in clones and by exec.

    unshare -fp --mount-proc --kill-child timeout 600 /usr/bin/python3 -m pytest tests/system/test_adapter_node.py

with POLYVISOR_BUILD naming the build directory where it is not build/.
"""

import base64
import json
import re
import socket
import threading
import time

import pytest

import fake_supervisor as fake

MB = 1 << 20
CLONES = 1000

HANDLERS = r"""
const { setTimeout: sleep } = require('timers/promises');
exports.echo = async (event) => event;
exports.outer = { inner: { handler: async () => 'nested' } };
exports.sync = () => 42;
exports.sync_false = () => false;
exports.nothing = () => {};
exports.no_json = async () => () => {};
exports.callback = (event, context, callback) => callback(null, event);
exports.callback_waits = (event, context, callback) => {
	const reply = { late: false };
	setTimeout(() => { reply.late = true; }, 30);
	callback(null, reply);
};
exports.callback_hurries = (event, context, callback) => {
	context.callbackWaitsForEmptyEventLoop = false;
	setInterval(() => {}, 1000);
	callback(undefined, 'at once');
};
exports.callback_from_timer = (event, context, callback) => {
	setTimeout(callback, 5, null, 'later');
};
exports.callback_error = (event, context, callback) => callback(new RangeError('too far'));
exports.callback_text = (event, context, callback) => callback('just text');
exports.callback_twice = (event, context, callback) => {
	context.callbackWaitsForEmptyEventLoop = false;
	callback(null, event.n);
	callback(null, 'second');
	setImmediate(() => callback(null, 'third'));
};
exports.succeed = (event, context) => { setTimeout(() => context.succeed('yes'), 2); };
exports.fail = (event, context) => context.fail(new Error('no'));
exports.fail_empty = (event, context) => context.fail();
exports.done = (event, context) => context.done(null, 'done');
exports.done_error = (event, context) => context.done(new Error('undone'));
exports.throws = async () => { throw new TypeError('is not'); };
exports.throws_sync = () => { throw new SyntaxError('is neither'); };
exports.rejects_object = () => Promise.reject({ some: 'thing' });
exports.rejects_nothing = () => Promise.reject();
exports.custom = async () => {
	class Custom extends Error { name = 'Custom'; }
	throw new Custom('delete\x7f');
};
exports.long_error = async () => { throw new Error('x'.repeat(8 << 20)); };
exports.unreadable = async () => { throw Object.create(Error.prototype, { message: { get() { throw 1; } } }); };
exports.null_prototype = async () => { throw Object.create(null); };
exports.bigint = async () => ({ n: 1n });
exports.cycle = async () => { const o = {}; o.o = o; return o; };
exports.never = () => new Promise(() => {});
exports.uncaught = async () => { setTimeout(() => { throw new Error('loose'); }, 1); await sleep(2000); };
exports.unhandled = async () => { Promise.reject(new Error('adrift')); await sleep(2000); };
exports.after_reply = async () => { setImmediate(() => { throw new Error('too late'); }); return 'replied'; };
exports.exits = async () => process.exit(7);
exports.on_exit = async () => { process.on('exit', (code) => console.log('leaving with', code)); return 1; };
exports.large = async (event) => 'x'.repeat(event.size);
exports.stream = awslambda.streamifyResponse(async (event, stream) => {
	stream.setContentType('text/plain');
	stream.write('one ');
	await sleep(5);
	stream.write(Buffer.from('two ')); stream.write({ three: 3 });
	stream.end(' ü');
});
exports.stream_http = awslambda.streamifyResponse(async (event, stream) => {
	const http = awslambda.HttpResponseStream.from(stream, { statusCode: 418, headers: { a: 'b' } });
	await require('stream/promises').pipeline(require('stream').Readable.from(['tea', 'pot']), http);
});
exports.stream_throws = awslambda.streamifyResponse(async (event, stream) => {
	stream.write('some');
	throw new Error('broken off');
});
exports.stream_unended = awslambda.streamifyResponse(async (event, stream) => { stream.write('x'); });
exports.context = async (event, context) => {
	const left = context.getRemainingTimeInMillis();
	return { ...context, left, keys: Object.keys(context).sort(), functions: ['done', 'fail', 'succeed',
		'getRemainingTimeInMillis'].map((name) => typeof context[name]) };
};
exports.log = async () => {
	console.log('plain %s', 'text', { a: 1 });
	console.warn('careful');
	console.error(new Error('logged'));
	console.debug('small'); console.info('info'); console.trace('where');
	process.stdout.write('bare\n'); process.stderr.write('bare too\n');
};
exports.flood = async () => {
	for (let i = 0; i < 20000; i++) console.log(i);
	for (let i = 0; i < 20000; i++) process.stdout.write(`bare ${i} ${'x'.repeat(50)}\n`);
	process.exit(3);
};
exports.surroundings = async () => ({ cwd: process.cwd(), hour: new Date(0).getHours(), env: process.env,
	layered: require('layered') });
exports.counter = async () => (globalThis.count = (globalThis.count ?? 0) + 1);
exports.depth = async () => new Error().stack.split('\n').length;
"""


@pytest.fixture(scope="module", autouse=True)
def nothing_left():
    yield
    fake.end_all()


@pytest.fixture(scope="module")
def runtime():
    return fake.start_template(*fake.command_of("node"))


@pytest.fixture(scope="module")
def namespaced():
    """A runtime template for functions in namespaces: it cannot go back to making others."""
    return fake.start_template(*fake.command_of("node"))


@pytest.fixture(scope="module", params=["clone", "exec"])
def functions(request, tmp_path_factory):
    return Functions(request, tmp_path_factory)


class Functions:
    """Makes isolates of functions, the way that is asked for; a function template is made once."""

    def __init__(self, request, tmp_path_factory):
        self.way, self.request, self.tmp_path_factory = request.param, request, tmp_path_factory
        self.templates = {}

    def folder(self, files):
        folder = self.tmp_path_factory.mktemp("function")
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    def isolate(self, handler, files=None, **options):
        files = {"app.js": HANDLERS} if files is None else files
        if self.way == "exec":
            return fake.start_exec(*fake.command_of("node"), handler=handler, task_root=self.folder(files), **options)
        key = json.dumps([handler, files, options])
        if key not in self.templates:
            runtime = self.request.getfixturevalue("runtime")
            self.templates[key] = runtime.become(handler=handler, task_root=self.folder(files), **options)
        return self.templates[key].launch()


def trace_free(frame):
    error = frame.json()
    assert list(error) == ["errorType", "errorMessage", "trace"]
    assert error["errorType"] == frame.get("ERROR_TYPE")
    return error["errorType"], error["errorMessage"]


UNICODE = {"ключ": "ü日本🙂\u0000\u2028", "lone": "\ud800"}

REPLIES = [
    ("echo", {"a": [1, None, True]}, {"a": [1, None, True]}),
    ("echo", UNICODE, UNICODE),
    ("echo", None, None),
    ("outer.inner.handler", {}, "nested"),
    ("sync", {}, 42),
    ("sync_false", {}, False),
    ("nothing", {}, None),
    ("no_json", {}, None),
    ("callback", {"b": 2}, {"b": 2}),
    ("callback_waits", {}, {"late": True}),
    ("callback_hurries", {}, "at once"),
    ("callback_from_timer", {}, "later"),
    ("callback_twice", {"n": 5}, 5),
    ("succeed", {}, "yes"),
    ("done", {}, "done"),
]

FAILURES = [
    ("callback_error", "RangeError", "too far"),
    ("callback_text", "string", "just text"),
    ("fail", "Error", "no"),
    ("fail_empty", "string", "handled"),
    ("done_error", "Error", "undone"),
    ("throws", "TypeError", "is not"),
    ("throws_sync", "SyntaxError", "is neither"),
    ("rejects_object", "object", "{ some: 'thing' }"),
    ("rejects_nothing", "string", "handled"),
    ("custom", "Custom", "delete%7F"),
    ("long_error", "Error", "x" * 100000),
    ("unreadable", "handled", "It cannot be read"),
    ("null_prototype", "object", "[Object: null prototype] {}"),
    ("bigint", "Runtime.MarshalError", "Unable to stringify response body: Do not know how to serialize a BigInt"),
    ("cycle", "Runtime.MarshalError", "Unable to stringify response body: Converting circular structure to JSON"),
    ("never", "Runtime.NodeJsExit", "The event loop ran empty before the promise of the handler was settled."),
    ("stream_throws", "Error", "broken off"),
    ("stream_unended", "Runtime.NodeJsExit",
     "The event loop ran empty before the promise of the handler was settled."),
]


@pytest.mark.parametrize("handler, event, expected", REPLIES, ids=lambda value: str(value)[:24])
def test_replies(functions, handler, event, expected):
    with functions.isolate(f"app.{handler}") as isolate:
        for _ in range(3):
            reply = isolate.invoke(event)
            assert (reply.type, reply.json()) == ("REPLY", expected)


@pytest.mark.parametrize("handler, type, message", FAILURES, ids=lambda value: str(value)[:24])
def test_failures(functions, handler, type, message):
    with functions.isolate(f"app.{handler}") as isolate:
        for _ in range(2):
            failure = isolate.invoke({})
            assert failure.type == "FAIL"
            assert trace_free(failure)[0] == type
            assert trace_free(failure)[1].startswith(message)
            assert failure.json()["trace"] == [] or failure.json()["trace"][0].startswith(type)
        assert f"ERROR\tInvoke Error \t{{\"errorType\":\"{type}\"" in isolate.log()


@pytest.mark.parametrize("handler, type, message, status, title", [
    ("uncaught", "Error", "loose", 129, "Uncaught Exception"),
    ("unhandled", "Runtime.UnhandledPromiseRejection", "Error: adrift", 128, "Unhandled Promise Rejection"),
])
def test_an_error_that_nobody_caught_fails_the_invocation_and_ends_the_process(
        functions, handler, type, message, status, title):
    isolate = functions.isolate(f"app.{handler}")
    failure = isolate.invoke({})
    assert failure.type == "FAIL" and trace_free(failure) == (type, message)
    assert isolate.wait() == status
    assert f"\tERROR\t{title} \t" in isolate.log()


def test_an_error_after_the_reply_ends_the_process(functions):
    isolate = functions.isolate("app.after_reply")
    assert isolate.invoke({}).json() == "replied"
    assert isolate.wait() == 129
    assert "too late" in isolate.log()


def test_exit_in_a_handler_ends_the_process_with_its_status(functions):
    isolate = functions.isolate("app.exits")
    isolate.send_event({})
    assert isolate.wait() == 7


def test_an_isolate_that_is_no_longer_wanted_leaves(functions):
    isolate = functions.isolate("app.on_exit")
    assert isolate.invoke({}).json() == 1
    isolate.socket.shutdown(socket.SHUT_RDWR)
    assert isolate.wait() == 0
    assert "leaving with 0" in isolate.log()


def test_an_event_that_is_no_json_fails_and_the_next_is_served(functions):
    with functions.isolate("app.echo") as isolate:
        failure = isolate.invoke(b"{no json")
        assert failure.type == "FAIL" and trace_free(failure)[0] == "Runtime.UnmarshalError"
        assert isolate.invoke(5).json() == 5


def test_the_largest_event_and_reply_pass_and_one_byte_more_does_not(functions):
    with functions.isolate("app.large") as isolate:
        assert len(isolate.invoke({"size": 6 * MB - 2, "ballast": "y" * (6 * MB - 100)}).payload) == 6 * MB
        failure = isolate.invoke({"size": 6 * MB - 1})
        assert failure.type == "FAIL"
        assert trace_free(failure) == ("Function.ResponseSizeTooLarge", "Response payload size exceeded "
                                       "maximum allowed payload size (6291456 bytes).")
        assert isolate.invoke({"size": 1}).json() == "x"


def test_a_streamed_reply_arrives_in_parts_where_they_are_accepted(functions):
    with functions.isolate("app.stream") as isolate:
        whole = "one two {\"three\":3} ü".encode()
        end = isolate.invoke({}, stream="1")
        parts = [part.payload for part in isolate.parts]
        assert len(parts) >= 4 and b"".join(parts) + end.payload == whole
        assert isolate.parts[0].get("CONTENT_TYPE") == "text/plain"
        reply = isolate.invoke({})
        assert (isolate.parts, reply.payload, reply.get("CONTENT_TYPE")) == ([], whole, "text/plain")


def test_a_streamed_http_reply_starts_with_its_prelude(functions):
    with functions.isolate("app.stream_http") as isolate:
        reply = isolate.invoke({})
        prelude, body = reply.payload.split(b"\0" * 8)
        assert json.loads(prelude) == {"statusCode": 418, "headers": {"a": "b"}} and body == b"teapot"
        assert reply.get("CONTENT_TYPE") == "application/vnd.awslambda.http-integration-response"


def test_the_context_has_everything(functions):
    options = {"name": "named", "settings": {"memory_mb": 256, "version": "3", "log_stream": "a/b"}}
    with functions.isolate("app.context", **options) as isolate:
        context = isolate.invoke({}, request_id="r-1", seconds=9, invoked_arn="arn:x", tenant_id="t",
                                 client_context='{"custom":{"k":1}}', identity='{"cognitoIdentityId":"c"}').json()
        assert 5000 < context.pop("left") <= 9000
        assert context.pop("functions") == ["function"] * 4
        assert context.pop("keys") == sorted([*context, "done", "fail", "succeed", "getRemainingTimeInMillis"])
        assert context == {
            "callbackWaitsForEmptyEventLoop": True, "awsRequestId": "r-1", "functionName": "named",
            "functionVersion": "3", "memoryLimitInMB": "256", "invokedFunctionArn": "arn:x", "tenantId": "t",
            "logGroupName": "/aws/lambda/named", "logStreamName": "a/b", "clientContext": {"custom": {"k": 1}},
            "identity": {"cognitoIdentityId": "c"}}
        plain = isolate.invoke({}).json()
        assert not plain.keys() & {"clientContext", "identity", "tenantId"}


def test_what_is_printed_has_time_request_and_level(functions):
    with functions.isolate("app.log") as isolate:
        isolate.invoke({}, request_id="r-7")
        lines = isolate.log().splitlines()
        prefix = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tr-7\t"
        for pattern in (r"INFO\tplain text \{ a: 1 \}", r"WARN\tcareful", r"ERROR\tError: logged", r"DEBUG\tsmall",
                        r"INFO\tinfo", r"TRACE\twhere"):
            assert any(re.fullmatch(prefix + pattern, line) for line in lines), (pattern, lines)
        assert "bare" in lines and "bare too" in lines


def test_all_that_is_printed_arrives_though_the_process_exits(functions):
    isolate = functions.isolate("app.flood")
    isolate.send_event({})
    assert isolate.wait() == 3
    deadline = time.monotonic() + 5
    while "bare 19999 " not in isolate.log() and time.monotonic() < deadline:
        time.sleep(0.01)
    lines = isolate.log().splitlines()
    assert [line.rpartition("\t")[2] for line in lines if "INFO" in line] == [str(n) for n in range(20000)]
    assert [line.split()[1] for line in lines if line.startswith("bare")] == [str(n) for n in range(20000)]


def test_what_is_printed_is_json_where_asked_for(functions):
    with functions.isolate("app.log", environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"}) as isolate:
        isolate.invoke({}, request_id="r-8")
        line = json.loads(isolate.log().splitlines()[0])
        assert line.pop("timestamp")
        assert line == {"level": "INFO", "requestId": "r-8", "message": "plain text { a: 1 }"}


def test_the_surroundings_are_the_function_s(functions, tmp_path):
    (tmp_path / "layered").mkdir()
    (tmp_path / "layered/index.js").write_text("module.exports = 'from a layer';")
    environment = {"TZ": "Asia/Tokyo", "NODE_PATH": str(tmp_path), "OWN": "ü=1"}
    with functions.isolate("app.surroundings", environment=environment) as isolate:
        found = isolate.invoke({}, trace_id="Root=1-2-3").json()
        assert found["hour"] == 9 and found["layered"] == "from a layer"
        assert found["env"]["OWN"] == "ü=1" and found["env"]["_X_AMZN_TRACE_ID"] == "Root=1-2-3"
        assert found["env"]["_HANDLER"] == "app.surroundings"
        assert found["cwd"] == found["env"]["LAMBDA_TASK_ROOT"]
        assert not {"POLYVISOR_FD", "LD_PRELOAD"} & found["env"].keys()
        assert "_X_AMZN_TRACE_ID" not in isolate.invoke({}).json()["env"]


def test_source_maps_are_followed_where_asked_for(functions):
    source_map = base64.b64encode(json.dumps({
        "version": 3, "sources": ["original.ts"], "names": [], "mappings": "AAAA"}).encode()).decode()
    files = {"app.js": "exports.handler = async () => { throw new Error('mapped'); };\n"
                       f"//# sourceMappingURL=data:application/json;base64,{source_map}"}
    for environment, found in ({"NODE_OPTIONS": "--enable-source-maps"}, True), ({}, False):
        with functions.isolate("app.handler", files, environment=environment) as isolate:
            assert ("original.ts" in str(isolate.invoke({}).json()["trace"])) == found


def test_many_invocations_neither_deepen_the_stack_nor_lose_one(functions):
    with functions.isolate("app.depth") as isolate:
        first = isolate.invoke({}).json()
        for _ in range(2000):
            isolate.send_event({})
            assert isolate.receive_reply().json() == first
    with functions.isolate("app.counter") as isolate:
        for n in range(1, 2001):
            assert isolate.invoke({}).json() == n


MODULES = [
    ("a script beside a module", "app.handler",
     {"app.js": "exports.handler = async () => 'js';", "app.mjs": "export const handler = () => 'mjs';"}, "js"),
    ("an ES module by suffix", "app.handler",
     {"app.mjs": "export const handler = async () => import.meta.url.split('/').pop();"}, "app.mjs"),
    ("a CommonJS module by suffix", "app.handler", {"app.cjs": "exports.handler = async () => 'cjs';"}, "cjs"),
    ("an ES module by package.json", "src/app.handler",
     {"package.json": '{"type": "module"}', "src/app.js": "export async function handler() { return 'esm'; }"}, "esm"),
    ("CommonJS inside a module package", "app.handler",
     {"package.json": '{"type": "module"}', "app.cjs": "exports.handler = async () => 'cjs';"}, "cjs"),
    ("top-level await", "app.handler",
     {"app.mjs": "const { setTimeout: sleep } = await import('timers/promises');\n"
                 "const x = await sleep(20, 'awaited'); export const handler = async () => x;"}, "awaited"),
    ("an ES module's nested export", "app.api.get", {"app.mjs": "export const api = { get: async () => 'got' };"},
     "got"),
    ("a folder below", "a/b/c.handler", {"a/b/c.js": "exports.handler = async () => __filename.slice(-6);"}, "b/c.js"),
    ("no suffix at all", "app.handler", {"app": "exports.handler = async () => 'bare';"}, "bare"),
    ("a function as the exports", "app.handler",
     {"app.js": "module.exports = () => {}; module.exports.handler = async () => 'on a function';"}, "on a function"),
    ("an npm dependency", "app.handler",
     {"app.js": "const dep = require('dep'); exports.handler = async () => dep.hello(require('dep/extra'));",
      "node_modules/dep/package.json": '{"name": "dep", "main": "lib/main.js", '
                                       '"exports": {".": "./lib/main.js", "./extra": "./lib/extra.js"}}',
      "node_modules/dep/lib/main.js": "const sub = require('sub'); exports.hello = (x) => sub + x;",
      "node_modules/dep/lib/extra.js": "module.exports = '!';",
      "node_modules/dep/node_modules/sub/index.js": "module.exports = 'from below';"}, "from below!"),
    ("an npm dependency that is an ES module", "app.handler",
     {"app.mjs": "import dep from 'dep'; import { old } from 'old'; export const handler = async () => dep + old;",
      "node_modules/dep/package.json": '{"name": "dep", "type": "module", "exports": "./main.js"}',
      "node_modules/dep/main.js": "export default 'new ';",
      "node_modules/old/index.js": "exports.old = 'old';"}, "new old"),
    ("a handler inside a dependency", "dep.handler",
     {"node_modules/dep/index.js": "exports.handler = async () => 'inside';"}, "inside"),
]


@pytest.mark.parametrize("handler, files, expected", [case[1:] for case in MODULES], ids=[case[0] for case in MODULES])
def test_modules(functions, handler, files, expected):
    with functions.isolate(handler, files) as isolate:
        assert isolate.invoke({}).json() == expected


INIT_FAILURES = [
    ("no file", "gone.handler", {}, "Runtime.ImportModuleError", "Error: Cannot find module 'gone'"),
    ("no dependency", "app.handler", {"app.js": "require('left-pad');"}, "Runtime.ImportModuleError",
     "Error: Cannot find module 'left-pad'"),
    ("no dependency of an ES module", "app.handler", {"app.mjs": "import 'left-pad';"}, "Runtime.ImportModuleError",
     "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'left-pad'"),
    ("no export", "app.other", {"app.js": "exports.handler = () => {};"}, "Runtime.HandlerNotFound",
     "app.other is undefined or not exported"),
    ("no nested export", "app.a.b.c", {"app.js": "exports.a = null;"}, "Runtime.HandlerNotFound",
     "app.a.b.c is undefined or not exported"),
    ("no function", "app.handler", {"app.js": "exports.handler = 5;"}, "Runtime.HandlerNotFound",
     "app.handler is not a function"),
    ("bad syntax", "app.handler", {"app.js": "exports.handler = ("}, "Runtime.UserCodeSyntaxError", "SyntaxError: "),
    ("bad syntax in an ES module", "app.handler", {"app.mjs": "export const handler = ("},
     "Runtime.UserCodeSyntaxError", "SyntaxError: "),
    ("no dot", "app", {"app.js": ""}, "Runtime.MalformedHandlerName", "'app' is not a valid handler name"),
    ("a way out", "../app.handler", {}, "Runtime.MalformedHandlerName", "'../app.handler' is not a valid"),
    ("throws", "app.handler", {"app.js": "throw new RangeError('at load')"}, "RangeError", "at load"),
    ("throws text", "app.handler", {"app.js": "throw 'text'"}, "string", "text"),
    ("rejects later", "app.handler",
     {"app.mjs": "setTimeout(() => Promise.reject(new Error('r')), 1); await new Promise((r) => setTimeout(r, 2000));"},
     "Runtime.UnhandledPromiseRejection", "Error: r"),
    ("throws later", "app.handler",
     {"app.mjs": "setTimeout(() => { throw new Error('t'); }, 1); await new Promise((r) => setTimeout(r, 2000));"},
     "Error", "t"),
    ("never loads", "app.handler", {"app.mjs": "await new Promise(() => {});"}, "Runtime.NodeJsExit",
     "The event loop ran empty"),
]


@pytest.mark.parametrize("handler, files, type, message", [case[1:] for case in INIT_FAILURES],
                         ids=[case[0] for case in INIT_FAILURES])
def test_init_failures(functions, handler, files, type, message):
    with pytest.raises(fake.InitFailed) as failed:
        functions.isolate(handler, files)
    assert failed.value.type == failed.value.json["errorType"] == type
    assert failed.value.json["errorMessage"].startswith(message)


WORLD = r"""
const fs = require('fs');
const { promisify } = require('util');
const { setTimeout: sleep } = require('timers/promises');
const run = {
	async timers() {
		const start = performance.now();
		await sleep(20);
		const slept = performance.now() - start;
		let ticks = 0;
		await new Promise((done) => { const t = setInterval(() => { if (++ticks == 3) done(clearInterval(t)); }, 2); });
		return slept > 18 && slept < 500 && ticks;
	},
	async files() {
		const folder = await fs.promises.mkdtemp('/tmp/node-world-');
		await fs.promises.writeFile(folder + '/f', 'written');
		const text = await fs.promises.readFile(folder + '/f', 'utf8');
		await fs.promises.rm(folder, { recursive: true });
		return text;
	},
	async pools() {
		const zlib = require('zlib'), crypto = require('crypto');
		const zipped = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => promisify(zlib.gzip)('x'.repeat(n * 10000))));
		const keys = await Promise.all([1, 2, 3].map((n) => promisify(crypto.pbkdf2)('p', 's' + n, 500, 16, 'sha256')));
		return [zipped.map((z) => zlib.gunzipSync(z).length), keys[0].toString('hex')];
	},
	async workers() {
		const { Worker } = require('worker_threads');
		const worker = new Worker("const w = require('worker_threads'); w.parentPort.on('message', (m) =>" +
			"{ w.parentPort.postMessage(m * 2); if (m > 1) process.exit(); });", { eval: true });
		const answers = [];
		worker.on('message', (m) => answers.push(m));
		worker.postMessage(1); worker.postMessage(21);
		await new Promise((done, fail) => worker.on('exit', done).on('error', fail));
		return answers;
	},
	async children() {
		const { exec, execFile, spawn, execSync, fork } = require('child_process');
		const piped = spawn('cat'); piped.stdin.end('through');
		let through = ''; for await (const part of piped.stdout) through += part;
		const [status] = await new Promise((done) => spawn('sh', ['-c', 'exit 3']).on('exit', (...a) => done(a)));
		const killed = spawn('sleep', ['100']); killed.kill();
		const signal = await new Promise((done) => killed.on('exit', (code, name) => done(name)));
		return [(await promisify(exec)('echo out')).stdout, (await promisify(execFile)('echo', ['a b'])).stdout, through,
			execSync('echo sync').toString(), status, signal];
	},
	async http(event) {
		const http = require('http');
		const agent = new http.Agent({ keepAlive: true });
		const get = (path) => new Promise((done, fail) => http.get({ port: event.port, path, agent }, (reply) => {
			let text = ''; reply.on('data', (part) => text += part).on('end', () => done(text));
		}).on('error', fail));
		return [await get('/a'), await get('/b')];
	},
	async http_server() {
		const server = require('http').createServer((request, reply) => reply.end('served ' + request.url));
		await new Promise((done) => server.listen(0, '127.0.0.1', done));
		const text = await (await fetch(`http://127.0.0.1:${server.address().port}/x`)).text();
		await new Promise((done) => { server.close(done); server.closeAllConnections(); });
		return text;
	},
	async fetched(event) {
		const reply = await fetch(`http://127.0.0.1:${event.port}/json`, { method: 'POST', body: 'ü' });
		return [reply.status, await reply.text()];
	},
	async names() {
		return (await require('dns').promises.lookup('localhost', { family: 4 })).address;
	},
	async wasm() {
		const code = Buffer.from('0061736d0100000001070160027f7f017f0302010007070103616464' +
			'00000a09010700200020016a0b', 'hex');
		const { instance } = await WebAssembly.instantiate(code);
		let sum = 0;
		for (let i = 0; i < 20000; i++) sum = instance.exports.add(sum, 2);
		return sum;
	},
	async streams() {
		const { Readable, Transform, promises: { pipeline } } = require('stream');
		const double = new Transform({ objectMode: true, transform(n, _, done) { done(null, n * 2); } });
		const found = [];
		async function* source() { for (let i = 0; i < 100; i++) { await null; yield i; } }
		await pipeline(Readable.from(source()), double, async function (out) { for await (const n of out) found.push(n); });
		return found.reduce((a, b) => a + b);
	},
	async garbage() {
		let kept = [];
		for (let i = 0; i < 200; i++) { kept.push(Array.from({ length: 2000 }, (_, n) => ({ n, i }))); if (i % 20 == 0) kept = []; }
		gc(); gc({ type: 'minor' });
		return kept.length;
	},
	async compiled() {
		const hot = new Function('n', 'let s = 0; for (let i = 0; i < n; i++) s = (s * 31 + i) | 0; return s;');
		let last; for (let i = 0; i < 300; i++) last = hot(5000);
		return last;
	},
};
exports.handler = async (event) => run[event.what](event);
exports.lookups = Object.keys(run);
if (process.env.USE_FIRST) require('fs').readFile(__filename, () => {});
"""

WORLD_EXPECTED = {
    "timers": 3, "files": "written",
    "pools": [[10000, 20000, 30000, 40000, 50000, 60000], "b000664736400938f5568f4b084de5d2"],
    "workers": [2, 42], "children": ["out\n", "a b\n", "through", "sync\n", 3, "SIGTERM"],
    "http": ["GET /a", "GET /b"], "http_server": "served /x", "fetched": [200, "POST /json ü"],
    "names": "127.0.0.1", "wasm": 40000, "streams": 9900, "garbage": 19, "compiled": None,
}


@pytest.fixture(scope="module")
def server():
    """An HTTP server that answers with what it was asked, and keeps connections."""
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            text = f"{self.command} {self.path}".encode() + (b" " + body if body else b"")
            self.send_response(200)
            self.send_header("Content-Length", len(text))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.mark.parametrize("environment", [{}, {"USE_FIRST": "1"}], ids=["fresh", "pool-started"])
@pytest.mark.parametrize("what", WORLD_EXPECTED)
def test_the_world_works(functions, server, what, environment):
    with functions.isolate("world.handler", {"world.js": WORLD}, environment=environment) as isolate:
        first = isolate.invoke({"what": what, "port": server})
        assert first.type == "REPLY", (first, isolate.log())
        assert first.json() == WORLD_EXPECTED[what] or WORLD_EXPECTED[what] is None
        assert isolate.invoke({"what": what, "port": server}).payload == first.payload


def test_everything_of_the_world_works_in_one_isolate(functions, server):
    with functions.isolate("world.handler", {"world.js": WORLD}) as isolate:
        for what, expected in WORLD_EXPECTED.items():
            reply = isolate.invoke({"what": what, "port": server})
            assert expected is None or reply.json() == expected, (what, reply, isolate.log())


DRAWS = r"""
import { randomUUID, randomInt, randomBytes, createECDH, webcrypto } from 'crypto';
import crypto from 'crypto';
import { promisify } from 'util';
const later = promisify((done) => randomInt(2 ** 47, done));
/* As libraries do it that make identifiers. */
function make_pooled() {
	const pool = Buffer.alloc(256);
	let at = pool.length;
	return (fill) => {
		if (at === pool.length)
			fill(pool), at = 0;
		return pool.toString('hex', at, at += 16);
	};
}
const pooled = make_pooled(), pooled_web = make_pooled();
const sources = {
	math: () => Math.random(),
	uuid: () => randomUUID(),
	uuid_of_default: () => crypto.randomUUID(),
	uuid_of_web: () => webcrypto.randomUUID(),
	int: () => randomInt(2 ** 47),
	int_later: () => later(),
	bytes: () => randomBytes(12).toString('hex'),
	bytes_later: async () => (await promisify(randomBytes)(12)).toString('hex'),
	values: () => Buffer.from(webcrypto.getRandomValues(new Uint8Array(12))).toString('hex'),
	pooled: () => pooled((pool) => crypto.randomFillSync(pool)),
	pooled_web: () => pooled_web((pool) => webcrypto.getRandomValues(pool)),
	key: () => createECDH('prime256v1').generateKeys('hex'),
};
/* Sources may share a block of random bytes, so each is the first to be asked in some isolates. */
export async function handler(first) {
	const drawn = [], names = Object.keys(sources);
	for (let i = 0; i < 3 * names.length; i++) {
		const name = names[(first + i) % names.length];
		drawn.push([name, await sources[name]()]);
	}
	return drawn;
}
/* So that whatever keeps such a block has begun one in the template, at some odd place. */
for (let i = 0; i < 5; i++) await handler(i);
export const pid = async () => [process.pid, (await import('fs')).readlinkSync('/proc/self')];
"""


def test_a_thousand_isolates_draw_a_thousand_values_from_every_source(namespaced, tmp_path):
    (tmp_path / "app.mjs").write_text(DRAWS)
    seen = {}
    with namespaced.become(task_root=tmp_path, namespaces=True) as function:
        for n in range(CLONES):
            with function.launch() as isolate:
                for source, value in isolate.invoke(n).json():
                    seen.setdefault(source, []).append(value)
    assert len(seen) == 12
    for source, values in seen.items():
        assert len(set(values)) == len(values) == 3 * CLONES, source
    assert all(0 <= value < 1 for value in seen["math"])
    assert 0.45 < sum(seen["math"]) / len(seen["math"]) < 0.55


def test_the_process_id_is_the_isolate_s(namespaced, tmp_path):
    (tmp_path / "app.mjs").write_text(DRAWS)
    with namespaced.become(task_root=tmp_path, handler="app.pid", namespaces=True) as function:
        with function.launch() as isolate:
            assert isolate.invoke({}).json() == [1, "1"]


def test_what_a_template_drew_for_itself_stays_as_it_was(runtime, tmp_path):
    (tmp_path / "app.js").write_text("""
        const crypto = require('crypto');
        const key = crypto.randomFillSync(Buffer.alloc(64)), part = crypto.randomFillSync(Buffer.alloc(512), 8);
        const drawn = [key.toString('hex'), part.toString('hex')];
        exports.handler = async () => drawn[0] === key.toString('hex') && drawn[1] === part.toString('hex');""")
    with runtime.become(task_root=tmp_path) as function, function.launch() as isolate:
        assert isolate.invoke({}).json() is True


HOOKS = r"""
const { setTimeout: sleep } = require('timers/promises');
const log = [];
for (const name of ['one', 'two']) {
	awslambda.registerBeforeSnapshot(async () => { await sleep(1); log.push('before ' + name); });
	awslambda.registerAfterRestore(async () => { await sleep(1); log.push('after ' + name); });
}
exports.handler = async (event) => { log.push(event); return log; };
"""


def test_hooks_run_before_in_reverse_and_after_in_order(runtime, tmp_path):
    (tmp_path / "app.js").write_text(HOOKS)
    with runtime.become(task_root=tmp_path, warmup=['"w1"', '"w2"']) as function:
        for _ in range(2):
            with function.launch() as isolate:
                assert isolate.invoke("event").json() == [
                    "w1", "w2", "before two", "before one", "after one", "after two", "event"]


def test_by_exec_there_is_nothing_for_hooks_to_do(tmp_path):
    (tmp_path / "app.js").write_text(HOOKS)
    with fake.start_exec(*fake.command_of("node"), task_root=tmp_path) as isolate:
        assert isolate.invoke("event").json() == ["event"]


def test_a_hook_that_fails_ends_what_it_belongs_to(runtime, tmp_path):
    (tmp_path / "app.js").write_text("""
        awslambda[process.env.WHICH](async () => { throw new RangeError('in a hook'); });
        exports.handler = async () => 1;""")
    with pytest.raises(fake.InitFailed, match="RangeError.*in a hook"):
        runtime.become(task_root=tmp_path, environment={"WHICH": "registerBeforeSnapshot"})
    with runtime.become(task_root=tmp_path, environment={"WHICH": "registerAfterRestore"}) as function:
        isolate = function.launch()
        failure = isolate.invoke({})
        assert failure.type == "FAIL" and trace_free(failure) == ("RangeError", "in a hook")
        assert isolate.wait() == 1


def test_a_warm_up_event_has_a_context(runtime, tmp_path):
    (tmp_path / "app.js").write_text("""
        let warm;
        exports.handler = async (event, context) => warm ??= { ...context, left: context.getRemainingTimeInMillis() };""")
    with runtime.become(task_root=tmp_path, warmup=["{}"]) as function, function.launch() as isolate:
        context = isolate.invoke({}).json()
        assert context["awsRequestId"] == "warm-up" and context["left"] > 1000
        assert context["invokedFunctionArn"].endswith(":function:test")


def test_a_warm_up_event_that_fails_is_noted(runtime, tmp_path):
    (tmp_path / "app.js").write_text(
        "exports.handler = async (event, context) => { if (event.fail) throw new Error('cold'); return 1; };")
    with runtime.become(task_root=tmp_path, warmup=['{"fail":true}', '{}']) as function:
        assert len(function.notes) == 1 and "cold" in function.notes[0]
        with function.launch() as isolate:
            assert isolate.invoke({}).json() == 1


def test_a_function_that_keeps_much_is_cloned_with_it(runtime, tmp_path):
    (tmp_path / "app.js").write_text("""
        const kept = Array.from({ length: 300000 }, (_, n) => ({ n, text: 'n' + n }));
        exports.handler = async () => kept.every(({ n, text }) => text === 'n' + n) && kept.length;""")
    with runtime.become(task_root=tmp_path) as function:
        for _ in range(3):
            with function.launch() as isolate:
                assert isolate.invoke({}).json() == 300000


def test_a_timer_of_the_template_fires_in_each_isolate(runtime, tmp_path):
    (tmp_path / "app.js").write_text("""
        let fired; const start = Date.now();
        const timer = new Promise((done) => setTimeout(() => done(fired = true), 150));
        exports.handler = async () => { const before = fired; await timer; return [before, Date.now() - start >= 149]; };
        """)
    with runtime.become(task_root=tmp_path) as function:
        isolates = [function.launch() for _ in range(3)]
        for isolate in isolates:
            assert isolate.invoke({}).json() in ([None, True], [True, True])


def test_a_timer_is_as_long_in_an_isolate_that_has_waited(runtime, tmp_path):
    (tmp_path / "app.js").write_text("""
        const { setTimeout: sleep } = require('timers/promises');
        exports.handler = async () => { const start = performance.now(); await sleep(60); return performance.now() - start; };
        """)
    with runtime.become(task_root=tmp_path) as function, function.launch() as isolate:
        for _ in range(3):
            time.sleep(0.2)
            assert 59 <= isolate.invoke({}).json() < 1000


def test_a_connection_of_the_template_is_at_its_end_in_isolates(runtime, server, tmp_path):
    (tmp_path / "app.js").write_text("""
        const http = require('http'), net = require('net');
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const get = (path) => new Promise((done, fail) => http.get({ port: process.env.PORT, path, agent }, (reply) => {
            let text = ''; reply.on('data', (part) => text += part).on('end', () => done(text)); }).on('error', fail));
        let ended = false;
        const socket = net.connect(process.env.PORT, '127.0.0.1').on('end', () => { ended = true; });
        exports.handler = async (event) => {
            await new Promise(setImmediate);
            return [await get('/' + event), await get('/again/' + event), ended];
        };""")
    with runtime.become(task_root=tmp_path, environment={"PORT": str(server)}, warmup=['"w"']) as function:
        assert any("socket" in note or "connect" in note for note in function.notes), function.notes
        isolates = [function.launch() for _ in range(8)]
        for n, isolate in enumerate(isolates):
            isolate.send_event(n)
        for n, isolate in enumerate(isolates):
            assert isolate.receive_reply().json() == [f"GET /{n}", f"GET /again/{n}", True]


def test_orphans_are_reaped_and_children_are_not(namespaced, tmp_path):
    (tmp_path / "app.js").write_text("""
        const { spawn } = require('child_process'), fs = require('fs');
        let child, status;
        const zombies = () => fs.readdirSync('/proc').filter((pid) => +pid && / Z /.test(fs.readFileSync(`/proc/${pid}/stat`)));
        exports.handler = async (event) => {
            if (event == 'start') {
                child = spawn('sh', ['-c', 'exit 5']).on('exit', (code) => { status = code; });
                spawn('sh', ['-c', 'for i in 1 2 3; do (exec sleep 0.05) & done']);
                await new Promise((done) => setTimeout(done, 20));
                const until = Date.now() + 100; while (Date.now() < until);
            }
            return [status, zombies().length];
        };""")
    with namespaced.become(task_root=tmp_path, namespaces=True) as function, function.launch() as isolate:
        isolate.invoke("start")
        isolate.invoke("again")
        assert isolate.invoke("again").json() == [5, 0]


def test_an_isolate_runs_in_the_sandbox_s_namespaces(namespaced, server, tmp_path):
    """The same world, where the isolate is the first process of its namespace."""
    (tmp_path / "world.js").write_text(WORLD)
    with namespaced.become(handler="world.handler", task_root=tmp_path, namespaces=True) as function:
        for what, expected in WORLD_EXPECTED.items():
            with function.launch() as isolate:
                reply = isolate.invoke({"what": what, "port": server})
                assert expected is None or reply.json() == expected, (what, reply, isolate.log())


def test_many_isolates_of_one_template_work_at_once(runtime, server, tmp_path):
    (tmp_path / "world.js").write_text(WORLD)
    whats = ["timers", "files", "pools", "children", "http", "streams"]
    with runtime.become(handler="world.handler", task_root=tmp_path, environment={"USE_FIRST": "1"}) as function:
        for _ in range(10):
            isolates = [(what, function.launch({"what": what, "port": server}, wait=False)) for what in whats * 3]
            for what, isolate in isolates:
                isolate.sequence = 1
                isolate.wait_idle()
                assert isolate.receive_reply().json() == WORLD_EXPECTED[what], (what, isolate.log())
                isolate.end()
