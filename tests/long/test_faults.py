"""Every system call of the supervisor's launch path fails once: the caller gets a reply or a clear error, the next
one is served, and nothing leaks."""

import shutil
import time

import pytest

import conftest
import watching
from languages import LANGUAGES, create_probe
from tracing import Tracer

CALLS = {"socketpair": "EMFILE", "pipe2": "EMFILE", "fsopen": "EMFILE", "fsconfig": "ENOMEM", "fsmount": "ENOMEM",
         "epoll_ctl": "ENOMEM", "sendmsg": "ENOBUFS", "recvmsg": "ENOMEM", "pidfd_open": "EMFILE", "waitid": "EINTR",
         "setsockopt": "ENOBUFS", "fcntl": "EBADF", "read": "EIO", "pidfd_send_signal": "EPERM", "accept4": "EMFILE",
         "mmap": "ENOMEM", "brk": "ENOMEM", "epoll_wait": "EINTR", "getrandom": "EINTR"}
TIMES = (1, 2, 3, 5)
RARE = {"brk", "mmap", "getrandom"}  # memory and numbers are mostly at hand


@pytest.fixture(scope="module")
def victim(polyvisor, tmp_path_factory):
    if not shutil.which("strace"):
        pytest.fail("strace is not installed", pytrace=False)
    folder = tmp_path_factory.mktemp("faults")
    daemon = conftest.Daemon(folder / "state", "--warm", "python").start()
    daemon.folder = folder
    create_probe(daemon, LANGUAGES[0], folder, "warm")
    create_probe(daemon, LANGUAGES[0], folder, "fresh", Tags={"polyvisor:isolation": "request"})
    for name in ("warm", "fresh"):
        assert daemon.invoke(name, {"a": 1}).json() == {"a": 1}
    yield daemon
    daemon.kill()


def grown_since(before, after):
    allowed = {"descriptors": 8, "processes": 4, "control groups": 8, "zombies": 0}
    return {figure: (before[figure], after[figure]) for figure, more in allowed.items() if after[figure] > before[figure] + more}


@pytest.mark.parametrize("call", CALLS)
def test_call_fails_once(victim, call):
    before, served, hits = watching.settled(victim), 0, 0
    for when in TIMES:
        with Tracer(lambda: victim.pid, victim.folder / "trace", call, CALLS[call], when, follow=False) as tracer:
            for name in ("fresh", "warm", "fresh"):
                try:
                    reply = victim.invoke(name, {"n": when}, timeout=30)
                except conftest.requests.RequestException:
                    continue  # the connection itself was the victim
                assert reply.status_code in (200, 429, 500, 502, 503), reply.text
                served += reply.status_code == 200 and reply.json() == {"n": when}
            hits += tracer.hit()
        assert victim.process.poll() is None, victim.log()[-2000:]
        for name in ("fresh", "warm"):
            assert victim.invoke(name, {"after": call}, timeout=30).json() == {"after": call}
    assert served >= len(TIMES), f"{served} of {3 * len(TIMES)}"
    assert hits or call in RARE, f"{call} was never made"
    deadline = time.monotonic() + 10
    while (grown := grown_since(before, watching.figures(victim))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert grown == {}
