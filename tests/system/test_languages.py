"""One table of cases for all languages: what a handler may do, well or badly, and what its caller gets.

Every case runs in Python, JavaScript and Java, against the real supervisor. After each bad one the next
invocation of the same function must be served, and the supervisor must not have noticed more than that.
"""

import base64
import dataclasses
import json
import time
import typing

import pytest

from languages import LANGUAGES, create, create_probe

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Good:
    name: str
    do: str
    given: dict
    check: typing.Callable


@dataclasses.dataclass(frozen=True)
class Bad:
    name: str
    do: str
    given: dict
    types: tuple           # the error types it may have; "" stands for the language's own
    message: str = ""      # part of the message


GOOD = [
    Good("json comes back", "echo", {"a": [1, 2.5, None, True, {"b": "c"}]},
         lambda value: value == {"a": [1, 2.5, None, True, {"b": "c"}]}),
    Good("unicode comes back", "echo", {"text": "zażółć 漢字 🎈 \u0000 \n"},
         lambda value: value == {"text": "zażółć 漢字 🎈 \u0000 \n"}),
    Good("threads work", "threads", {}, lambda value: value == 1140),
    Good("a child process works", "child", {}, lambda value: value == "from a child"),
    Good("a server and a client work", "fetch", {}, lambda value: value == "fetched"),
    Good("printing works", "output", {}, lambda value: value == "printed"),
    Good("sleeping works", "sleep", {"seconds": 0.05}, lambda value: value == "slept"),
    Good("the code is at /var/task, read-only", "look", {},
         lambda value: value["pid"] == 1 and value["directory"] == "/var/task" and value["code"]
         and not value["writable"] and value["processes"] == [1]),
    Good("a large reply passes", "large", {"size": 5 * MIB}, lambda value: len(value) == 5 * MIB),
    Good("/tmp is its own", "temporary", {"secret": "mine"},
         lambda value: value == {"seen": False, "files": ["left-behind"]}),
]

BAD = [
    Bad("an exception", "throw", {}, ("",), "thrown on purpose"),
    Bad("a reply that is no JSON", "unserialisable", {}, ("marshal",)),
    Bad("an exit", "exit", {}, ("Runtime.ExitError",), "exit status 3"),
    Bad("an orderly exit", "exit", {"status": 0}, ("Runtime.ExitError",), "exited"),
    Bad("a crash", "crash", {}, ("Runtime.ExitError",), "Runtime exited with error"),
    Bad("an endless loop", "loop", {}, ("Sandbox.Timedout",), "Task timed out after 2.00 seconds"),
    Bad("a reply above 6 MiB", "large", {"size": 7 * MIB}, ("Function.ResponseSizeTooLarge",), "6291456"),
    Bad("a closed channel", "close", {}, ("Runtime.ExitError",)),
    Bad("garbage in the channel", "garbage", {}, ("Runtime.ExitError",), "malformed"),
]


def ids(cases):
    return [case.name.replace(" ", "-") for case in cases]


@pytest.fixture(scope="module", params=LANGUAGES, ids=[language.name for language in LANGUAGES])
def language(request):
    return request.param


@pytest.fixture(scope="module")
def probe(language, shared_daemon, tmp_path_factory):
    """The name of the language's probe, deployed twice: NAME, and NAME-short with a timeout of two seconds."""
    directory = tmp_path_factory.mktemp(language.name)
    name = create_probe(shared_daemon, language, directory)
    create_probe(shared_daemon, language, directory, f"{name}-short", Timeout=2)
    yield name
    for each in (name, f"{name}-short"):
        shared_daemon.request("DELETE", f"/2015-03-31/functions/{each}")


def call(daemon, name, do, given, **headers):
    return daemon.invoke(name, {"do": do, "with": given}, headers=headers)


def assert_serves(daemon, name):
    reply = call(daemon, name, "echo", {"still": "here"})
    assert reply.status_code == 200 and reply.json() == {"still": "here"}, reply.text
    assert "X-Amz-Function-Error" not in reply.headers


@pytest.mark.parametrize("case", GOOD, ids=ids(GOOD))
def test_good(case, language, probe, shared_daemon):
    reply = call(shared_daemon, probe, case.do, case.given)
    assert reply.status_code == 200, reply.text
    assert "X-Amz-Function-Error" not in reply.headers, reply.text[:500]
    assert case.check(reply.json()), reply.text[:500]
    assert reply.headers["X-Polyvisor-Start"] in ("warm", "clone", "first")
    assert int(reply.headers["X-Polyvisor-Launch-Us"]) > 0


