"""The Python adapter against the fake supervisor: what a handler can see, in clones and by exec.

    unshare -fp --mount-proc --kill-child timeout 600 /usr/bin/python3 -m pytest tests/system/test_adapter_python.py
"""

import json
import os
import socket
import statistics
import textwrap
import time

import pytest

import fake_supervisor
from fake_supervisor import InitFailed, command_of, start_exec, start_template

ISOLATES = int(os.environ.get("POLYVISOR_TEST_ISOLATES", "1000"))


@pytest.fixture(scope="module")
def template():
    template = start_template(*command_of("python"))
    yield template
    template.end()


class Functions:
    """Writes an app.py and makes functions of it."""

    def __init__(self, folder, template, mode):
        self.folder, self.template, self.mode = folder, template, mode

    def write(self, code, name="app.py"):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        return self

    def function(self, code=None, **become):
        if code:
            self.write(code)
        return self.template.become(task_root=str(self.folder), **become)

    def isolate(self, code=None, **become):
        """An isolate that waits for its first event, cloned or by exec as the test is run."""
        if self.mode == "clone":
            return self.function(code, **become).launch()
        if code:
            self.write(code)
        return start_exec(*command_of("python"), task_root=str(self.folder), **become)


@pytest.fixture(autouse=True)
def end_what_a_test_left(template):
    yield
    for guest in fake_supervisor.Guest.alive[::-1]:
        if guest is not template:
            guest.end()


@pytest.fixture(params=["clone", "exec"])
def functions(request, tmp_path, template):
    return Functions(tmp_path, template, request.param)


@pytest.fixture
def clones(tmp_path, template):
    return Functions(tmp_path, template, "clone")


@pytest.fixture
def own_template(tmp_path):
    """A runtime template that has made a clone in a namespace makes no plain ones any more."""
    return Functions(tmp_path, start_template(*command_of("python")), "clone")


def value(isolate, event=None, **fields):
    reply = isolate.invoke(event, **fields)
    assert reply.type == "REPLY", reply
    return reply.json()


def error(isolate, event=None, **fields):
    reply = isolate.invoke(event, **fields)
    assert reply.type == "FAIL", reply
    assert reply.get("ERROR_TYPE") == reply.json()["errorType"]
    return reply.json()


# What a handler is given, and what becomes of its result


def test_event_and_result(functions):
    isolate = functions.isolate("def handler(event, context): return {'got': event}")
    assert value(isolate, {"a": [1, 2.5, None, True]}) == {"got": {"a": [1, 2.5, None, True]}}
    assert value(isolate, "text") == {"got": "text"}
    assert int(isolate.invoke(None).get("MEMORY_KB")) > 5000


def test_unicode(functions):
    isolate = functions.isolate("def handler(event, context):\n    print(event)\n    return event + 'ß€😀'")
    assert value(isolate, "äöü\u0000") == "äöü\u0000ß€😀"
    isolate.invoke("\ud83d")  # half a character: a reply up to 3.11, an error of marshalling since, as on Lambda
    assert value(isolate, "日本語") == "日本語ß€😀"
    assert "日本語\n" in isolate.log()


def test_context(functions):
    isolate = functions.isolate("""
        def handler(event, context):
            c = context
            left = c.get_remaining_time_in_millis()
            c.log('logged\\n')
            return {
                'id': c.aws_request_id, 'name': c.function_name, 'version': c.function_version,
                'memory': c.memory_limit_in_mb, 'arn': c.invoked_function_arn, 'group': c.log_group_name,
                'stream': c.log_stream_name, 'identity': c.identity.cognito_identity_id, 'left': left,
                'pool': c.identity.cognito_identity_pool_id, 'tenant': c.tenant_id,
                'client': c.client_context and [c.client_context.custom, c.client_context.env,
                                                c.client_context.client.app_title]}
        """, name="named", settings={"memory_mb": 256, "version": "7"})
    client = {"custom": {"k": "v"}, "env": {"e": "1"}, "client": {"app_title": "title"}}
    got = value(isolate, request_id="id-1", seconds=10, client_context=json.dumps(client), tenant_id="t",
                identity='{"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}')
    assert 8000 < got.pop("left") <= 10000
    assert got == {"id": "id-1", "name": "named", "version": "7", "memory": "256", "group": "/aws/lambda/named",
                   "arn": "arn:aws:lambda:us-east-1:000000000000:function:named", "stream": "stream",
                   "identity": "i", "pool": "p", "tenant": "t", "client": [{"k": "v"}, {"e": "1"}, "title"]}
    assert "logged\n" in isolate.log()
    got = value(isolate, request_id="id-2", invoked_arn="arn:x")
    assert (got["id"], got["arn"], got["client"], got["identity"], got["tenant"]) == ("id-2", "arn:x", None, None, None)


