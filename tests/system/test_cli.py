"""The command line by itself: against a supervisor that answers what each test wrote down.

What only the real supervisor can show is in test_cli_live.py. The program runs as users run it, with
its standard output a file, or a terminal where the test is about terminals.
"""

import base64
import io
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import zipfile

import pytest

import conftest
import scripted_api
from scripted_api import Answer

FUNCTIONS = "/2015-03-31/functions"
USAGE, UNREACHABLE, NOT_FOUND, FUNCTION_ERROR, THROTTLED, REFUSED, SUPERVISOR = range(2, 9)

# A runtime nobody has heard of: what deploy infers comes from the supervisor's list alone.
RUNTIMES = [
    {"name": "snake", "identifiers": ["snake3.*"], "version": "3.9", "clone": True,
     "deploy": {"suffixes": [".snk"], "files": ["app.snk", "main.snk"],
                "handlers": [{"when": r"^def special\(", "handler": "{stem}.special"},
                             {"handler": "{stem}.handler"}]}},
    {"name": "coffee", "identifiers": ["coffee*"], "clone": False, "problem": "it is cold",
     "deploy": {"suffixes": [".cup"], "files": ["*.class"],
                "handlers": [{"when": "[^L]org/cup/Handler", "handler": "{class}"}]}},
]


@pytest.fixture
def script(polyvisor):
    script, endpoint, stop = scripted_api.serve()
    script.endpoint = endpoint
    script.answers["GET /polyvisor/runtimes"] = Answer(200, json.dumps(RUNTIMES))
    yield script
    stop()


@pytest.fixture
def run(script):
    def run(*words, **arguments):
        return conftest.run_cli(*words, endpoint=script.endpoint, check=False, **arguments)
    return run


def refusal(status, name, message="it is so"):
    return Answer(status, json.dumps({"Type": "User", "Message": message}), {"x-amzn-ErrorType": name})


def expect_failure(done, code, *parts):
    """One sentence on standard error, nothing on standard output."""
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("polyvisor: ") and done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr
    assert done.stdout == ""