@pytest.mark.parametrize("case", BAD, ids=ids(BAD))
def test_bad(case, language, probe, shared_daemon):
    name = f"{probe}-short"
    expected = {"": (language.error_type,), "marshal": language.marshal_types}
    reply = call(shared_daemon, name, case.do, case.given)
    assert reply.status_code == 200, reply.text
    assert reply.headers.get("X-Amz-Function-Error") == "Unhandled", reply.text[:500]
    error = reply.json()
    types = [t for wanted in case.types for t in expected.get(wanted, (wanted,))]
    assert error["errorType"] in types, error
    assert case.message in error["errorMessage"], error
    assert_serves(shared_daemon, name)


def test_context(language, probe, shared_daemon):
    client = base64.b64encode(json.dumps({"custom": {"key": "value"}}).encode()).decode()
    reply = call(shared_daemon, probe, "context", {}, **{"X-Amz-Client-Context": client})
    told = reply.json()
    assert told.pop("request") == reply.headers["x-amzn-RequestId"]
    assert told.pop("arn").endswith(f":function:{probe}")
    assert told == {"name": probe, "version": "$LATEST", "memory": 128, "left": True, "stream": True,
                    "group": f"/aws/lambda/{probe}", "client": {"key": "value"}}


def test_environment(language, shared_daemon, tmp_path):
    name = create_probe(shared_daemon, language, tmp_path, f"environment-{language.name}",
                        Environment={"Variables": {"MINE": "my value", "EMPTY": ""}}, MemorySize=256)
    names = ["MINE", "EMPTY", "_HANDLER", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
             "AWS_REGION", "LAMBDA_TASK_ROOT", "TZ", "POLYVISOR_FD", "NOT_THERE"]
    told = call(shared_daemon, name, "environment", {"names": names}).json()
    assert told == {"MINE": "my value", "EMPTY": "", "_HANDLER": language.handler, "AWS_LAMBDA_FUNCTION_NAME": name,
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_REGION": "us-east-1",
                    "LAMBDA_TASK_ROOT": "/var/task", "TZ": ":UTC", "POLYVISOR_FD": None, "NOT_THERE": None}
    shared_daemon.request("DELETE", f"/2015-03-31/functions/{name}")


def test_state_stays_within_an_isolate(language, probe, shared_daemon):
    first = call(shared_daemon, probe, "served", {}).json()
    assert call(shared_daemon, probe, "served", {}).json() == first + 1


def test_each_request_has_its_own_isolate_when_asked(language, shared_daemon, tmp_path):
    name = create_probe(shared_daemon, language, tmp_path, f"fresh-{language.name}",
                        Tags={"polyvisor:isolation": "request"})
    for turn in range(5):
        reply = call(shared_daemon, name, "served", {})
        assert reply.json() == 1
        assert reply.headers["X-Polyvisor-Start"] == ("first" if turn == 0 else "clone")
        assert call(shared_daemon, name, "temporary", {"secret": "s"}).json()["seen"] is False
    shared_daemon.request("DELETE", f"/2015-03-31/functions/{name}")


def test_exec(language, shared_daemon, tmp_path):
    name = create_probe(shared_daemon, language, tmp_path, f"exec-{language.name}", Tags={"polyvisor:launch": "exec"})
    reply = call(shared_daemon, name, "threads", {})
    assert (reply.json(), reply.headers["X-Polyvisor-Start"]) == (1140, "exec")
    assert call(shared_daemon, name, "look", {}).json()["processes"] == [1]
    assert call(shared_daemon, name, "exit", {}).json()["errorType"] == "Runtime.ExitError"
    assert_serves(shared_daemon, name)
    shared_daemon.request("DELETE", f"/2015-03-31/functions/{name}")


def test_orphans_end_with_their_isolate(language, shared_daemon, tmp_path):
    name = create_probe(shared_daemon, language, tmp_path, f"orphans-{language.name}",
                        Tags={"polyvisor:isolation": "request"})
    before = len(processes_of(shared_daemon, "sleep"))
    assert call(shared_daemon, name, "orphans", {}).json() is True
    deadline = time.monotonic() + 5
    while len(processes_of(shared_daemon, "sleep")) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(processes_of(shared_daemon, "sleep")) == before
    shared_daemon.request("DELETE", f"/2015-03-31/functions/{name}")


def processes_of(daemon, command):
    """Processes below the supervisor with that name, in any pid namespace."""
    import pathlib
    own = pathlib.Path(f"/proc/{daemon.pid}/root/proc")
    return [p for p in own.iterdir() if p.name.isdigit() and _name_of(p) == command]


