"""The Java adapter: handlers, context, errors, hooks, uniqueness, and a machine that works in a clone.

The handlers are those of tests/system/java, compiled against the API jar of the build. One runtime
template serves all tests; each test makes the function templates it needs. Run it in a pid namespace:

    POLYVISOR_BUILD=build unshare -fp --mount-proc --kill-child timeout 600 \\
        /usr/bin/python3 -m pytest tests/system/test_adapter_java.py
"""

import collections
import json
import pathlib
import shutil
import subprocess
import time

import pytest

import fake_supervisor as fake

HERE = pathlib.Path(__file__).resolve().parent
API = fake.BUILD / "runtimes/java/polyvisor-java-api.jar"
MIB = 1 << 20


def javac(target, *sources, classpath=API):
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["javac", "--release", "17", "-nowarn", "-encoding", "UTF-8", "-cp", str(classpath),
                    "-d", str(target), *map(str, sources)], check=True)
    return target


@pytest.fixture(scope="session")
def code(tmp_path_factory):
    """The folder with the compiled handlers. One of them needs a class that is then taken away."""
    folder = tmp_path_factory.mktemp("code")
    absent = folder.parent / "absent" / "Absent.java"
    absent.parent.mkdir(exist_ok=True)
    absent.write_text("package absent; public class Absent { }")
    javac(folder, *sorted((HERE / "java/cases").glob("*.java")), absent)
    shutil.rmtree(folder / "absent")
    return folder


@pytest.fixture(scope="session")
def runtime():
    template = fake.start_template(*fake.command_of("java"))
    yield template
    template.end()


@pytest.fixture(params=["clone", "exec"])
def mode(request):
    return request.param


@pytest.fixture
def isolate_of(runtime, code, request):
    """Makes isolates: isolate_of("cases.Cases::same"), by exec where the test is run for `mode` exec."""
    made = []

    def make(handler, mode="clone", task_root=code, **words):
        if mode == "exec":
            made.append(fake.start_exec(*fake.command_of("java"), handler=handler, task_root=task_root, **words))
        else:
            made.append(runtime.become(handler=handler, task_root=task_root, **words))
            made.append(made[-1].launch())
        return made[-1]
    yield make
    for each in reversed(made):
        each.end()


@pytest.fixture
def become(runtime, code):
    made = []

    def make(handler, **words):
        made.append(runtime.become(handler=handler, **{"task_root": code, **words}))
        return made[-1]
    yield make
    for each in reversed(made):
        each.end()


def failure(frame):
    assert frame.type == "FAIL", frame
    error = frame.json()
    assert error["errorType"] == frame.get("ERROR_TYPE")
    return error


def log_of(guest, wanted, seconds=10):
    """The guest's log once it holds the text."""
    deadline = time.monotonic() + seconds
    while wanted not in guest.log() and time.monotonic() < deadline:
        time.sleep(0.01)
    return guest.log()


BIG = 123456789012345678901234567890
POINT = {"x": 1, "y": 2, "colour": "RED", "exact": 1.5}

# handler, event, reply
CASES = [
    ("Cases::nothing", {"ignored": 1}, []),
    ("Cases::empty", {"a": 1}, None),
    ("Cases::same", None, None),
    ("Cases::same", [1, 2.5, "é", None, True, {"deep": {"er": []}}], [1, 2.5, "é", None, True, {"deep": {"er": []}}]),
    ("Cases::same", {"nothing": None}, {"nothing": None}),
    ("Cases::same", BIG, BIG),
    ("Cases::map", {"z": 1, "a": "\U0001f600 \u2028 \u0000"}, {"z": 1, "a": "\U0001f600 \u2028 \u0000"}),
    ("Cases::string", "grüß \U0001f600", "grüß \U0001f600!"),
    ("Cases::integer", 41, 42),
    ("Cases::total", [1, 2, 3000000000], 3000000003),
    ("Cases::total", 7, 7),
    ("Cases::not", True, False),
    ("Cases::square", BIG, BIG * BIG),
    ("Cases::sum", [0.5, 1, 2], 3.5),
    ("Cases::point", {**POINT, "unknown": [1]}, {**POINT, "x": 2}),
    ("Cases::point", {"colour": "PURPLE"}, {"x": 1}),
    ("Cases::line", {"from": POINT, "to": {"x": 9}, "labels": ["a"]},
     {"from": {"x": 9}, "to": POINT, "labels": ["a"]}),
    ("Cases::points", {"a": [POINT, POINT], "b": [POINT]}, 3),
    ("Cases::fixed", "me", "test:me"),
    ("Cases::stream", {"a": [1, 2]}, {"a": [1, 2]}),
    ("Cases::length", "12345", 7),
    ("Cases::overloaded", "x", "long"),
    ("Cases::empties", None, {"nothing": None}),
    ("Cases::loader", None, "alone"),
    ("Handlers$OfMaps", {"a": 1}, {"got": {"a": 1}}),
    ("Handlers$OfPoints", POINT, "1,2"),
    ("Handlers$Inherited", [{"x": 5}], 5),
    ("Handlers$Inherited::handleRequest", [{"x": 6}], 6),
    ("Handlers$Raw", {"a": 1}, "LinkedHashMap"),
    ("Handlers$Streams", [1], [1]),
    ("Handlers$Plain::hello", {"a": 1}, "plain {a=1}"),
]