def test_environment(functions):
    isolate = functions.isolate("""
        import os, sys, time
        def handler(event, context):
            return {'env': dict(os.environ), 'child': os.popen('env').read(), 'path': sys.path[0],
                    'cwd': os.getcwd(), 'zone': time.tzname[0], 'hour': time.localtime(0).tm_hour}
        """, environment={"MINE": "yes=1", "TZ": "Asia/Tokyo"}, settings={"runtime": "python3.11"})
    got = value(isolate, trace_id="Root=1")
    env = got["env"]
    root = str(functions.folder)
    expected = {"MINE": "yes=1", "_HANDLER": "app.handler", "LAMBDA_TASK_ROOT": root, "AWS_LAMBDA_FUNCTION_NAME": "test",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
                "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "AWS_REGION": "us-east-1", "_X_AMZN_TRACE_ID": "Root=1",
                "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/test", "TZ": "Asia/Tokyo", "LANG": "C.UTF-8", "HOME": "/tmp",
                "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "LAMBDA_RUNTIME_DIR": str(fake_supervisor.BUILD / "runtimes")}
    assert {name: env.get(name) for name in expected} == expected
    assert "MINE=yes=1\n" in got["child"]
    assert not any(name.startswith(("POLYVISOR", "MALLOC")) for name in env)
    assert (got["path"], got["cwd"], got["zone"], got["hour"]) == (root, root, "JST", 9)


def test_handler_in_package(functions):
    functions.write("from . import helper\ndef run(event, context): return helper.value", "pkg/mod.py")
    functions.write("value = 41 + 1", "pkg/helper.py").write("", "pkg/__init__.py")
    assert value(functions.isolate(handler="pkg/mod.run")) == 42


def test_bytes_reply(functions):
    isolate = functions.isolate("def handler(event, context): return bytes(range(256))")
    reply = isolate.invoke()
    assert (reply.payload, reply.get("CONTENT_TYPE")) == (bytes(range(256)), "application/unknown")


def test_decimal_reply(functions):
    isolate = functions.isolate("""
        from decimal import Decimal
        def handler(event, context):
            return {'d': Decimal('1.10'), 'e': [Decimal('12345678901234567890.123456789')], 's': 'a"b'}
        """)
    assert isolate.invoke().payload == b'{"d": 1.10, "e": [12345678901234567890.123456789], "s": "a\\"b"}'


def test_large_event_and_reply(functions):
    isolate = functions.isolate("def handler(event, context): return event")
    text = "x" * (6 * 1024 * 1024 - 2)
    assert value(isolate, "small") == "small"
    before = rss_kb(isolate.pid)
    assert value(isolate, text) == text
    assert value(isolate, "small") == "small"
    assert rss_kb(isolate.pid) < before + 3 * 1024  # what the large event took is given back


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_reply_too_large(functions):
    isolate = functions.isolate("def handler(event, context): return 'x' * event", settings={"reply-bytes": 1000})
    assert value(isolate, 998) == "x" * 998
    assert error(isolate, 999)["errorType"] == "Function.ResponseSizeTooLarge"
    assert value(isolate, 3) == "xxx"


def test_error_too_large(functions):
    isolate = functions.isolate("def handler(event, context): raise ValueError('x' * 10_000_000)")
    assert error(isolate) | {"requestId": ""} == {"errorType": "ValueError", "errorMessage": "x" * 1000,
                                                  "requestId": "", "stackTrace": []}


# Errors of each kind


def test_handler_raises(functions):
    isolate = functions.isolate("""
        class Mine(Exception): pass
        def inner(): raise Mine('because')
        def handler(event, context): inner()
        """)
    got = error(isolate, request_id="id-9")
    assert (got["errorType"], got["errorMessage"], got["requestId"]) == ("Mine", "because", "id-9")
    assert [line.split(",")[0] for line in got["stackTrace"]] == [f'  File "{functions.folder}/app.py"'] * 2
    assert list(got) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert "[ERROR] Mine: because\nTraceback (most recent call last):\n" in isolate.log()
    assert error(isolate)["errorType"] == "Mine"


def test_marshal_error(functions):
    isolate = functions.isolate("def handler(event, context): return {1, 2}")
    got = error(isolate)
    assert got["errorType"] == "Runtime.MarshalError"
    assert got["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


def test_event_is_no_json(functions):
    isolate = functions.isolate("def handler(event, context): return 1")
    assert error(isolate, b"{nonsense")["errorType"] == "Runtime.UnmarshalError"
    assert error(isolate, b"\"\xff\"")["errorType"] == "Runtime.UnmarshalError"
    assert value(isolate, b"{}") == 1


@pytest.mark.parametrize("code, handler, type, message", [
    ("", "nodot", "Runtime.MalformedHandlerName", "Bad handler 'nodot'"),
    ("", "app.missing", "Runtime.HandlerNotFound", "Handler 'missing' missing on module 'app'"),
    ("", "absent.handler", "Runtime.ImportModuleError", "Unable to import module 'absent': No module named 'absent'"),
    ("import no_such", "app.handler", "Runtime.ImportModuleError", "No module named 'no_such'"),
    ("def handler(:", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': invalid syntax"),
    ("1 / 0", "app.handler", "ZeroDivisionError", "division by zero"),
    ("", "sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys"),
])
def test_init_errors(functions, code, handler, type, message):
    with pytest.raises(InitFailed) as failed:
        functions.isolate(code or "pass", handler=handler)
    assert failed.value.type == failed.value.json["errorType"] == type
    assert message in failed.value.json["errorMessage"]
    if type == "ZeroDivisionError":
        assert 'app.py", line 1' in failed.value.json["stackTrace"][-1]


@pytest.mark.parametrize("code, status", [
    ("import sys; sys.exit(3)", 3), ("import sys; sys.exit()", 0), ("import os; os._exit(4)", 4),
    ("import sys; sys.exit('why')", 1), ("raise KeyboardInterrupt", 1), ("import os; os.kill(os.getpid(), 9)", -9),
])
def test_exit(functions, code, status):
    isolate = functions.isolate(f"def handler(event, context):\n    {code}")
    with pytest.raises((EOFError, ConnectionResetError)):
        isolate.invoke()
    assert isolate.wait() == status
    assert "why" not in code or "why" in isolate.log()


def test_exit_does_not_wait_for_threads(functions):
    isolate = functions.isolate("""
        import sys, threading, time
        def handler(event, context):
            threading.Thread(target=time.sleep, args=(60,)).start()
            sys.exit(5)
        """)
    begun = time.monotonic()
    with pytest.raises((EOFError, ConnectionResetError)):
        isolate.invoke()
    assert isolate.wait() == 5 and time.monotonic() - begun < 10


def test_supervisor_goes(functions):
    isolate = functions.isolate("def handler(event, context): return 1")
    isolate.socket.shutdown(fake_supervisor.socket.SHUT_RDWR)
    assert isolate.wait() == 0


# Output


def test_logging(functions):
    isolate = functions.isolate("""
        import logging
        logging.getLogger().setLevel('INFO')
        def handler(event, context):
            logging.info('to %s', 'you')
            logging.getLogger('x').debug('not shown')
            print('half a line', end='')
        """)
    isolate.invoke(request_id="id-5")
    line, rest = isolate.log().split("\n", 1)
    level, at, id, message = line.split("\t")
    assert (level, id, message, rest) == ("[INFO]", "id-5", "to you", "half a line")
    assert at == time.strftime("%Y-%m-%dT%H:%M:", time.gmtime()) + at[-7:] and at[-1] == "Z" and at[-5] == "."


def test_logging_json(functions):
    isolate = functions.isolate("""
        import logging
        def handler(event, context):
            try: 1 / 0
            except ArithmeticError: logging.exception('caught')
            logging.info('i')
        """, environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"})
    isolate.invoke(request_id="id-6")
    first, second = [json.loads(line) for line in isolate.log().splitlines()]
    assert (first["level"], first["message"], first["logger"]) == ("ERROR", "caught", "root")
    assert (first["errorType"], first["requestId"], len(first["stackTrace"])) == ("ZeroDivisionError", "id-6", 1)
    assert (second["level"], second["message"]) == ("INFO", "i")


def test_output_of_import_is_printed_once(clones):
    function = clones.function("print('imported')\ndef handler(event, context): print('called')")
    isolates = [function.launch() for _ in range(3)]
    for isolate in isolates:
        isolate.invoke()
    assert function.log() == "imported\n"
    assert [isolate.log() for isolate in isolates] == ["called\n"] * 3


# What runs in an isolate


def test_threads_of_import(functions):
    isolate = functions.isolate("""
        import concurrent.futures, threading, time
        pool = concurrent.futures.ThreadPoolExecutor(4)
        list(pool.map(time.sleep, [0.05] * 4))
        ticks = []
        def tick():
            while True: time.sleep(0.01); ticks.append(1)
        threading.Thread(target=tick, daemon=True).start()
        def handler(event, context):
            names = set(pool.map(lambda _: (time.sleep(0.02), threading.current_thread().name)[1], range(8)))
            before = len(ticks); time.sleep(0.1)
            return [len(names), threading.active_count(), len(ticks) > before]
        """)
    for _ in range(3):
        assert value(isolate) == [4, 6, True]


def test_subprocess(functions):
    isolate = functions.isolate("""
        import os, subprocess
        kept = []
        def handler(event, context):
            if event == 'start':
                kept.append(subprocess.Popen(['sh', '-c', 'exit 7']))
                return None
            if event == 'wait':
                return kept.pop().wait()
            if event == 'fork':
                pid = os.fork()
                if pid == 0: os._exit(9)
                kept.append(pid)
                return None
            if event == 'waitpid':
                return os.waitstatus_to_exitcode(os.waitpid(kept.pop(), 0)[1])
            return subprocess.run(['cat'], input=b'through', capture_output=True).stdout.decode()
        """)
    assert value(isolate, "run") == "through"
    value(isolate, "start")
    time.sleep(0.1)
    assert value(isolate, "run") == "through"
    assert value(isolate, "wait") == 7
    value(isolate, "fork")
    time.sleep(0.1)
    assert value(isolate, "run") == "through"
    assert value(isolate, "waitpid") == 9


def test_asyncio(functions):
    isolate = functions.isolate("""
        import asyncio
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0))
        async def work():
            process = await asyncio.create_subprocess_exec('echo', 'hi', stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            results = await asyncio.gather(*(asyncio.sleep(0.01, i) for i in range(5)))
            return [out.decode(), results, await asyncio.get_running_loop().run_in_executor(None, sum, [1, 2])]
        def handler(event, context):
            return loop.run_until_complete(work()) if event else asyncio.run(work())
        """)
    for event in True, False, True:
        assert value(isolate, event) == ["hi\n", [0, 1, 2, 3, 4], 3]


def test_multiprocessing(functions):
    isolate = functions.isolate("""
        import multiprocessing, os
        def square(n): return n * n
        def handler(event, context):
            with multiprocessing.get_context(event).Pool(2) as pool:
                return pool.map(square, range(10))
        """)
    assert value(isolate, "fork") == [n * n for n in range(10)]
    assert value(isolate, "spawn") == [n * n for n in range(10)]


def test_numpy_and_pillow(functions):
    isolate = functions.isolate("""
        import io
        import numpy
        from PIL import Image
        def handler(event, context):
            a = numpy.arange(90000, dtype=numpy.float64).reshape(300, 300)
            image = Image.fromarray((a % 255).astype('uint8')).resize((30, 30))
            out = io.BytesIO(); image.save(out, 'PNG')
            return [float((a @ a).trace()), Image.open(io.BytesIO(out.getvalue())).size]
        """)
    expected = [value(isolate)]
    assert expected[0][1] == [30, 30]
    assert value(isolate) == expected[0]


def test_other_kinds_of_code(functions):
    isolate = functions.isolate("""
        import ctypes, sqlite3, ssl, tempfile, urllib.request, zlib
        connection = sqlite3.connect(':memory:')
        connection.execute('create table t(x)')
        def handler(event, context):
            connection.execute('insert into t values (1)')
            with tempfile.NamedTemporaryFile() as f:
                f.write(b'x'); f.flush()
                size = len(urllib.request.urlopen('file://' + f.name).read())
            return [connection.execute('select count(*) from t').fetchone()[0], size,
                    len(ssl.create_default_context().get_ciphers()) > 3, ctypes.CDLL(None).abs(-3)]
        """)
    assert value(isolate) == [1, 1, True, 3]
    assert value(isolate) == [2, 1, True, 3]


# Clones


def test_isolates_share_nothing(clones):
    function = clones.function("""
        state = []
        def handler(event, context):
            state.append(event)
            return state
        """)
    isolates = [function.launch() for _ in range(5)]
    for i, isolate in enumerate(isolates):
        assert value(isolate, i) == [i] and value(isolate, -i) == [i, -i]


def test_function_does_not_see_the_last_ones_secrets(clones):
    number = os.urandom(8).hex()
    clones.write("""
        def handler(event, context):
            found = 0
            with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb') as memory:
                for line in maps:
                    start, end = (int(x, 16) for x in line.split()[0].split('-'))
                    if ' rw' not in line: continue
                    memory.seek(start)
                    data = memory.read(end - start)
                    at = data.find(event.encode())
                    while at >= 0:
                        found += data[at - 7:at][::-1] == b'-TERCES'  # not to be found itself
                        at = data.find(event.encode(), at + 1)
            return found
        """)
    assert value(clones.isolate(environment={"LONG": "x" * 3000 + "SECRET-" + number}), number) > 0
    assert value(clones.isolate(), number) == 0


def test_hooks(clones):
    function = clones.function("""
        from snapshot_restore_py import register_after_restore, register_before_snapshot
        order = []
        @register_before_snapshot
        def one(): order.append('before 1')
        register_before_snapshot(order.append, 'before 2')
        @register_after_restore
        def two(): order.append('after 1')
        register_after_restore(lambda a, b: order.append(a + b), 'after ', b='2')
        def handler(event, context): return order
        """)
    for _ in range(2):
        assert value(function.launch()) == ["before 2", "before 1", "after 1", "after 2"]


def test_hooks_are_not_run_by_exec(tmp_path):
    (tmp_path / "app.py").write_text("import snapshot_restore_py as s\nl = []\ns.register_after_restore(l.append, 1)\n"
                                     "s.register_before_snapshot(l.append, 1)\ndef handler(event, context): return l\n")
    with start_exec(*command_of("python"), task_root=str(tmp_path)) as isolate:
        assert value(isolate) == []


def test_hook_that_raises(clones):
    isolate = clones.isolate("""
        import snapshot_restore_py
        def fail(): raise LookupError('no connection')
        snapshot_restore_py.register_after_restore(fail)
        def handler(event, context): return 1
        """)
    got = error(isolate)
    assert (got["errorType"], got["errorMessage"]) == ("LookupError", "no connection")
    assert isolate.wait() == 0
    with pytest.raises(InitFailed, match="no snapshot"):
        clones.isolate("""
            import snapshot_restore_py
            def fail(): raise LookupError('no snapshot')
            snapshot_restore_py.register_before_snapshot(fail)
            def handler(event, context): return 1
            """)


def test_warm_up_events(functions):
    isolate = functions.isolate("""
        seen = []
        def handler(event, context):
            seen.append([event, context.aws_request_id, context.get_remaining_time_in_millis() > 0])
            if event == 'bad': raise ValueError('warm')
            return seen
        """, warmup=['{"n": 1}', '"bad"', '"äö"'])
    assert value(isolate, "real", request_id="r")[:3] == [[{"n": 1}, "warm-up", True], ["bad", "warm-up", True],
                                                          ["äö", "warm-up", True]]
    notes = isolate.notes if functions.mode == "exec" else isolate.template.notes
    assert notes == ["The warm-up event 2 failed: ValueError('warm')"]


SOURCES = """
    import multiprocessing, os, random, secrets, ssl, tempfile, threading, uuid
    import numpy.random
    random.random(); numpy.random.random(); ssl.RAND_bytes(8); uuid.uuid1(); uuid.uuid4(); secrets.token_hex()
    tempfile.mktemp()
    import concurrent.futures
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.submit(ssl.RAND_bytes, 8).result()
    def handler(event, context):
        u = uuid.uuid1()
        return {
            'random': random.random(), 'random.getrandbits': random.getrandbits(64),
            'numpy.random': float(numpy.random.random()), 'uuid1': str(u), 'uuid1 node': u.node,
            'uuid4': str(uuid.uuid4()), 'tempfile': tempfile.mktemp(), 'secrets': secrets.token_hex(),
            'RAND_bytes': ssl.RAND_bytes(16).hex(), 'os.urandom': os.urandom(16).hex(),
            'RAND_bytes of a thread': pool.submit(ssl.RAND_bytes, 16).result().hex(),
            'authkey': bytes(multiprocessing.current_process().authkey).hex()}
    """


def drawn(isolates):
    values = {}
    for isolate in isolates:
        for source, drawn in value(isolate).items():
            values.setdefault(source, []).append(drawn)
        isolate.end()
    return {source: len(all) - len(set(all)) for source, all in values.items()}


def test_uniqueness(clones):
    function = clones.function(SOURCES)
    repeated = drawn(function.launch() for _ in range(ISOLATES))
    assert repeated == dict.fromkeys(repeated, 0) and len(repeated) == 12


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root here")
def test_uniqueness_where_all_have_one_process_id(own_template):
    function = own_template.function(SOURCES, namespaces=True)
    repeated = drawn(function.launch() for _ in range(ISOLATES // 4))
    assert repeated == dict.fromkeys(repeated, 0)


def test_uniqueness_of_functions(clones):
    clones.write(textwrap.dedent(SOURCES) + "\nvalue = handler(None, None)\nhandler = lambda event, context: value\n")
    repeated = drawn(clones.function().launch() for _ in range(20))
    del repeated["uuid1 node"]  # each loads uuid itself, which takes the machine's address for it
    assert repeated == dict.fromkeys(repeated, 0)


def test_template_that_cannot_park(clones):
    (clones.folder / "shared").write_bytes(bytes(4096))
    with pytest.raises(fake_supervisor.Refused, match="shared.*is shared and writable"):
        clones.isolate("import mmap\nfile = open('shared', 'r+b')\nmemory = mmap.mmap(file.fileno(), 4096)\n"
                       "def handler(event, context): pass")


def test_request_that_is_none_is_refused(clones):
    for request in fake_supervisor.encode("LAUNCH", 99), b"nonsense that is no frame", fake_supervisor.encode("BECOME", 99):
        clones.template.send(request)
        refused = clones.template.receive("REFUSED")
        assert "not one that this template knows" in refused.get("MESSAGE") and refused.sequence in (0, 99)
    assert value(clones.isolate("def handler(event, context): return 1")) == 1


def test_connection_of_import_is_at_its_end(clones):
    with socket.create_server(("127.0.0.1", 0)) as server:
        function = clones.function(f"""
            import socket
            connection = socket.create_connection(("127.0.0.1", {server.getsockname()[1]}))
            pair = socket.socketpair()
            pair[0].send(b'kept')
            def handler(event, context): return [len(connection.recv(1)), pair[1].recv(9).decode()]
            """)
        assert value(function.launch()) == value(function.launch()) == [0, "kept"]
    assert any("onnect" in note for note in function.notes), function.notes


def test_template_ends_with_its_socket(clones):
    function = clones.function("def handler(event, context): pass")
    function.socket.close()
    assert function.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root here")
def test_namespaces(own_template):
    function = own_template.function("""
        import concurrent.futures, os, pathlib, subprocess
        pool = concurrent.futures.ThreadPoolExecutor(2)
        pool.submit(os.getpid).result()
        template_pid = os.getpid()
        def handler(event, context):
            orphan = "(sleep 0.05; exit 3) & (sleep 0.05) &"
            if event: subprocess.run(['sh', '-c', orphan])
            here = pathlib.Path('/tmp/mine'); seen = here.exists(); here.write_text('x')
            processes = [p for p in os.listdir('/proc') if p.isdigit()]
            return {'pid': pool.submit(os.getpid).result(), 'template': template_pid, 'seen': seen, 'processes': len(processes),
                    'self': os.readlink('/proc/self'), 'session': os.getsid(0), 'listed': os.listdir('/tmp')}
        """, namespaces=True)
    first, second = function.launch(), function.launch()
    for isolate in first, second:
        got = value(isolate)
        assert (got["pid"], got["self"], got["session"], got["seen"], got["processes"]) == (1, "1", 1, False, 1)
        assert got["listed"] == ["mine"] and got["template"] != 1
    assert value(first)["seen"]
    # Orphans come to the isolate, and the next invocation finds them gone.
    value(first, True)
    time.sleep(0.3)
    value(first)
    assert value(first)["processes"] == 1


def test_step_that_fails_is_named(clones):
    with pytest.raises(fake_supervisor.Refused, match="folder with the function's code cannot be entered: No such"):
        clones.template.become(task_root="/no/such/folder")
    assert value(clones.isolate("def handler(event, context): return 1")) == 1


def test_launch_time(clones, record_property):
    function = clones.function("def handler(event, context): return 1")
    times = []
    for _ in range(300):
        with function.launch() as isolate:
            times.append(isolate.launch_us)
    times.sort()
    print(f"launch: p50 {statistics.median(times):.0f} us, p90 {times[269]:.0f} us, p99 {times[296]:.0f} us")
    record_property("launch_p50_us", statistics.median(times))
    assert statistics.median(times) < 5000
