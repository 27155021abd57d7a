"""Every system call of the supervisor's launch path fails once: the caller gets a reply or a clear error, the next
one is served, and nothing leaks."""

import pathlib
import shutil
import subprocess
import time

import pytest

import conftest
from languages import LANGUAGES, create_probe

CALLS = {"socketpair": "EMFILE", "pipe2": "EMFILE", "fsopen": "EMFILE", "fsconfig": "ENOMEM", "fsmount": "ENOMEM",
         "epoll_ctl": "ENOMEM", "sendmsg": "ENOBUFS", "recvmsg": "ENOMEM", "pidfd_open": "EMFILE", "waitid": "EINTR",
         "setsockopt": "ENOBUFS", "fcntl": "EBADF", "read": "EIO", "pidfd_send_signal": "EPERM", "accept4": "EMFILE",
         "mmap": "ENOMEM", "brk": "ENOMEM", "epoll_wait": "EINTR", "getrandom": "EINTR"}
TIMES = (1, 2, 3, 5)


def descriptors(daemon):
    return len(list(pathlib.Path(f"/proc/{daemon.pid}/fd").iterdir()))


def inject(daemon, call, error, when):
    """Attaches to the supervisor's main thread; the call's `when`-th use from now on fails."""
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(daemon.pid), "-e", f"trace={call}",
                               "-e", f"inject={call}:error={error}:when={when}"], stderr=subprocess.DEVNULL)
    status = pathlib.Path(f"/proc/{daemon.pid}/status")
    deadline = time.monotonic() + 5
    while "TracerPid:\t0" in status.read_text() and tracer.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return tracer


@pytest.fixture(scope="module")
def victim(polyvisor, tmp_path_factory):
    if not shutil.which("strace"):
        pytest.fail("strace is not installed", pytrace=False)
    folder = tmp_path_factory.mktemp("faults")
    daemon = conftest.Daemon(folder / "state", "--warm", "python").start()
    create_probe(daemon, LANGUAGES[0], folder, "warm")
    create_probe(daemon, LANGUAGES[0], folder, "fresh", Tags={"polyvisor:isolation": "request"})
    for name in ("warm", "fresh"):
        assert daemon.invoke(name, {"a": 1}).json() == {"a": 1}
    yield daemon
    daemon.kill()


@pytest.mark.parametrize("call", CALLS)
def test_call_fails_once(victim, call):
    before, served = descriptors(victim), 0
    for when in TIMES:
        tracer = inject(victim, call, CALLS[call], when)
        try:
            for name in ("fresh", "warm", "fresh"):
                try:
                    reply = victim.invoke(name, {"n": when}, timeout=30)
                except conftest.requests.RequestException:
                    continue  # the connection itself was the victim
                assert reply.status_code in (200, 429, 500, 502, 503), reply.text
                served += reply.status_code == 200 and reply.json() == {"n": when}
        finally:
            tracer.terminate()
            tracer.wait()
        assert victim.process.poll() is None, victim.log()[-2000:]
        for name in ("fresh", "warm"):
            assert victim.invoke(name, {"after": call}, timeout=30).json() == {"after": call}
    assert served >= len(TIMES), f"{served} of {3 * len(TIMES)}"
    deadline = time.monotonic() + 5
    while descriptors(victim) > before + 8 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert descriptors(victim) <= before + 8