@pytest.mark.parametrize("handler, event, reply", CASES, ids=[f"{h}-{i}" for i, (h, _, _) in enumerate(CASES)])
def test_cases(isolate_of, handler, event, reply):
    frame = isolate_of("cases." + handler).invoke(event)
    assert frame.type == "REPLY", frame
    assert frame.json() == reply


def test_by_exec(isolate_of):
    isolate = isolate_of("cases.Cases::map", "exec")
    for number in range(3):
        assert isolate.invoke({"n": number, "é": "ü"}).json() == {"n": number, "é": "ü"}


def test_decimals_are_exact_where_the_parameter_is(isolate_of):
    event, half = b"0.1000000000000000000000000000000000002", b"0.0500000000000000000000000000000000001"
    assert isolate_of("cases.Cases::half").invoke(event).payload == half


def test_stream_with_context_is_not_touched(isolate_of):
    assert isolate_of("cases.Cases::streamContext").invoke(b"\x00\xff no JSON").payload == b"test\x00\xff no JSON"


def test_six_megabytes_both_ways(isolate_of, mode):
    event = ('"' + "é" * (3 * MIB - 1) + '"').encode()
    assert len(event) == 6 * MIB
    isolate = isolate_of("cases.Cases::same", mode)
    assert isolate.invoke(event).payload == event
    assert isolate.invoke(1).json() == 1


def test_too_large_a_reply(isolate_of):
    isolate = isolate_of("cases.Cases::large")
    assert len(isolate.invoke(6 * MIB - 2).payload) == 6 * MIB
    error = failure(isolate.invoke(6 * MIB - 1))
    assert error["errorType"] == "Function.ResponseSizeTooLarge" and str(6 * MIB + 1) in error["errorMessage"]
    assert isolate.invoke(3).json() == "xxx"


def test_context(isolate_of, mode):
    isolate = isolate_of("cases.Cases::whole", mode, name="fn", settings={
        "memory_mb": 512, "version": "7", "log_group": "/aws/lambda/fn", "log_stream": "s1"})
    client = {"client": {"app_title": "title", "installation_id": "id"}, "custom": {"c": "1"}, "env": {"e": "é"}}
    arn = "arn:aws:lambda:us-east-1:000000000000:function:fn:live"
    frame = isolate.invoke(None, request_id="r-1", seconds=5, invoked_arn=arn, tenant_id="t", trace_id="Root=1",
                           identity='{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}',
                           client_context=json.dumps(client))
    found = frame.json()
    assert 0 < found.pop("left") <= 5000
    assert found == {"request": "r-1", "name": "fn", "version": "7", "arn": arn, "memory": 512, "group": "/aws/lambda/fn",
                     "stream": "s1", "tenant": "t", "trace": "Root=1", "traceProperty": "Root=1", "identity": ["i", "p"],
                     "client": ["title", "id", {"c": "1"}, {"e": "é"}]}
    found = isolate.invoke(None, request_id="r-2").json()
    assert [found[k] for k in ("request", "tenant", "trace", "traceProperty", "identity", "client")] == ["r-2"] + [None] * 5


def test_environment_is_the_functions(isolate_of, mode):
    isolate = isolate_of("cases.Cases::environment", mode, environment={"MINE": "grüß", "LANG": "de_DE.UTF-8"})
    found = isolate.invoke(["MINE", "LANG", "_HANDLER", "AWS_LAMBDA_FUNCTION_NAME", "MALLOC_ARENA_MAX", "POLYVISOR_FD"]).json()
    assert found == {"MINE": "grüß", "LANG": "de_DE.UTF-8", "_HANDLER": "cases.Cases::environment",
                     "AWS_LAMBDA_FUNCTION_NAME": "test", "MALLOC_ARENA_MAX": None, "POLYVISOR_FD": None}


