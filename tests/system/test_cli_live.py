"""The command line and the real supervisor together, as a person uses them."""

import json
import os
import signal
import subprocess
import time
import zipfile

import pytest

import conftest

NOT_FOUND, FUNCTION_ERROR, THROTTLED, REFUSED = 4, 5, 6, 7

HELLO = "def handler(event, context):\n    return {'hello': event.get('name', 'world')}\n"
MISBEHAVING = """
import sys, time

def handler(event, context):
    print("before", event)
    if event == "raise":
        raise ValueError("no such colour")
    if event == "exit":
        sys.exit(3)
    if event == "sleep":
        time.sleep(60)
    if event == "escape":
        print("\\x1b[31mred")
    return event
"""


@pytest.fixture
def hello(daemon, tmp_path):
    path = tmp_path / "hello.py"
    path.write_text(HELLO)
    daemon.cli("deploy", path)
    return path


def test_a_bare_file_to_a_reply(daemon, tmp_path):
    path = tmp_path / "hello.py"
    path.write_text(HELLO)
    deployed = daemon.cli("deploy", path).stdout
    assert "created hello (inferred)" in deployed
    assert "python (inferred)" in deployed and "hello.handler (inferred)" in deployed
    assert json.loads(daemon.cli("invoke", "hello", '{"name": "you"}').stdout) == {"hello": "you"}
    assert json.loads(daemon.cli("invoke", "hello").stdout) == {"hello": "world"}


def test_invoke_tells_start_and_launch(daemon, hello):
    starts = []
    for _ in range(2):
        report = json.loads(daemon.cli("invoke", "hello", "--json").stdout)
        starts.append(report["start"])
        assert report["launch_us"] > 0 and report["reply"] == {"hello": "world"} and len(report["request_id"]) == 36
    assert starts == ["first", "warm"]
    assert "warm start" in daemon.cli("invoke", "hello", "-v").stderr


def test_isolation_request(daemon, hello):
    daemon.cli("deploy", hello, "--isolation", "request")
    starts = {json.loads(daemon.cli("invoke", "hello", "--json").stdout)["start"] for _ in range(4)}
    assert "warm" not in starts and "clone" in starts


def test_launch_exec(daemon, hello):
    daemon.cli("deploy", hello, "--launch", "exec")
    assert json.loads(daemon.cli("invoke", "hello", "--json").stdout)["start"] == "exec"


def test_deploy_again_changes_code_and_configuration(daemon, hello):
    hello.write_text(HELLO.replace("'hello':", "'goodbye':"))
    assert daemon.cli("deploy", hello, "--timeout", "9", "-e", "A=1").stdout.startswith("updated hello")
    assert json.loads(daemon.cli("invoke", "hello").stdout) == {"goodbye": "world"}
    shown = json.loads(daemon.cli("show", "hello", "--json").stdout)
    assert shown["Configuration"]["Timeout"] == 9
    assert shown["Configuration"]["Environment"] == {"Variables": {"A": "1"}}


def test_settings_are_kept_and_shown(daemon, hello):
    daemon.cli("deploy", hello, "--set", "keep-alive=5", "--set", "queue=7")
    daemon.cli("deploy", hello, "--set", "queue=8")
    text = daemon.cli("show", "hello").stdout
    assert "keep-alive=5" in text and "queue=8" in text


def test_list_and_remove(daemon, hello):
    assert "hello" in daemon.cli("list").stdout
    daemon.cli("remove", "hello")
    assert json.loads(daemon.cli("list", "--json").stdout) == {"functions": []}
    assert daemon.cli("remove", "hello", check=False).returncode == NOT_FOUND
    for words in (["invoke", "hello"], ["show", "hello"], ["logs", "hello"]):
        done = daemon.cli(*words, check=False)
        assert (done.returncode, done.stdout) == (NOT_FOUND, ""), done.stderr
        assert "hello" in done.stderr and done.stderr.count("\n") == 1


def test_list_of_many(daemon, tmp_path):
    path = tmp_path / "f.py"
    path.write_text(HELLO)
    names = [f"many-{i:03}" for i in range(60)]
    for name in names:
        daemon.cli("deploy", path, "--name", name)
    assert [f["FunctionName"] for f in json.loads(daemon.cli("list", "--json").stdout)["functions"]] == names


