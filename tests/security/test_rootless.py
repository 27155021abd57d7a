"""The supervisor of an ordinary user, in all languages; and what it says of what is weaker."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import pathlib

import pytest
import requests

import conftest
from languages import LANGUAGES, create_probe

NOBODY = "65534"


class Rootless:
    """`polyvisor serve` as nobody, with what requests() of conftest.Daemon has."""

    def __init__(self, *options):
        # Not below pytest's own directories, which only root may enter.
        self.folder = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp"))
        self.folder.chmod(0o755)
        state = self.folder / "state"
        state.mkdir()
        os.chown(state, int(NOBODY), int(NOBODY))
        self.port = conftest.free_port()
        self.log_path = self.folder / "log"
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", "setpriv", "--reuid", NOBODY, "--regid", NOBODY,
                 "--clear-groups", conftest.POLYVISOR, "serve", "--listen", f"127.0.0.1:{self.port}", "--state", state,
                 *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": "/usr/bin:/bin"})

    def wait(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=2).status_code == 200
            except requests.RequestException:
                time.sleep(0.05)
        pytest.fail(f"polyvisor serve did not start as nobody:\n{self.log()}", pytrace=False)

    def request(self, method, path, **arguments):
        return requests.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=30, **arguments)

    def log(self):
        return self.log_path.read_text()

    def end(self):
        """setpriv clears the signal by which it would die with unshare, so the supervisor itself is ended."""
        own = self.process.pid
        try:
            inner = int(pathlib.Path(f"/proc/{own}/task/{own}/children").read_text().split()[0])
            pidfd = os.pidfd_open(inner)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        except (OSError, IndexError):  # it has ended by itself
            pass
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def rootless(polyvisor):
    daemon = Rootless()
    daemon.wait()
    yield daemon
    daemon.end()


@pytest.mark.parametrize("language", LANGUAGES, ids=[language.name for language in LANGUAGES])
def test_functions_work(rootless, language, tmp_path):
    name = create_probe(rootless, language, tmp_path)
    for do, expected in (("threads", 1140), ("child", "from a child"), ("fetch", "fetched")):
        reply = rootless.request("POST", f"{conftest.FUNCTIONS}/{name}/invocations", json={"do": do})
        assert reply.json() == expected, reply.text
    look = rootless.request("POST", f"{conftest.FUNCTIONS}/{name}/invocations", json={"do": "look"}).json()
    assert (look["pid"], look["processes"], look["writable"]) == (1, [1], False)


def test_launches_find_berths(rootless, tmp_path):
    name = create_probe(rootless, LANGUAGES[0], tmp_path, "fresh", Tags={"polyvisor:isolation": "request"})
    seen = set()
    for _ in range(200):
        look = rootless.request("POST", f"{conftest.FUNCTIONS}/{name}/invocations", json={"do": "look"}).json()
        assert look["processes"] == [look["pid"]]
        seen.add(look["pid"])
        if 2 in seen:
            break
        time.sleep(0.05)
    assert seen == {1, 2}


def test_what_is_weaker_is_said(rootless):
    assert "weaker here: root (uid 65534)" in rootless.log()


def test_strict_refuses(polyvisor):
    daemon = Rootless("--isolation", "strict")
    try:
        assert daemon.process.wait(30) == 1
        assert "strict isolation needs" in daemon.log() and "polyvisor doctor" in daemon.log()
    finally:
        daemon.end()


def test_its_end_leaves_nothing(polyvisor):
    daemon = Rootless("--warm", "none")
    daemon.wait()
    namespace = os.stat(f"/proc/{daemon.process.pid}/ns/pid_for_children").st_ino
    daemon.end()
    left = [each for each in pathlib.Path("/proc").glob("[0-9]*/ns/pid") if namespace_of(each) == namespace]
    assert left == [] and not daemon.folder.exists()


def namespace_of(link):
    try:
        return link.stat().st_ino
    except OSError:  # the process has ended
        return None


def test_user_ids_of_others_are_said(polyvisor, tmp_path):
    """`--first-uid` in a range that /etc/subuid gives to a person, and the default, which is in none."""
    given = tmp_path / "subuid"
    given.write_text("alice:100000:65536\nbob:165536:65536\n")
    for first, said in (("165000", True), ("300000", False), (None, False)):
        command = f"mount --bind {given} /etc/subuid && exec timeout -s KILL 5 {polyvisor} serve --listen 127.0.0.1:0 --warm none " \
                  f"--state {tmp_path / 'state'} " + (f"--first-uid {first}" if first else "")
        with subprocess.Popen(["unshare", "--mount", "--fork", "--pid", "--mount-proc", "--kill-child", "sh", "-c", command],
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if "serving at" in line:
                    break
            process.kill()
        assert any("alice's (/etc/subuid)" in line for line in lines) == said, lines


def test_doctor(polyvisor):
    told = json.loads(subprocess.run([polyvisor, "doctor", "--json"], capture_output=True, check=True).stdout)
    rows = {row["name"]: row for row in told}
    assert {"pidfd", "namespaces", "seccomp", "landlock", "cgroup", "root"} <= set(rows)
    assert all(row["gives"] and row["without"] and row["state"] in ("present", "partial", "absent") for row in told)
    assert rows["root"]["state"] == "present"
    plain = subprocess.run([polyvisor, "doctor"], capture_output=True, text=True).stdout
    assert all(name in plain for name in rows)


def test_doctor_says_of_control_groups_what_a_supervisor_says(polyvisor, daemon):
    told = json.loads(subprocess.run([polyvisor, "doctor", "--json"], capture_output=True, check=True).stdout)
    row = next(row for row in told if row["name"] == "cgroup")
    assert row["without"] in daemon.log(), row
    assert (row["state"] == "absent") == row["without"].startswith("No control groups")


def test_the_proc_of_another_namespace_is_refused(polyvisor, tmp_path):
    done = subprocess.run(["unshare", "--fork", "--pid", "--kill-child", polyvisor, "serve", "--listen",
                           f"127.0.0.1:{conftest.free_port()}", "--state", tmp_path / "state"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "/proc is not that of this process's pid namespace" in done.stderr and "--mount-proc" in done.stderr


def test_strict_refuses_without_control_groups(polyvisor, tmp_path):
    done = subprocess.run(["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", polyvisor, "serve", "--isolation",
                           "strict", "--cgroups", "none", "--listen", f"127.0.0.1:{conftest.free_port()}", "--state",
                           tmp_path / "state"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "strict isolation needs control groups" in done.stderr, done.stderr