def test_options_that_come_too_late_are_noted(become):
    assert become("cases.Cases::same", environment={"JAVA_TOOL_OPTIONS": "-Xss2m"}).notes == [
        "JAVA_TOOL_OPTIONS has no effect: the virtual machine was started before the function"]


def test_properties(isolate_of):
    found = isolate_of("cases.Cases::properties").invoke(["java.io.tmpdir", "java.awt.headless", "file.encoding", "user.dir"]).json()
    assert found == {"java.io.tmpdir": "/tmp", "java.awt.headless": "true", "file.encoding": "UTF-8", "user.dir": "/var/task"}


@pytest.mark.parametrize("zone, name", [(None, "UTC UTC"), ("Asia/Tokyo", "Asia/Tokyo Asia/Tokyo")])
def test_time_zone(isolate_of, mode, zone, name):
    assert isolate_of("cases.Cases::zone", mode, environment={"TZ": zone} if zone else {}).invoke(None).json() == name


def test_thread_is_as_new_for_each_invocation(isolate_of):
    isolate = isolate_of("cases.Cases::changesThread")
    assert [isolate.invoke(None).json() for _ in range(2)] == ["false true"] * 2


def test_log(isolate_of, mode):
    isolate = isolate_of("cases.Cases::loggers", mode, environment={"AWS_LAMBDA_LOG_LEVEL": "INFO"})
    assert isolate.invoke("é\U0001f600").json() == "logged"
    assert log_of(isolate, "no end") == (
        "plain é\U0001f600\nbytes\n[WARN] warned\nstatic\nout é\U0001f600\nerr é\U0001f600\nno end")


def test_log_as_json(isolate_of):
    isolate = isolate_of("cases.Cases::loggers", environment={"AWS_LAMBDA_LOG_FORMAT": "JSON"})
    isolate.invoke("x", request_id="r-9")
    lines = [json.loads(line) for line in log_of(isolate, "no end").splitlines() if line.startswith("{")]
    assert [line["message"] for line in lines] == ["plain x", "bytes\n", "debug", "warned", "static"]
    assert lines[3]["level"] == "WARN" and lines[3]["AWSRequestId"] == "r-9" and lines[3]["timestamp"].endswith("Z")


# Errors.

INIT_ERRORS = [
    ("cases.Absent", "java.lang.ClassNotFoundException", "Class not found: cases.Absent"),
    ("cases.Absent::handle", "java.lang.ClassNotFoundException", "Class not found: cases.Absent"),
    ("cases.Cases::absent", "Runtime.HandlerNotFound", "cases.Cases has no public method absent"),
    ("cases.Handlers$Plain", "Runtime.HandlerNotFound", "implements neither RequestHandler nor RequestStreamHandler"),
    ("cases.Handlers$Plain::hidden", "Runtime.HandlerNotFound", "has no public method hidden"),
    ("cases.Handlers$NeedsArgument", "Runtime.HandlerNotFound", "no public constructor without parameters"),
    ("cases.Handlers$Unfinished", "java.lang.InstantiationException", ""),
    ("cases.Handlers$BadConstructor", "java.lang.IllegalArgumentException", "constructed badly"),
    ("cases.Handlers$BadStatic", "java.lang.ExceptionInInitializerError", ""),
    ("cases.Handlers$NeedsAbsent", "java.lang.NoClassDefFoundError", "absent/Absent"),
    ("", "Runtime.MalformedHandlerName", "is not of the form"),
    ("::method", "Runtime.MalformedHandlerName", "is not of the form"),
    ("cases.Cases::", "Runtime.MalformedHandlerName", "is not of the form"),
    ("a::b::c", "Runtime.MalformedHandlerName", "is not of the form"),
    ("cases/Cases.same", "Runtime.MalformedHandlerName", "is not of the form"),
]


@pytest.mark.parametrize("handler, type, message", INIT_ERRORS, ids=[row[0] for row in INIT_ERRORS])
def test_init_errors(become, handler, type, message):
    with pytest.raises(fake.InitFailed) as failed:
        become(handler)
    assert failed.value.type == failed.value.json["errorType"] == type
    assert message in failed.value.json["errorMessage"] and isinstance(failed.value.json["stackTrace"], list)


