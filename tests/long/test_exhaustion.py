"""No process ids are left for the supervisor: launches fail with a stable error that says so, and recover by themselves.

The kernel keeps the limit by pid namespace (since 6.14), so only the supervisor's own is made small.
"""

import pathlib
import subprocess
import time

import pytest

import watching
from languages import LANGUAGES, create_probe

PID_MAX = 320  # above the 300 that are given out once
HOG = """
import os, sys, time
made = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
    except OSError:
        break
    made += 1
print(made, flush=True)
sys.stdin.read()
"""


def enter(daemon, *words, **arguments):
    return subprocess.Popen(["nsenter", "--target", str(daemon.pid), "--pid", "--mount", *words], text=True, **arguments)


def limit_pids(daemon, number):
    with enter(daemon, "sh", "-c", f"echo {number} > /proc/sys/kernel/pid_max", stderr=subprocess.PIPE) as process:
        if process.wait(10) != 0:
            pytest.skip(f"this kernel has no limit of process ids for a namespace: {process.stderr.read()}")


class NoPids:
    """While the block runs, no process can be made in the supervisor's namespace."""

    def __init__(self, daemon):
        self.daemon = daemon

    def __enter__(self):
        self.hog = enter(self.daemon, "/usr/bin/python3", "-c", "import os,sys\nos.setsid()\n" + HOG,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert int(self.hog.stdout.readline()) > 50

    def __exit__(self, *_):
        group = [int(child) for task in pathlib.Path(f"/proc/{self.hog.pid}/task").iterdir()
                 for child in (task / "children").read_text().split()]
        # nsenter forks to enter a pid namespace: its child is the hog, whose children hold the numbers.
        for hog in group:
            for child in pathlib.Path(f"/proc/{hog}/task/{hog}/children").read_text().split():
                watching.kill(int(child))
            watching.kill(hog)
        self.hog.communicate(timeout=30)


def fresh(daemon, language, folder):
    return create_probe(daemon, language, folder, f"fresh-{language.name}", Tags={"polyvisor:isolation": "request"})


def assert_fails_clearly(reply):
    told = reply.json()
    if reply.status_code == 200:
        assert reply.headers["X-Amz-Function-Error"] == "Unhandled" and told["errorType"] == "Runtime.ExitError", told
        assert "Resource temporarily unavailable" in told["errorMessage"], told
    else:
        assert reply.status_code in (429, 500, 502, 503) and "Resource temporarily unavailable" in reply.text, reply.text


def test_no_process_ids(own_daemon, tmp_path):
    daemon = own_daemon()
    names = [fresh(daemon, language, tmp_path) for language in LANGUAGES]
    for name in names:
        assert daemon.invoke(name, {"a": 1}).json() == {"a": 1}
    kept = create_probe(daemon, LANGUAGES[0], tmp_path, "kept")
    assert daemon.invoke(kept, {"a": 1}).json() == {"a": 1}
    new = create_probe(daemon, LANGUAGES[0], tmp_path, "never-used")
    limit_pids(daemon, PID_MAX)
    before = watching.settled(daemon)
    with NoPids(daemon):
        for name in names:
            assert_fails_clearly(daemon.invoke(name, {"a": 2}, timeout=60))
        assert_fails_clearly(daemon.invoke(new, {"a": 2}, timeout=60))
        # Who is there already is served, and the supervisor answers.
        assert daemon.invoke(kept, {"a": 3}).json() == {"a": 3}
        assert daemon.answers()
    deadline = time.monotonic() + 10
    for name in [*names, new, kept]:
        while daemon.invoke(name, {"a": 4}).text != '{"a": 4}' and time.monotonic() < deadline:
            time.sleep(0.1)
        reply = daemon.invoke(name, {"a": 5})
        assert reply.status_code == 200 and reply.json() == {"a": 5}, reply.text
    daemon.request("DELETE", f"/2015-03-31/functions/{new}")
    after = watching.settled(daemon)
    assert after["processes"] <= before["processes"] + 3 and after["zombies"] == 0, (before, after)
    assert after["descriptors"] <= before["descriptors"] + 12, (before, after)
