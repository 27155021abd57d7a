"""Berths: namespaces that are made before the launch that needs them (src/supervisor/launch/berth.h).

Which launch finds one is a matter of time, so each test calls until one did: an isolate in a berth is not PID 1.
"""

import os
import pathlib
import signal
import time

import pytest

from languages import LANGUAGES, create, create_probe

PYTHON = b"""
import os, signal, subprocess, sys, time
def handler(event, context):
    return globals()[event["do"]](event)
def look(event):
    return {"pid": os.getpid(), "parent": os.getppid(), "proc": sorted(filter(str.isdigit, os.listdir("/proc"))),
            "tmp": os.listdir("/tmp"), "directory": os.getcwd()}
def signals(event):
    seen = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGTERM)
    return seen
def die(event):
    os.kill(os.getpid(), event["signal"])
    time.sleep(5)
def scatter(event):
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execvp("sleep", ["sleep", event["mark"]])
            os._exit(0)
    time.sleep(event["seconds"])
    return os.getpid()
"""
FRESH = {"polyvisor:isolation": "request"}


def deploy(daemon, source=PYTHON, name="berths", **members):
    reply = create(daemon, name, "python", "f.handler", {"f.py": source}, Tags=FRESH, **members)
    assert reply.status_code == 201, reply.text
    return name


def wait_until(holds, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
    return value


def below(pid):
    """The processes that are descended from it."""
    found, new = [], [pid]
    while new:
        children = []
        for each in new:
            try:
                for task in pathlib.Path(f"/proc/{each}/task").iterdir():
                    children += [int(number) for number in (task / "children").read_text().split()]
            except OSError:  # it has ended
                continue
        found, new = found + children, children
    return found


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def berths(daemon):
    return [pid for pid in below(daemon.pid) if name_of(pid) == "polyvisor-berth"]


def ready(daemon, name):
    """Calls once, and waits for what that leaves for the next call. The berth tells nobody that it is ready."""
    assert daemon.invoke(name, {"do": "look"}).status_code == 200
    found = wait_until(lambda: berths(daemon), "a berth")
    time.sleep(0.1)
    return found


def in_berth(daemon, name, **event):
    ready(daemon, name)
    return daemon.invoke(name, event)


def test_the_second_launch_finds_one(daemon):
    name = deploy(daemon)
    first = daemon.invoke(name, {"do": "look"}).json()
    assert first == {"pid": 1, "parent": 0, "proc": ["1"], "tmp": [], "directory": "/var/task"}
    for _ in range(3):
        seen = in_berth(daemon, name, do="look").json()
        assert seen == {**first, "pid": 2, "proc": ["2"]}


@pytest.mark.parametrize("language", LANGUAGES, ids=[language.name for language in LANGUAGES])
def test_every_language_lives_in_one(daemon, language, tmp_path):
    name = create_probe(daemon, language, tmp_path, Tags=FRESH)
    for do, expected in (("threads", 1140), ("child", "from a child"), ("fetch", "fetched")):
        look = in_berth(daemon, name, do="look").json()
        assert (look["pid"], look["processes"], look["directory"], look["writable"]) == (2, [2], "/var/task", False)
        assert in_berth(daemon, name, do=do).json() == expected


def test_a_folder_that_was_entered_while_loading_is_kept(daemon):
    for folder, expected in (("/usr/lib", "/usr/lib"), ("/tmp", "/tmp")):
        name = deploy(daemon, b"import os; os.chdir('%s')" % folder.encode() + PYTHON, f"in{folder.replace('/', '-')}")
        seen = in_berth(daemon, name, do="look").json()
        assert (seen["pid"], seen["directory"]) == (2, expected)
        daemon.remove_all()


def test_one_that_died_is_not_missed(daemon):
    name = deploy(daemon)
    for pid in ready(daemon, name):
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    reply = daemon.invoke(name, {"do": "look"})
    assert reply.status_code == 200 and reply.json()["pid"] in (1, 2)
    assert in_berth(daemon, name, do="look").json()["pid"] == 2


def test_launches_at_once_do_without(daemon):
    """One finds the berth; the template makes the others as if there were none, and the next one again with one."""
    import concurrent.futures
    name = deploy(daemon)
    for _ in range(5):
        ready(daemon, name)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            seen = list(pool.map(lambda _: daemon.invoke(name, {"do": "look"}).json()["pid"], range(12)))
        # Where the clients pause for three milliseconds, another is there.
        assert set(seen) == {1, 2} and seen.count(2) < seen.count(1), seen


def test_a_handler_of_signals_works(daemon):
    name = deploy(daemon)
    assert in_berth(daemon, name, do="signals").json() == [signal.SIGTERM]


@pytest.mark.parametrize("number, word", [(signal.SIGKILL, "killed"), (signal.SIGTERM, "terminated")])
def test_a_signal_to_itself_ends_it(daemon, number, word):
    name = deploy(daemon)
    error = in_berth(daemon, name, do="die", signal=int(number)).json()
    assert error["errorType"] == "Runtime.ExitError"
    assert f"signal: {word}" in error["errorMessage"].lower()
    assert in_berth(daemon, name, do="look").json()["pid"] == 2


def sleeping(mark):
    def has(path):
        try:
            return path.read_bytes() == b"sleep\0" + mark.encode() + b"\0"
        except OSError:
            return False
    return [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if has(path)]


@pytest.mark.parametrize("seconds", [0.3, 30], ids=["after its reply", "after its time"])
def test_what_it_started_ends_with_it(daemon, seconds):
    name, mark = deploy(daemon, Timeout=2), f"{1000 + seconds}"
    reply = in_berth(daemon, name, do="scatter", seconds=seconds, mark=mark)
    assert "timed out" in reply.text if seconds == 30 else reply.json() == 2
    wait_until(lambda: not sleeping(mark), "the processes of the isolate to end", 5)


def test_what_it_started_ends_when_it_dies(daemon):
    name, mark = deploy(daemon, PYTHON.replace(b"return os.getpid()", b"os._exit(3)")), "1234.5"
    reply = in_berth(daemon, name, do="scatter", seconds=0.3, mark=mark)
    assert "exit status 3" in reply.text
    assert not sleeping(mark)  # the caller hears of the end when nothing is left


def counts(daemon, template):
    mounts = {os.stat(f"/proc/{pid}/ns/mnt").st_ino for pid in below(daemon.pid)}
    return {"processes": len(below(daemon.pid)), "mounts": len(mounts), "supervisor": len(os.listdir(f"/proc/{daemon.pid}/fd")),
            "template": len(os.listdir(f"/proc/{template}/fd")), "threads": len(os.listdir(f"/proc/{template}/task"))}


def test_five_hundred_launches_leave_nothing(own_daemon):
    daemon = own_daemon("--warm", "none")
    name = deploy(daemon)
    ready(daemon, name)
    daemon.invoke(name, {"do": "look"})
    time.sleep(0.5)
    template = next(pid for pid in below(daemon.pid) if name_of(pid) == "python3" and os.path.exists(f"/proc/{pid}/root/var/task/f.py"))
    before, used = counts(daemon, template), 0
    for i in range(500):
        used += daemon.invoke(name, {"do": "look"}).json()["pid"] == 2
        time.sleep(0.02 if i % 10 else 0)
    time.sleep(0.5)
    assert used > 100 and counts(daemon, template) == before
    daemon.remove_all()
    wait_until(lambda: not berths(daemon), "the berth to end with its function")