def test_init_error_by_exec(isolate_of):
    with pytest.raises(fake.InitFailed) as failed:
        isolate_of("cases.Absent", "exec")
    assert failed.value.type == "java.lang.ClassNotFoundException"


def test_init_error_has_the_functions_frames_only(become):
    with pytest.raises(fake.InitFailed) as failed:
        become("cases.Handlers$BadConstructor")
    assert [frame.split("(")[0] for frame in failed.value.json["stackTrace"]] == ["cases.Handlers$BadConstructor.<init>"]


def test_code_for_a_newer_java(runtime, code, tmp_path):
    data = bytearray((code / "cases/Handlers$OfMaps.class").read_bytes())
    data[6:8] = (99).to_bytes(2, "big")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases/Handlers$OfMaps.class").write_bytes(data)
    with pytest.raises(fake.InitFailed) as failed:
        runtime.become(handler="cases.Handlers$OfMaps", task_root=tmp_path)
    assert failed.value.type == "java.lang.UnsupportedClassVersionError" and "99.0" in failed.value.json["errorMessage"]


def test_error_payload(isolate_of):
    isolate = isolate_of("cases.Cases::fail")
    error = failure(isolate.invoke("it's é"))
    assert error["errorType"] == "java.lang.IllegalStateException" and error["errorMessage"] == "it's é"
    assert len(error["stackTrace"]) == 1 and error["stackTrace"][0].startswith("cases.Cases.fail(Cases.java:")
    assert error["cause"]["errorType"] == "java.io.IOException" and error["cause"]["errorMessage"] == "inside"
    log = log_of(isolate, "Caused by")
    assert "java.lang.IllegalStateException: it's é\n\tat cases.Cases.fail(Cases.java:" in log and "polyvisor" not in log


ERRORS = [
    ("failSilently", None, "java.lang.Exception", "java.lang.Exception"),
    ("overflow", 0, "java.lang.StackOverflowError", ""),
    ("itself", None, "Runtime.MarshalError", "LinkedHashMap"),
    ("liar", None, "Runtime.MarshalError", "no truth here"),
    ("circularCause", None, "java.lang.RuntimeException", "first"),
    ("mean", None, "cases.Cases$Mean", ""),
    ("integer", "no number", "Runtime.UnmarshalError", "cannot be read as int"),
    ("string", {"a": 1}, "Runtime.UnmarshalError", "cannot be read as java.lang.String"),
    ("points", {"a": [{"x": "y"}]}, "Runtime.UnmarshalError", "cannot be read as java.util.Map<java.lang.String,"),
    ("same", b"{no JSON", "Runtime.UnmarshalError", "cannot be read as java.lang.Object"),
    ("same", b"", "Runtime.UnmarshalError", "cannot be read as java.lang.Object"),
]


@pytest.mark.parametrize("method, event, type, message", ERRORS, ids=[f"{r[0]}-{r[2]}" for r in ERRORS])
def test_errors_and_the_next_invocation(isolate_of, method, event, type, message):
    isolate = isolate_of("cases.Cases::" + method)
    for _ in range(2):
        error = failure(isolate.invoke(event))
        assert error["errorType"] == type and message in error["errorMessage"]


def test_huge_error_is_cut(isolate_of):
    error = failure(isolate_of("cases.Cases::fail").invoke("x" * (6 * MIB - 100)))
    assert error["errorType"] == "java.lang.IllegalStateException" and error["errorMessage"].startswith("xxx")


def test_out_of_memory_fails_and_ends_the_isolate(code, mode):
    """With a smaller heap than that of the manifest, so that the machine is not filled."""
    argv, env = fake.command_of("java")
    argv = ["-Xmx64m" if word.startswith("-Xmx") else word for word in argv]
    made, handler = [], {"handler": "cases.Cases::exhaust", "task_root": code}
    if mode == "exec":
        made.append(fake.start_exec(argv, env, **handler))
    else:
        made.append(fake.start_template(argv, env))
        made.append(made[-1].become(**handler))
        made.append(made[-1].launch())
    error = failure(made[-1].invoke(None))
    assert error["errorType"] == "java.lang.OutOfMemoryError" and error["errorMessage"] == "Java heap space"
    assert made[-1].wait() == 0
    for each in reversed(made):
        each.end()


def test_exit_ends_the_process_with_its_status(isolate_of, mode):
    isolate = isolate_of("cases.Cases::exit", mode)
    isolate.send_event(7)
    assert isolate.wait() == 7