def on_terminal(words, endpoint, environment=None):
    """Runs the program with all its outputs a terminal; returns (exit code, what it printed)."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "POLYVISOR_ENDPOINT": endpoint, **(environment or {})}
    if "NO_COLOR" not in (environment or {}):
        environment.pop("NO_COLOR", None)
    process = subprocess.Popen([conftest.POLYVISOR, *words], stdin=theirs, stdout=theirs, stderr=theirs,
                               env=environment)
    os.close(theirs)
    printed = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 30)
        try:
            part = os.read(ours, 65536) if ready else b""
        except OSError:
            part = b""
        if not part:
            break
        printed += part
    os.close(ours)
    return process.wait(30), printed


# Usage

@pytest.mark.parametrize("words, part", [
    ([], "no command was given"),
    (["frobnicate"], "no command frobnicate"),
    (["deploy"], "deploy needs PATH"),
    (["deploy", "a", "b"], "deploy takes only PATH"),
    (["list", "x"], "list takes no argument"),
    (["invoke"], "invoke needs NAME"),
    (["list", "--frob"], "no option --frob"),
    (["list", "-z"], "no option -z"),
    (["list", "--json=yes"], "--json takes no value"),
    (["deploy", "--name"], "--name needs a value"),
    (["deploy", "x", "--timeout", "0"], "--timeout does not accept \"0\""),
    (["deploy", "x", "--timeout", "901"], "from 1 to 900"),
    (["deploy", "x", "--timeout", "3s"], "--timeout does not accept \"3s\""),
    (["deploy", "x", "--memory", "-1"], "--memory does not accept"),
    (["deploy", "x", "--isolation", "vm"], "one of function|request"),
    (["--frob"], "no option --frob"),
    (["help", "frobnicate"], "no command frobnicate"),
    (["bench", "everything", "--runtime", "python"], "no bench everything"),
    (["bench", "launch"], "needs --runtime"),
    (["--endpoint", "ftp://x", "list"], "endpoint ftp://x is of no kind known"),
    (["--endpoint", "", "list"], "the endpoint is empty"),
    (["--endpoint", "http://x", "serve"], "serve takes its options behind it"),
])
def test_usage_errors(run, words, part):
    expect_failure(run(*words), USAGE, part)


def test_help_names_every_command_and_exit_code(run):
    text = run("help").stdout
    for command in ("serve", "deploy", "invoke", "list", "show", "remove", "logs", "runtimes", "stats", "bench",
                    "completion", "version", "help"):
        assert f"\n  {command} " in text
    for code in range(9):
        assert f"\n  {code}  " in text
    assert run("--help").stdout == text


@pytest.mark.parametrize("command", ["deploy", "invoke", "list", "show", "remove", "logs", "runtimes", "stats",
                                     "bench", "completion", "version", "help"])
def test_help_of_each_command(run, command):
    by_option, by_command = run(command, "--help"), run("help", command)
    assert by_option.returncode == by_command.returncode == 0
    assert by_option.stdout == by_command.stdout
    assert by_option.stdout.startswith(f"Usage: polyvisor {command}")
    assert "--endpoint URL" in by_option.stdout


def test_version(run):
    assert run("version").stdout == run("--version").stdout
    assert run("version").stdout.startswith("polyvisor ")
    assert "version" in json.loads(run("version", "--json").stdout)


def test_errors_as_json(run, script):
    script.answers[f"DELETE {FUNCTIONS}/gone"] = refusal(404, "ResourceNotFoundException", "Function not found: gone")
    done = run("remove", "gone", "--json")
    error = json.loads(done.stderr)["error"]
    assert done.returncode == error["exit"] == NOT_FOUND
    assert error["outcome"] == "not-found"
    assert "Function not found: gone" in error["message"]


# The supervisor's answers

@pytest.mark.parametrize("status, name, code", [
    (400, "InvalidParameterValueException", REFUSED),
    (403, "AccessDeniedException", REFUSED),
    (404, "ResourceNotFoundException", NOT_FOUND),
    (409, "ResourceConflictException", REFUSED),
    (413, "RequestTooLargeException", REFUSED),
    (429, "TooManyRequestsException", THROTTLED),
    (500, "ServiceException", SUPERVISOR),
    (503, "ServiceUnavailableException", SUPERVISOR),
])
def test_refusals(run, script, status, name, code):
    script.answers[f"POST {FUNCTIONS}/f/invocations"] = refusal(status, name)
    expect_failure(run("invoke", "f"), code, "function f: it is so", name)


@pytest.mark.parametrize("answer", [
    Answer(200, "<html>hello</html>"),
    Answer(200, ""),
    Answer(200, "[]"),
    Answer(200, '{"Functions":'),
    Answer(302, "", {"Location": "http://127.0.0.1:1/"}),
    Answer(500, "\x00\xff"),
])
def test_answers_that_are_none(run, script, answer):
    script.answers[f"GET {FUNCTIONS}/"] = answer
    expect_failure(run("list"), SUPERVISOR, "the list of functions", "is it a polyvisor supervisor?")


def test_nobody_answers(polyvisor):
    endpoint = f"127.0.0.1:{conftest.free_port()}"
    done = conftest.run_cli("list", endpoint=endpoint, check=False)
    expect_failure(done, UNREACHABLE, f"supervisor at {endpoint} did not answer", "polyvisor serve")


def test_no_such_socket(polyvisor, tmp_path):
    done = conftest.run_cli("list", endpoint=f"unix:{tmp_path}/none", check=False)
    expect_failure(done, UNREACHABLE, f"unix:{tmp_path}/none", "polyvisor serve")


def test_unix_socket(polyvisor, tmp_path):
    script, endpoint, stop = scripted_api.serve(tmp_path / "socket")
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, '{"Functions": []}')
    done = conftest.run_cli("list", "--json", "--endpoint", endpoint)
    assert json.loads(done.stdout) == {"functions": []}
    stop()


def test_proxies_are_not_used(run, script):
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, '{"Functions": []}')
    assert run("list", env={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}).returncode == 0


def test_option_wins_over_environment(script, polyvisor):
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, '{"Functions": []}')
    for words in (["--endpoint", script.endpoint, "list"], ["list", "--endpoint", script.endpoint + "/"]):
        assert conftest.run_cli(*words, endpoint="http://127.0.0.1:1").returncode == 0


# invoke

def invocation(script, name="f", body=b'{"ok":true}', status=200, **headers):
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    script.answers[f"POST {FUNCTIONS}/{name}/invocations"] = Answer(
        status, body, {"X-Polyvisor-Start": "clone", "X-Polyvisor-Launch-Us": "143", "x-amzn-RequestId": "id-1", **headers})


@pytest.mark.parametrize("words, stdin, sent", [
    ([], None, b"{}"),
    (['{"a":1}'], None, b'{"a":1}'),
    (["@EVENT"], None, b'[1,2]\n'),
    (["-"], b'"from standard input"', b'"from standard input"'),
    (["--", "-5"], None, b"-5"),
])
def test_invoke_events(run, script, tmp_path, words, stdin, sent):
    (tmp_path / "event").write_bytes(b"[1,2]\n")
    invocation(script)
    words = [word.replace("EVENT", str(tmp_path / "event")) for word in words]
    (tmp_path / "stdin").write_bytes(stdin or b"")
    with open(tmp_path / "stdin", "rb") as stdin_file:
        done = run("invoke", "f", *words, stdin=stdin_file)
    assert done.returncode == 0, done.stderr
    assert script.sent("POST", f"{FUNCTIONS}/f/invocations") == [sent]


def test_invoke_prints_the_reply_and_nothing_else(run, script):
    body = bytes(range(256))
    invocation(script, body=body)
    done = run("invoke", "f", text=False)
    assert (done.stdout, done.stderr) == (body, b"")


def test_invoke_verbose_tells_start_and_launch(run, script):
    invocation(script)
    done = run("invoke", "f", "--verbose")
    assert done.stdout == '{"ok":true}'
    assert "clone start, launched in 143 us" in done.stderr


def test_invoke_json(run, script):
    invocation(script, X_Amz_Log_Result=base64.b64encode(b"line\xff\n").decode())
    report = json.loads(run("invoke", "f", "--json", "--log").stdout)
    assert report["reply"] == {"ok": True}
    assert (report["status"], report["start"], report["launch_us"]) == (200, "clone", 143)
    assert report["request_id"] == "id-1" and report["function_error"] is None
    assert report["log"] == "line\ufffd\n"


@pytest.mark.parametrize("body, member, value", [
    (b"null", "reply", None),
    (b"plain text", "reply_text", "plain text"),
    (b"\xff\xfe", "reply_base64", base64.b64encode(b"\xff\xfe").decode()),
])
def test_invoke_json_of_replies_that_are_no_json(run, script, body, member, value):
    invocation(script, body=body)
    report = json.loads(run("invoke", "f", "--json").stdout)
    assert member in report and report[member] == value


def test_invoke_log_tail(run, script):
    invocation(script, X_Amz_Log_Result=base64.b64encode(b"START\nhello\nEND\n").decode())
    done = run("invoke", "f", "--log")
    assert (done.stdout, done.stderr) == ('{"ok":true}', "START\nhello\nEND\n")
    assert script.requests[-1][2]["X-Amz-Log-Type"] == "Tail"


def test_invoke_of_a_failing_function(run, script):
    body = b'{"errorType":"ValueError","errorMessage":"no such colour","stackTrace":[]}'
    invocation(script, body=body, X_Amz_Function_Error="Unhandled")
    done = run("invoke", "f")
    assert done.returncode == FUNCTION_ERROR
    assert done.stdout.encode() == body
    assert "function f failed: ValueError: no such colour; `polyvisor logs f`" in done.stderr


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"errorType":1}'])
def test_invoke_of_a_function_that_fails_without_reason(run, script, body):
    invocation(script, body=body, X_Amz_Function_Error="Unhandled")
    done = run("invoke", "f")
    assert done.returncode == FUNCTION_ERROR and "it gave no reason" in done.stderr


def test_invoke_async(run, script):
    invocation(script, body=b"", status=202)
    done = run("invoke", "f", "--async")
    assert (done.returncode, done.stdout) == (0, "")
    assert script.requests[-1][2]["X-Amz-Invocation-Type"] == "Event"


def test_invoke_with_no_such_event_file(run):
    expect_failure(run("invoke", "f", "@/none/event"), 1, "/none/event", "No such file")


@pytest.mark.parametrize("name, path", [("a b", "a%20b"), ("../x", "..%2Fx"), ("a?b=c#d", "a%3Fb%3Dc%23d"),
                                        ("arn:aws:lambda:x:1:function:f", "arn%3Aaws%3Alambda%3Ax%3A1%3Afunction%3Af")])
def test_names_are_escaped(run, script, name, path):
    run("invoke", name)
    assert script.requests[-1][1] == f"{FUNCTIONS}/{path}/invocations"


# Terminals

def test_control_characters_are_shown_on_a_terminal(script):
    invocation(script, body=b'a\x1b]0;title\x07\r\nb\x9bc\xc2\x9bd\x7f \xc3\xa9 \xe2\x82\xac\tz')
    code, printed = on_terminal(["invoke", "f"], script.endpoint, {"NO_COLOR": "1"})
    assert code == 0
    assert b"a^[]0;title^G\r\nb\\x9bc\\x9bd^? \xc3\xa9 \xe2\x82\xac\tz" in printed
    assert b"\x1b" not in printed


def test_control_characters_of_names_and_messages(script):
    evil = "x\x1b[2Jy"
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, json.dumps({"Functions": [{"FunctionName": evil}]}))
    script.answers[f"POST {FUNCTIONS}/f/invocations"] = refusal(400, "X", evil)
    for words in (["list"], ["invoke", "f"], ["list", "--json"]):
        assert b"\x1b[2J" not in on_terminal(words, script.endpoint)[1]


@pytest.mark.parametrize("environment, coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False),
                                                   ({"NO_COLOR": ""}, True)])
def test_colour(script, environment, coloured):
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, json.dumps({"Functions": [{"FunctionName": "f"}]}))
    assert (b"\x1b[" in on_terminal(["list"], script.endpoint, environment)[1]) == coloured


def test_no_colour_elsewhere(run, script):
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, json.dumps({"Functions": [{"FunctionName": "f"}]}))
    assert "\x1b" not in run("list", env={"NO_COLOR": "", "TERM": "xterm"}).stdout


# A reader that goes

def test_reader_that_has_gone(script, polyvisor):
    functions = [{"FunctionName": f"function-{i}", "Handler": "x" * 100} for i in range(5000)]
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, json.dumps({"Functions": functions}))
    reading, writing = os.pipe()
    process = subprocess.Popen([polyvisor, "list"], stdout=writing, stderr=subprocess.PIPE,
                               env={**os.environ, "POLYVISOR_ENDPOINT": script.endpoint})
    os.close(writing)
    os.read(reading, 10)
    os.close(reading)
    assert (process.wait(30), process.stderr.read()) == (0, b"")


def test_full_disk(script, polyvisor):
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, '{"Functions": []}')
    with open("/dev/full", "wb") as full:
        done = conftest.run_cli("list", "--json", endpoint=script.endpoint, check=False, capture_output=False,
                                stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and "No space left" in done.stderr


# list, show, runtimes, stats, remove, logs

def test_list_reads_all_pages(run, script):
    page = lambda name, **more: Answer(200, json.dumps({"Functions": [{"FunctionName": name}], **more}))
    script.answers[f"GET {FUNCTIONS}/"] = page("a", NextMarker="x y")
    script.answers[f"GET {FUNCTIONS}/?Marker=x%20y"] = page("b")
    assert [f["FunctionName"] for f in json.loads(run("list", "--json").stdout)["functions"]] == ["a", "b"]
    assert run("list").stdout.split("\n")[1].split()[0] == "a"


def test_runtimes(run):
    lines = run("runtimes").stdout.split("\n")
    assert lines[1].split()[:2] == ["snake", "3.9"] and " yes " in lines[1]
    assert "it is cold" in lines[2] and " no " in lines[2]
    assert json.loads(run("runtimes", "--json").stdout) == {"runtimes": RUNTIMES}


def test_show(run, script):
    configuration = {"FunctionName": "f", "Runtime": "snake", "Handler": "f.h", "MemorySize": 256, "Timeout": 7,
                     "CodeSize": 1234, "Environment": {"Variables": {"A": "1", "B": "2"}},
                     "EphemeralStorage": {"Size": 512}, "State": "Active"}
    script.answers[f"GET {FUNCTIONS}/f"] = Answer(200, json.dumps(
        {"Configuration": configuration, "Tags": {"polyvisor:spares": "3", "team": "x"}}))
    script.answers["GET /polyvisor/stats"] = Answer(200, json.dumps({"functions": [
        {"name": "f", "invocations": 9, "note": "python3.12 was asked for", "isolates": {"idle": 2, "busy": 0}, "template_ready": True,
         "settings": {"spares": 3, "isolation": "function"}}]}))
    text = run("show", "f").stdout
    for part in ("256 MB", "7 s", "A=1", "B=2", "spares=3", "isolation=function", "9 calls", "2 idle", "template ready", "python3.12 was asked for"):
        assert part in text
    assert "team" not in text
    shown = json.loads(run("show", "f", "--json").stdout)
    assert shown["Configuration"] == configuration and shown["Running"]["invocations"] == 9


def test_remove(run, script):
    script.answers[f"DELETE {FUNCTIONS}/f"] = Answer(204)
    assert run("remove", "f").stdout == "removed f\n"
    assert json.loads(run("remove", "f", "--json").stdout) == {"removed": "f"}


def log_answer(text, position):
    return Answer(200, text, {"X-Polyvisor-Position": str(position)})


def test_logs_reads_to_the_end(run, script):
    script.answers["GET /polyvisor/logs/f?position=0"] = log_answer("one\n", 4)
    script.answers["GET /polyvisor/logs/f?position=4"] = log_answer("two\n", 8)
    script.answers["GET /polyvisor/logs/f?position=8"] = log_answer("", 8)
    assert run("logs", "f").stdout == "one\ntwo\n"
    parts = [json.loads(line) for line in run("logs", "f", "--json").stdout.splitlines()]
    assert parts == [{"position": "4", "text": "one\n"}, {"position": "8", "text": "two\n"}]


def test_logs_last(run, script):
    script.answers["GET /polyvisor/logs/f?last=100"] = log_answer("tail\n", 500)
    script.answers["GET /polyvisor/logs/f?position=500"] = log_answer("", 500)
    assert run("logs", "f", "--last", "100").stdout == "tail\n"


def test_logs_without_a_position(run, script):
    script.answers["GET /polyvisor/logs/f?position=0"] = Answer(200, "text")
    expect_failure(run("logs", "f"), SUPERVISOR, "the log of function f", "no position")


def test_logs_follow(script, polyvisor):
    script.answers["GET /polyvisor/logs/f?position=0&wait=1"] = log_answer("one\n", 4)
    script.answers["GET /polyvisor/logs/f?position=4&wait=1"] = [log_answer("", 4), log_answer("", 4), log_answer("two\n", 8)]
    script.answers["GET /polyvisor/logs/f?position=8&wait=1"] = log_answer("", 8)
    process = subprocess.Popen([polyvisor, "logs", "f", "-f"], stdout=subprocess.PIPE,
                               env={**os.environ, "POLYVISOR_ENDPOINT": script.endpoint})
    assert [process.stdout.readline() for _ in range(2)] == [b"one\n", b"two\n"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT


def test_logs_follow_ends_with_its_reader(script, polyvisor):
    script.answers["GET /polyvisor/logs/f?position=0&wait=1"] = log_answer("x\n", 0)
    process = subprocess.Popen([polyvisor, "logs", "f", "-f"], stdout=subprocess.PIPE,
                               env={**os.environ, "POLYVISOR_ENDPOINT": script.endpoint})
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 0


def test_logs_follow_of_a_function_that_is_removed(run, script):
    script.answers["GET /polyvisor/logs/f?position=0&wait=1"] = [log_answer("one\n", 0), refusal(404, "ResourceNotFoundException")]
    done = run("logs", "f", "-f")
    assert done.returncode == NOT_FOUND and done.stdout == "one\n"


# deploy

@pytest.fixture
def deploy(run, script):
    """Deploys and returns (the process, what CreateFunction was sent, the zip in it)."""
    def deploy(path, *words):
        script.answers[f"POST {FUNCTIONS}"] = Answer(201, "{}")
        script.answers[f"POST {FUNCTIONS}?warm=1"] = Answer(201, "{}")
        done = run("deploy", path, *words)
        sent = script.sent("POST", FUNCTIONS) + script.sent("POST", FUNCTIONS + "?warm=1")
        body = json.loads(sent[-1]) if sent else None
        content = zipfile.ZipFile(io.BytesIO(base64.b64decode(body["Code"]["ZipFile"]))) if body else None
        return done, body, content
    return deploy


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", ".").replace("_s_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize("text, handler", [("def handler(e):\n", "hello.handler"), ("x = 1\ndef special(e):\n", "hello.special"),
                                           ("# def special(\n", "hello.handler"), ("", "hello.handler")])
def test_deploy_of_a_bare_file(deploy, tmp_path, text, handler):
    path = tmp_path / "hello.snk"
    path.write_text(text)
    done, body, content = deploy(path)
    assert done.returncode == 0, done.stderr
    assert (body["FunctionName"], body["Runtime"], body["Handler"]) == ("hello", "snake", handler)
    assert body["Role"]
    assert content.namelist() == ["hello.snk"] and content.read("hello.snk").decode() == text
    assert "hello (inferred)" in done.stdout and "1 file" in done.stdout


def test_deploy_says_what_was_inferred(deploy, tmp_path):
    path = tmp_path / "hello.snk"
    path.write_text("")
    done, *_ = deploy(path, "--name", "given", "--runtime", "snake3.11", "--handler", "a.b")
    assert "(inferred)" not in done.stdout


def test_deploy_of_a_folder(deploy, tmp_path):
    folder = write(tmp_path / "my func.tion", app__snk="", other__snk="", lib_s_x__txt="x")
    (folder / "run").write_text("#!")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("lib/x.txt")
    write(folder / ".git", HEAD="ref")
    done, body, content = deploy(folder)
    assert done.returncode == 0, done.stderr
    assert (body["FunctionName"], body["Runtime"], body["Handler"]) == ("my-func-tion", "snake", "app.handler")
    assert sorted(content.namelist()) == ["app.snk", "lib/", "lib/x.txt", "link", "other.snk", "run"]
    assert content.getinfo("run").external_attr >> 16 & 0o777 == 0o755
    assert content.getinfo("link").external_attr >> 28 == 0o12 and content.read("link") == b"lib/x.txt"


def test_deploy_of_the_working_folder(script, polyvisor, tmp_path):
    folder = write(tmp_path / "here", main__snk="")
    script.answers[f"POST {FUNCTIONS}"] = Answer(201, "{}")
    done = conftest.run_cli("deploy", ".", endpoint=script.endpoint, cwd=folder)
    assert json.loads(script.sent("POST", FUNCTIONS)[0])["FunctionName"] == "here"
    assert "handler" in done.stdout


def test_deploy_is_repeatable(deploy, tmp_path):
    folder = write(tmp_path / "f", app__snk="a", b__txt="b", c__txt="c")
    first = deploy(folder)[1]["Code"]["ZipFile"]
    assert deploy(folder)[1]["Code"]["ZipFile"] == first


@pytest.mark.parametrize("suffix", ["zip", "jar"])
def test_deploy_of_an_archive(deploy, tmp_path, suffix):
    path = tmp_path / f"pack.{suffix}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("org/me/Main.class", b"\xca\xfe\0\0Lorg/cup/Handler;\0")
        archive.writestr("org/me/Cup.class", b"\xca\xfe\0\0" + b"x" * 5000 + b"\x0forg/cup/Handler\0")
    done, body, content = deploy(path)
    assert done.returncode == 0, done.stderr
    assert base64.b64decode(body["Code"]["ZipFile"]) == path.read_bytes()
    assert (body["FunctionName"], body["Runtime"], body["Handler"]) == ("pack", "coffee", "org.me.Cup")


def test_deploy_options_become_members_and_tags(deploy, tmp_path):
    path = tmp_path / "f.snk"
    path.write_text("")
    done, body, _ = deploy(path, "-t", "9", "-m", "512", "--tmp", "600", "-e", "A=1", "-e", "B=x=y", "-e", "C=",
                           "--set", "spares=2", "-s", "queue=5", "--isolation", "request", "--launch", "exec",
                           "--description", "a note", "--warm")
    assert done.returncode == 0, done.stderr
    assert (body["Timeout"], body["MemorySize"], body["EphemeralStorage"]) == (9, 512, {"Size": 600})
    assert body["Environment"] == {"Variables": {"A": "1", "B": "x=y", "C": ""}}
    assert body["Description"] == "a note"
    assert body["Tags"] == {"polyvisor:spares": "2", "polyvisor:queue": "5", "polyvisor:isolation": "request",
                            "polyvisor:launch": "exec"}


@pytest.mark.parametrize("words, parts", [
    (["-e", "novalue"], ["--env does not accept \"novalue\"", "NAME=VALUE"]),
    (["--set", "=3"], ["--set does not accept \"=3\""]),
    (["-e", os.fsdecode(b"A=\xff")], ["not UTF-8"]),
])
def test_deploy_pairs_that_are_none(run, tmp_path, words, parts):
    path = tmp_path / "f.snk"
    path.write_text("")
    expect_failure(run("deploy", path, *words), USAGE, *parts)


def test_deploy_of_what_cannot_be(run, tmp_path):
    expect_failure(run("deploy", tmp_path / "none"), 1, "none cannot be deployed", "No such file")
    (tmp_path / "empty").mkdir()
    expect_failure(run("deploy", tmp_path / "empty"), USAGE, "holds no file")
    os.mkfifo(tmp_path / "pipe")
    expect_failure(run("deploy", tmp_path / "pipe"), USAGE, "neither a file nor a folder")
    write(tmp_path / "f", app__snk="")
    os.mkfifo(tmp_path / "f" / "pipe")
    expect_failure(run("deploy", tmp_path / "f"), REFUSED, "f/pipe cannot be deployed")
    (tmp_path / "text.odd").write_text("")
    expect_failure(run("deploy", tmp_path / "text.odd"), USAGE, "the runtime of", "no runtime claims", "--runtime")
    write(tmp_path / "both", app__snk="", X__class=b"\x0forg/cup/Handler")
    expect_failure(run("deploy", tmp_path / "both"), USAGE, "both", "may hold the handler", "--runtime")
    write(tmp_path / "two", A__class=b"\x0forg/cup/Handler", B__class=b"\x0forg/cup/Handler")
    expect_failure(run("deploy", tmp_path / "two"), USAGE, "the handler of", "A.class", "B.class", "--handler")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04" + b"\xff" * 100)
    expect_failure(run("deploy", tmp_path / "bad.zip"), REFUSED, "bad.zip cannot be deployed")
    write(tmp_path / "large", app__snk="")
    with open(tmp_path / "large" / "hole", "wb") as hole:
        hole.truncate((250 << 20) + 1)
    expect_failure(run("deploy", tmp_path / "large"), REFUSED, "larger than 250 MB")


def test_deploy_with_the_runtime_given(deploy, run, tmp_path):
    path = tmp_path / "odd.txt"
    path.write_text("")
    assert deploy(path, "--runtime", "snake3.7")[1]["Handler"] == "odd.handler"
    expect_failure(run("deploy", path, "--runtime", "cobol"), USAGE, "the handler of", "--handler")
    assert deploy(path, "--runtime", "cobol", "--handler", "x")[1]["Runtime"] == "cobol"


def existing(script, **configuration):
    configuration = {"FunctionName": "f", "FunctionArn": "arn:f", "Runtime": "snake", "Handler": "f.handler", **configuration}
    script.answers[f"GET {FUNCTIONS}/f"] = Answer(200, json.dumps({"Configuration": configuration, "Tags": {"polyvisor:spares": "1"}}))
    script.answers[f"PUT {FUNCTIONS}/f/configuration"] = Answer(200, json.dumps(configuration))
    script.answers[f"PUT {FUNCTIONS}/f/code"] = Answer(200, json.dumps(configuration))
    script.answers["POST /2017-03-31/tags/arn%3Af"] = Answer(204)


def requests_that_change(script):
    return [f"{method} {path}" for method, path, _, _ in script.requests if method != "GET"]


def test_deploy_again_sends_only_what_differs(run, script, tmp_path):
    existing(script, Timeout=5)
    path = tmp_path / "f.snk"
    path.write_text("")
    done = run("deploy", path, "--timeout", "5", "--set", "spares=1")
    assert done.stdout.startswith("updated f")
    assert requests_that_change(script) == [f"PUT {FUNCTIONS}/f/code"]


def test_deploy_again_updates_configuration_settings_and_code(run, script, tmp_path):
    existing(script)
    path = tmp_path / "f.snk"
    path.write_text("def special(e):\n")
    assert json.loads(run("deploy", path, "--timeout", "6", "--set", "spares=2", "--json").stdout)["created"] is False
    assert requests_that_change(script) == [f"PUT {FUNCTIONS}/f/configuration", "POST /2017-03-31/tags/arn%3Af",
                                            f"PUT {FUNCTIONS}/f/code"]
    assert json.loads(script.sent("PUT", f"{FUNCTIONS}/f/configuration")[0]) == {"Handler": "f.special", "Timeout": 6}
    assert json.loads(script.sent("POST", "/2017-03-31/tags/arn%3Af")[0]) == {"Tags": {"polyvisor:spares": "2"}}


def test_deploy_again_keeps_what_cannot_be_inferred(run, script, tmp_path):
    existing(script)
    folder = write(tmp_path / "f", some__txt="")
    done = run("deploy", folder)
    assert done.returncode == 0 and "snake (as before)" in done.stdout
    assert requests_that_change(script) == [f"PUT {FUNCTIONS}/f/code"]


def test_deploy_again_refused_changes_nothing(run, script, tmp_path):
    existing(script)
    script.answers[f"PUT {FUNCTIONS}/f/configuration"] = refusal(400, "InvalidParameterValueException")
    path = tmp_path / "f.snk"
    path.write_text("")
    expect_failure(run("deploy", path, "--timeout", "6"), REFUSED, "function f: it is so")
    assert requests_that_change(script) == [f"PUT {FUNCTIONS}/f/configuration"]


def test_deploy_help_names_what_can_be_set(run):
    told = run("deploy", "--help").stdout
    assert all(setting in told for setting in ("network", "concurrency", "queue", "spares", "keep-alive", "cpu"))


# deploy of what must be compiled: only by the manifests beside the program

@pytest.fixture
def compiler(tmp_path):
    """The folders of a language whose compiler is `cp`."""
    folder = tmp_path / "runtimes" / "cup"
    folder.mkdir(parents=True)

    def write_rule(*command):
        (folder / "manifest.json").write_text(json.dumps({"name": "cup", "deploy": {"compile": {
            "suffixes": [".cup"], "command": list(command)}}}))
        return {"POLYVISOR_RUNTIMES": str(folder.parent), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    return write_rule


def test_deploy_compiles(run, script, compiler, tmp_path):
    (tmp_path / "Some.cup").write_bytes(b"\x0forg/cup/Handler")
    script.answers[f"POST {FUNCTIONS}"] = Answer(201, "{}")
    done = run("deploy", tmp_path / "Some.cup", env=compiler("cp", "{file}", "{output}/Some.class"))
    assert done.returncode == 0, done.stderr
    body = json.loads(script.sent("POST", FUNCTIONS)[0])
    assert (body["FunctionName"], body["Runtime"], body["Handler"]) == ("Some", "coffee", "Some")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("command, code, parts", [
    (["false", "{file}"], REFUSED, ["Some.cup was not deployed because false did not compile it"]),
    (["no-such-compiler"], 1, ["no-such-compiler cannot be started", "install it"]),
])
def test_deploy_does_not_compile(run, script, compiler, tmp_path, command, code, parts):
    (tmp_path / "Some.cup").write_text("")
    expect_failure(run("deploy", tmp_path / "Some.cup", env=compiler(*command)), code, *parts)
    assert requests_that_change(script) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def packed(script):
    """What is in the zip that was uploaded: {name: bytes}."""
    body = json.loads(script.sent("POST", FUNCTIONS)[0])
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(body["Code"]["ZipFile"])))
    return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def test_deploy_compiles_the_sources_of_a_folder(run, script, compiler, tmp_path):
    folder = tmp_path / "some"
    (folder / "org" / "cup").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "Old.cup").write_text("not of it")
    (folder / "org" / "cup" / "Some.cup").write_bytes(b"\x0forg/cup/Handler")
    (folder / "Other.cup").write_text("more")
    (folder / "data.txt").write_text("goes along")
    script.answers[f"POST {FUNCTIONS}"] = Answer(201, "{}")
    done = run("deploy", folder, env=compiler("sh", "-c", 'cd "$0" && mkdir -p org/cup && cat "$@" > org/cup/Some.class',
                                              "{output}", "{file}"))
    assert done.returncode == 0, done.stderr
    body = json.loads(script.sent("POST", FUNCTIONS)[0])
    assert (body["FunctionName"], body["Runtime"], body["Handler"]) == ("some", "coffee", "org.cup.Some")
    files = packed(script)
    assert files["org/cup/Some.class"] == b"more\x0forg/cup/Handler" and files["data.txt"] == b"goes along"
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("words, beside", [(["--handler", "x", "--runtime", "coffee"], "data.txt"), ([], "Made.class")])
def test_deploy_leaves_sources_alone(run, script, compiler, tmp_path, words, beside):
    """Where the user says the handler, or something else may hold it."""
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "Some.cup").write_text("")
    (folder / beside).write_bytes(b"\x0forg/cup/Handler")
    script.answers[f"POST {FUNCTIONS}"] = Answer(201, "{}")
    done = run("deploy", folder, *words, env=compiler("false"))
    assert done.returncode == 0, done.stderr
    assert set(packed(script)) == {"Some.cup", beside}


def test_a_supervisor_cannot_have_commands_run(run, script, tmp_path):
    """The list that a supervisor answers is data: a compile rule in it does nothing."""
    proof = tmp_path / "proof"
    evil = [{"name": "evil", "deploy": {"suffixes": [".evil"], "handlers": [{"handler": "x"}], "compile": {
        "suffixes": [".evil"], "command": ["touch", str(proof)]}}}]
    script.answers["GET /polyvisor/runtimes"] = Answer(200, json.dumps(evil))
    script.answers[f"POST {FUNCTIONS}"] = Answer(201, "{}")
    (tmp_path / "f.evil").write_text("")
    assert run("deploy", tmp_path / "f.evil").returncode == 0
    assert not proof.exists()


# The manual page and the completion

def test_manual_names_every_option(run):
    page = run("help", "--man").stdout.replace("\\-", "-")
    for command in ("deploy", "invoke", "logs", "bench"):
        for line in run("help", command).stdout.splitlines():
            if line.startswith("  --") or line.startswith("  -"):
                assert line.split("  ")[1].split(",")[-1].strip() in page
    lint = subprocess.run(["man", "--warnings", "-l", "-"], input=run("help", "--man").stdout, text=True,
                          capture_output=True, timeout=30) if shutil.which("man") else None
    assert lint is None or (lint.returncode, lint.stderr) == (0, "")


def test_completion_is_bash(run, script, tmp_path):
    file = tmp_path / "completion"
    file.write_text(run("completion").stdout)
    script.answers[f"GET {FUNCTIONS}/"] = Answer(200, json.dumps({"Functions": [{"FunctionName": "alpha"}, {"FunctionName": "beta"}]}))

    def complete(*words):
        code = (f"source {file}; COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; "
                "_polyvisor; printf '%s\\n' \"${COMPREPLY[@]}\"")
        environment = {**os.environ, "POLYVISOR_ENDPOINT": script.endpoint,
                       "PATH": f"{conftest.BUILD}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, timeout=30)
        assert done.stderr == ""
        return done.stdout.split()

    assert complete("polyvisor", "de") == ["deploy"]
    assert "--isolation" in complete("polyvisor", "deploy", "--")
    assert complete("polyvisor", "deploy", "--isolation", "r") == ["request"]
    assert complete("polyvisor", "invoke", "") == ["alpha", "beta"]
    assert complete("polyvisor", "help", "ser") == ["serve"]