@pytest.fixture
def misbehaving(daemon, tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(MISBEHAVING)
    daemon.cli("deploy", path, "--timeout", "1")
    return "bad"


@pytest.mark.parametrize("event, parts", [
    ("raise", ["ValueError: no such colour"]),
    ("exit", ["Runtime.ExitError"]),
    ("sleep", ["Sandbox.Timedout", "Task timed out after 1.00 seconds"]),
])
def test_function_errors(daemon, misbehaving, event, parts):
    done = daemon.cli("invoke", misbehaving, json.dumps(event), check=False)
    assert done.returncode == FUNCTION_ERROR
    assert "function bad failed" in done.stderr and "polyvisor logs bad" in done.stderr
    for part in parts:
        assert part in done.stderr and part.split(": ")[-1] in done.stdout
    assert daemon.cli("invoke", misbehaving, '"fine"').stdout == '"fine"'


def test_logs(daemon, misbehaving):
    daemon.cli("invoke", misbehaving, '"one"')
    text = daemon.cli("logs", misbehaving).stdout
    for part in ("START RequestId", "before one", "END RequestId", "REPORT RequestId"):
        assert part in text
    assert len(daemon.cli("logs", misbehaving, "--last", "100").stdout) <= 100
    done = daemon.cli("invoke", misbehaving, '"two"', "--log")
    assert "before two" in done.stderr and done.stdout == '"two"'


def test_logs_follow(daemon, misbehaving):
    process = subprocess.Popen([conftest.POLYVISOR, "logs", misbehaving, "--follow"], stdout=subprocess.PIPE,
                               text=True, env={**os.environ, "POLYVISOR_ENDPOINT": daemon.url})
    try:
        for event in ("first", "second"):
            daemon.cli("invoke", misbehaving, json.dumps(event))
            asked = time.monotonic()
            while f"before {event}" not in process.stdout.readline():
                assert time.monotonic() - asked < 5
    finally:
        process.terminate()
        process.wait(10)


def test_stats(daemon, misbehaving):
    daemon.cli("invoke", misbehaving, '"one"')
    daemon.cli("invoke", misbehaving, '"raise"', check=False)
    stats = {f["name"]: f for f in json.loads(daemon.cli("stats", "--json").stdout)["functions"]}
    assert stats["bad"]["invocations"] == 2 and stats["bad"]["errors"] == 1
    row = next(line for line in daemon.cli("stats").stdout.splitlines() if line.startswith("bad "))
    assert row.split()[1:3] == ["2", "1"]


def test_runtimes(daemon):
    names = {r["name"]: r for r in json.loads(daemon.cli("runtimes", "--json").stdout)["runtimes"]}
    assert {"python", "node", "java"} <= names.keys()
    assert all(names[name]["clone"] and names[name]["version"] for name in ("python", "node", "java"))


@pytest.mark.parametrize("words, parts", [
    (["--runtime", "cobol"], ["cobol"]),
    (["--set", "colour=red"], ["colour", "names no setting"]),
    (["--set", "spares=many"], ["spares", "whole number"]),
    (["--memory", "1"], ["emory"]),
    (["--name", "not a name!"], ["name"]),
    (["--env", "A=" + "x" * 5000], ["nvironment"]),
])
def test_refused_deployments_leave_nothing(daemon, tmp_path, words, parts):
    path = tmp_path / "f.py"
    path.write_text(HELLO)
    done = daemon.cli("deploy", path, "--handler", "f.handler", *words, check=False)
    assert done.returncode == REFUSED, done.stderr
    for part in parts:
        assert part in done.stderr
    assert json.loads(daemon.cli("list", "--json").stdout) == {"functions": []}


@pytest.mark.parametrize("name", ["../../escape", "/etc/escape"])
def test_refused_archives(daemon, tmp_path, name):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app.py", HELLO)
        archive.writestr(name, "x")
    done = daemon.cli("deploy", path, check=False)
    assert done.returncode == REFUSED and "escape" in done.stderr


@pytest.mark.parametrize("event", ["{", "nonsense", '{"a":1}x'])
def test_events_that_are_no_json(daemon, hello, event):
    assert daemon.cli("invoke", "hello", event, check=False).returncode == REFUSED


def test_event_that_is_too_large(daemon, hello, tmp_path):
    (tmp_path / "event").write_text(json.dumps("x" * (6 << 20)))
    done = daemon.cli("invoke", "hello", f"@{tmp_path}/event", check=False)
    assert done.returncode == REFUSED and "RequestTooLargeException" in done.stderr


def test_throttled(daemon, misbehaving, tmp_path):
    daemon.cli("deploy", tmp_path / "bad.py", "--timeout", "3", "--set", "concurrency=1", "--set", "queue=0")
    slow = subprocess.Popen([conftest.POLYVISOR, "invoke", misbehaving, '"sleep"'], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env={**os.environ, "POLYVISOR_ENDPOINT": daemon.url})
    deadline = time.monotonic() + 10
    while daemon.cli("stats", "--json").stdout.count('"busy": 1') == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    done = daemon.cli("invoke", misbehaving, '"now"', check=False)
    assert slow.wait(30) == FUNCTION_ERROR
    assert done.returncode == THROTTLED and "TooManyRequestsException" in done.stderr


def test_async(daemon, misbehaving):
    done = daemon.cli("invoke", misbehaving, '"later"', "--async")
    assert done.stdout == "" and "accepted as request" in done.stderr
    deadline = time.monotonic() + 10
    while "before later" not in daemon.cli("logs", misbehaving).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_folder_with_links_and_programs(daemon, tmp_path):
    folder = tmp_path / "pack"
    (folder / "sub").mkdir(parents=True)
    (folder / "app.py").write_text(
        "import subprocess\n\ndef handler(event, context):\n"
        "    return [open('link').read(), subprocess.check_output(['./run'], text=True)]\n"
        "import os\nos.chdir(os.environ['LAMBDA_TASK_ROOT'])\n")
    (folder / "sub" / "data").write_text("linked")
    (folder / "link").symlink_to("sub/data")
    (folder / "run").write_text("#!/bin/sh\necho ran\n")
    (folder / "run").chmod(0o755)
    daemon.cli("deploy", folder)
    assert json.loads(daemon.cli("invoke", "pack").stdout) == ["linked", "ran\n"]


def test_java_from_one_source_file(daemon, tmp_path):
    (tmp_path / "Shout.java").write_text("""
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

public class Shout implements RequestHandler<String, String> {
	public String handleRequest(String event, Context context) {
		return event.toUpperCase();
	}
}
""")
    deployed = json.loads(daemon.cli("deploy", tmp_path / "Shout.java", "--json").stdout)
    assert (deployed["name"], deployed["runtime"], deployed["handler"]) == ("Shout", "java", "Shout")
    assert daemon.cli("invoke", "Shout", '"hey"').stdout == '"HEY"'


def test_java_from_a_folder_of_sources(daemon, tmp_path):
    package = tmp_path / "shop" / "com" / "acme"
    package.mkdir(parents=True)
    (tmp_path / "shop" / "prices.txt").write_text("7")
    (package / "Price.java").write_text("package com.acme; class Price { static int of(String s) { return Integer.parseInt(s); } }")
    (package / "Shop.java").write_text("""package com.acme;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;

public class Shop implements RequestHandler<Integer, Integer> {
	public Integer handleRequest(Integer event, Context context) {
		try (var prices = Shop.class.getResourceAsStream("/prices.txt")) {
			return event * Price.of(new String(prices.readAllBytes()));
		} catch (java.io.IOException e) {
			throw new java.io.UncheckedIOException(e);
		}
	}
}
""")
    deployed = json.loads(daemon.cli("deploy", tmp_path / "shop", "--json").stdout)
    assert (deployed["name"], deployed["runtime"], deployed["handler"]) == ("shop", "java", "com.acme.Shop")
    assert daemon.cli("invoke", "shop", "6").stdout == "42"


def test_java_that_does_not_compile(daemon, tmp_path):
    (tmp_path / "Broken.java").write_text("public class Broken {")
    done = daemon.cli("deploy", tmp_path / "Broken.java", check=False)
    assert done.returncode == REFUSED and "did not compile it" in done.stderr
    assert "Broken.java:1" in done.stderr


def test_unix_socket(polyvisor, tmp_path):
    process = subprocess.Popen(["unshare", "-fp", "--mount-proc", "--kill-child", polyvisor, "serve", "--listen",
                                f"unix:{tmp_path}/socket", "--state", tmp_path / "state", "--warm", "none"],
                               stderr=subprocess.DEVNULL)
    try:
        (tmp_path / "hello.py").write_text(HELLO)
        deadline = time.monotonic() + 30
        while conftest.run_cli("list", endpoint=f"unix:{tmp_path}/socket", check=False).returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        conftest.run_cli("deploy", tmp_path / "hello.py", endpoint=f"unix:{tmp_path}/socket")
        assert conftest.run_cli("invoke", "hello", endpoint=f"unix:{tmp_path}/socket").stdout == '{"hello": "world"}'
    finally:
        process.kill()
        process.wait(30)


def test_serve_has_help(polyvisor):
    by_option, by_command = conftest.run_cli("serve", "--help"), conftest.run_cli("help", "serve")
    assert by_option.stdout == by_command.stdout and "--listen" in by_option.stdout


# bench

@pytest.mark.parametrize("runtime", ["python", "node", "java"])
def test_bench_launch(polyvisor, tmp_path, runtime):
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(["unshare", "-fp", "--mount-proc", "--kill-child", polyvisor, "bench", "launch", "--runtime",
                           runtime, "--count", "30", "--json"], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert list(report) == ["runtime", "count", "p50_us", "p90_us", "p99_us", "floor_p50_us", "memory_per_isolate_kb"]
    assert (report["runtime"], report["count"]) == (runtime, 30)
    assert 0 < report["floor_p50_us"] and 0 < report["p50_us"] <= report["p90_us"] <= report["p99_us"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_bench_that_is_interrupted_leaves_nothing(polyvisor, tmp_path):
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(["unshare", "-fp", "--mount-proc", "--kill-child", polyvisor, "bench", "launch",
                                "--runtime", "python", "--count", "100000"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    deadline = time.monotonic() + 60
    while not list((tmp_path / "tmp").glob("*/socket")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    init = int(open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()[0])
    pidfd = os.pidfd_open(init)
    signal.pidfd_send_signal(pidfd, signal.SIGINT)
    os.close(pidfd)
    assert process.wait(60) == 1
    assert "the bench was interrupted" in process.stderr.read()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_bench_of_no_runtime(polyvisor):
    done = conftest.run_cli("bench", "launch", "--runtime", "cobol", check=False)
    assert done.returncode == 2 and "no runtime cobol" in done.stderr