def test_closed_channel_ends_the_isolate(isolate_of, mode):
    isolate = isolate_of("cases.Machine::threads", mode)
    assert isolate.invoke(3).json() == 3
    isolate.socket.shutdown(1)
    assert isolate.wait() == 0


# Jars.

def test_jars(runtime, tmp_path):
    """Classes come from the root first, then from jars at the root, then from lib/, each in order of name."""
    def jar(path, text):
        source = tmp_path / "source" / path / "Which.java"
        source.parent.mkdir(parents=True)
        source.write_text("package dep; public class Which { public static String is() { return \"%s\"; } }" % text)
        classes = javac(tmp_path / "classes" / path, source)
        (classes / "dep/data.txt").write_text(text)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["jar", "cf", root / path, "-C", classes, "."], check=True)
    root = tmp_path / "root"
    jar("lib/b.jar", "lib b")
    jar("lib/c.jar", "lib c")
    source = tmp_path / "Main.java"
    source.write_text("""
        package app;
        public class Main {
            public String handle(Object event) throws Exception {
                return dep.Which.is() + ", " + new String(dep.Which.class.getResourceAsStream("data.txt").readAllBytes());
            }
        }""")
    javac(root, source, classpath=f"{API}:{root}/lib/b.jar")

    def answer():
        with runtime.become(handler="app.Main::handle", task_root=root) as function:
            with function.launch() as one, function.launch() as other:
                return {one.invoke(None).json(), other.invoke(None).json(), one.invoke(None).json()}
    assert answer() == {"lib b, lib b"}
    jar("lib/a.jar", "lib a")
    assert answer() == {"lib a, lib a"}
    jar("z.jar", "root")
    assert answer() == {"root, root"}


def test_own_jackson(runtime, tmp_path):
    """A function that brings the adapter's own JSON library gets its own copy of it."""
    source = tmp_path / "Own.java"
    source.write_text("""
        import com.fasterxml.jackson.databind.ObjectMapper;
        import com.fasterxml.jackson.annotation.JsonProperty;
        public class Own {
            public static class Named { @JsonProperty("other") public int value; }
            public String handle(String event) throws Exception {
                return new ObjectMapper().readValue(event, Named.class).value + " "
                    + (ObjectMapper.class.getClassLoader() == Own.class.getClassLoader());
            }
        }""")
    jars = [f"/usr/share/java/jackson-{name}.jar" for name in ("databind", "core", "annotations")]
    root = javac(tmp_path / "root", source, classpath=":".join([str(API), *jars]))
    (root / "lib").mkdir()
    for each in jars:
        shutil.copy(each, root / "lib")
    with runtime.become(handler="Own::handle", task_root=root) as function, function.launch() as isolate:
        assert isolate.invoke('{"other": 5}').json() == "5 true"


def test_own_serializer(runtime, tmp_path):
    """A function's own way between JSON and objects, found as a service."""
    source = tmp_path / "Custom.java"
    source.write_text("""
        import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
        import java.io.InputStream;
        import java.io.OutputStream;
        import java.io.UncheckedIOException;
        import java.io.IOException;
        import java.lang.reflect.Type;
        public class Custom implements CustomPojoSerializer {
            @SuppressWarnings("unchecked")
            public <T> T fromJson(InputStream input, Type type) {
                try {
                    return (T) (type.getTypeName() + " " + new String(input.readAllBytes()));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
            public <T> T fromJson(String input, Type type) { return null; }
            public <T> void toJson(T value, OutputStream output, Type type) {
                try {
                    output.write(("custom " + value + " " + type.getTypeName()).getBytes());
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
            public CharSequence handle(CharSequence event) { return event; }
        }""")
    root = javac(tmp_path / "root", source)
    (root / "META-INF/services").mkdir(parents=True)
    (root / "META-INF/services/com.amazonaws.services.lambda.runtime.CustomPojoSerializer").write_text("Custom\n")
    with runtime.become(handler="Custom::handle", task_root=root) as function, function.launch() as isolate:
        assert isolate.invoke(b"not JSON").payload == b"custom java.lang.CharSequence not JSON java.lang.CharSequence"


# Warm-up events and hooks.

def test_warmup_events(become):
    function = become("cases.Cases::whole", warmup=["{}", "[1]"])
    assert function.notes == []
    function = become("cases.Cases::integer", warmup=["1", '"none"'])
    assert len(function.notes) == 1 and function.notes[0].startswith("Warm-up event 1 failed: Runtime.UnmarshalError")
    with function.launch() as isolate:
        assert isolate.invoke(1).json() == 2