def _name_of(process):
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return None


def test_a_flood_of_output_is_cut(language, shared_daemon, tmp_path):
    """100 MB of log: the handler's reply comes all the same, and the log says what is missing."""
    name = create_probe(shared_daemon, language, tmp_path, f"flood-{language.name}")
    neighbour = create_probe(shared_daemon, language, tmp_path, f"neighbour-{language.name}")
    reply = call(shared_daemon, name, "flood", {"kb": 100 * 1024}, **{"X-Amz-Log-Type": "Tail"})
    assert reply.json() == "flooded"
    tail = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
    assert len(tail) <= 4096 and "were not kept" in tail and "REPORT RequestId" in tail
    assert_serves(shared_daemon, neighbour)
    for each in (name, neighbour):
        shared_daemon.request("DELETE", f"/2015-03-31/functions/{each}")


def test_lines_are_tagged_with_their_request(language, probe, shared_daemon):
    reply = call(shared_daemon, probe, "output", {}, **{"X-Amz-Log-Type": "Tail"})
    tail = base64.b64decode(reply.headers["X-Amz-Log-Result"]).decode()
    identifier = reply.headers["x-amzn-RequestId"]
    for expected in (f"START RequestId: {identifier} Version: $LATEST", "to standard output", "to standard error",
                     f"END RequestId: {identifier}", f"REPORT RequestId: {identifier}\tDuration: "):
        assert expected in tail
    log = shared_daemon.request("GET", f"/polyvisor/logs/{probe}?last=4096").text
    assert any(identifier in line and "to standard output" in line for line in log.splitlines()), log


INIT_ERRORS = [
    ("a missing module", None, ("Runtime.ImportModuleError", "java.lang.ClassNotFoundException")),
    ("a missing handler", "", ("Runtime.HandlerNotFound", "java.lang.NoSuchMethodException", "Runtime.ImportModuleError",
                               "java.lang.ClassNotFoundException")),
    ("code that does not compile", "broken", ("Runtime.UserCodeSyntaxError", "java.lang.ClassFormatError", "java.lang.UnsupportedClassVersionError",
                                              "Runtime.ImportModuleError")),
]


@pytest.mark.parametrize("what,kind,types", INIT_ERRORS, ids=[row[0].replace(" ", "-") for row in INIT_ERRORS])
def test_init_errors(what, kind, types, language, shared_daemon, tmp_path):
    name = f"init-{language.name}"
    if kind == "broken":
        reply = create(shared_daemon, name, language.name, language.broken_handler, language.broken_syntax)
        assert reply.status_code == 201, reply.text
    else:
        handler = {None: "absent.handler", "": "probe.absent"}[kind]
        if language.name == "java":
            handler = {None: "absent.Handler", "": "Probe::absent"}[kind]
        create_probe(shared_daemon, language, tmp_path, name)
        changed = shared_daemon.request("PUT", f"/2015-03-31/functions/{name}/configuration", json={"Handler": handler})
        assert changed.status_code == 200, changed.text
    for _ in range(2):
        reply = shared_daemon.invoke(name, {})
        assert (reply.status_code, reply.headers.get("X-Amz-Function-Error")) == (200, "Unhandled"), reply.text
        assert reply.json()["errorType"] in types, reply.text
    shared_daemon.request("DELETE", f"/2015-03-31/functions/{name}")


def test_an_inexact_identifier_is_served_and_said(language, shared_daemon, tmp_path):
    identifiers = {"python": "python3.7", "node": "nodejs12.x", "java": "java8.al2"}
    name = create_probe(shared_daemon, language, tmp_path, f"inexact-{language.name}", Runtime=identifiers[language.name])
    assert_serves(shared_daemon, name)
    assert f"runtime {identifiers[language.name]} is served by" in shared_daemon.request(
        "GET", f"/polyvisor/logs/{name}?last=100000").text
    shared_daemon.request("DELETE", f"/2015-03-31/functions/{name}")


def test_a_large_reply_outlives_its_isolate(language, shared_daemon, tmp_path):
    """The isolate ends with its reply, which is still being handed on."""
    name = create_probe(shared_daemon, language, tmp_path, f"large-{language.name}", Tags={"polyvisor:isolation": "request"})
    for size in (100_000, 1_000_000, 5_000_000):
        assert call(shared_daemon, name, "large", {"size": size}).json() == "x" * size
    shared_daemon.request("DELETE", f"/2015-03-31/functions/{name}")