def test_hooks_in_a_clone(become):
    function = become("cases.Hooks::happened")
    for _ in range(2):
        with function.launch() as isolate:
            assert isolate.invoke(None).json() == [
                "before three", "before two", "before one", "after one", "after two", "after three"]


def test_hooks_by_exec_have_nothing_to_do(isolate_of):
    assert isolate_of("cases.Hooks::happened", "exec").invoke(None).json() == []


def test_before_hook_that_throws(become):
    with pytest.raises(fake.InitFailed) as failed:
        become("cases.Hooks::happened", environment={"BEFORE_FAILS": "two"})
    assert failed.value.type == "org.crac.CheckpointException" and "before two failed" in failed.value.json["errorMessage"]


def test_after_hook_that_throws(become):
    function = become("cases.Hooks::happened", environment={"AFTER_FAILS": "two"})
    isolate = function.launch()
    error = failure(isolate.invoke(None))
    assert error["errorType"] == "org.crac.RestoreException" and "after two failed" in error["errorMessage"]
    assert isolate.wait() == 0
    isolate.end()


# Uniqueness.

def test_unique_in_1000_isolates(become):
    function = become("cases.Sources::draw")
    drawn = collections.defaultdict(list)
    for _ in range(1000):
        with function.launch() as isolate:
            for source, value in isolate.invoke(None).json().items():
                drawn[source].append(value)
    assert len(drawn) >= 35
    assert {source: len(set(values)) for source, values in drawn.items() if len(set(values)) != 1000} == {}


def test_unique_in_function_templates(runtime, code):
    """Two functions of one runtime template draw differently while they are loaded, too."""
    drawn = []
    for _ in range(3):
        with runtime.become(handler="cases.Sources::draw", task_root=code) as function:
            with function.launch() as isolate:
                drawn.append(isolate.invoke(None).json())
    assert all(len({each[source] for each in drawn}) == 3 for source in drawn[0])


def test_seeded_generators_repeat(isolate_of, become):
    expected = isolate_of("cases.Sources::repeat", "exec").invoke(None).json()
    function = become("cases.Sources::repeat")
    for _ in range(3):
        with function.launch() as isolate:
            assert isolate.invoke(None).json() == expected


# A machine that works.

MACHINE = [
    ("threads", 50, 50), ("executors", 20, 40), ("parallel", 100000, 299995 + 1), ("process", "hello", "3 hello from child"),
    ("files", "some text", True), ("image", 16, 255), ("timers", None, True), ("cleaner", None, True),
    ("http", 6, [f"/{i}" for i in range(6)]),
]


@pytest.mark.parametrize("method, event, reply", MACHINE, ids=[row[0] for row in MACHINE])
def test_machine(isolate_of, mode, method, event, reply):
    isolate = isolate_of("cases.Machine::" + method, mode)
    for _ in range(3):
        frame = isolate.invoke(event)
        assert frame.type == "REPLY", frame
        assert frame.json() == reply


def test_garbage_collection(isolate_of, mode):
    isolate = isolate_of("cases.Machine::collect", mode)
    assert [isolate.invoke(400).json() > 1 for _ in range(3)] == [True] * 3


def test_hot_code_gets_faster(isolate_of):
    assert isolate_of("cases.Machine::compile").invoke(300).json() > 2


@pytest.mark.parametrize("namespaces", [False, True])
def test_process_identity(become, namespaces):
    function = become("cases.Machine::identity", namespaces=namespaces)
    for _ in range(2):
        with function.launch() as isolate:
            pid, actual, alive, same = isolate.invoke(None).json()
            assert pid == actual and alive and same
            assert pid == 1 or not namespaces


def test_orphans_are_reaped(become):
    function = become("cases.Machine::orphans", namespaces=True)
    with function.launch() as isolate:
        assert isolate.invoke(None).json().startswith("0 ")
        time.sleep(0.3)
        assert isolate.invoke(None).json().startswith("0 ")
        time.sleep(0.3)
        children = (pathlib.Path(f"/proc/{isolate.pid}/task").glob("*/children"))
        assert isolate.invoke(None).type == "REPLY"
        assert sum(len(each.read_text().split()) for each in children) <= 3


def test_clones_in_a_namespace_have_their_own_tmp(become):
    function = become("cases.Machine::files", namespaces=True)
    with function.launch() as one, function.launch() as other:
        assert one.invoke("a").json() is True and other.invoke("b").json() is True
