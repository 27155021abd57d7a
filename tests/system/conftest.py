"""The fixtures that every system test uses: the real program, in a world of its own.

A Daemon is `polyvisor serve` with a temporary state directory and a free port, as the init of a pid
namespace that dies with the test, so that nothing a test does can leave a process behind or signal
one of the machine's. The program is taken from the directory in POLYVISOR_BUILD, else from build/.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POLYVISOR_BUILD", ROOT / "build")).resolve()
POLYVISOR = BUILD / "polyvisor"
START_SECONDS = 30
FUNCTIONS = "/2015-03-31/functions"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    """One supervisor. `options` are further words for `polyvisor serve`."""

    prefix = ()  # a command that ends in executing the words behind it

    program = POLYVISOR

    def __init__(self, state, *options, environment=None):
        self.state = pathlib.Path(state)
        self.options = options
        self.environment = environment or {}
        self.log_path = self.state.parent / (self.state.name + ".log")
        self.process = None
        self.pidfd = None
        self.port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.port = free_port()
        command = [*self.prefix, "unshare", "--fork", "--pid", "--mount-proc", "--kill-child", self.program, "serve",
                   "--listen", f"127.0.0.1:{self.port}", "--state", self.state, *self.options]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log,
                                            env={**os.environ, **self.environment})
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"polyvisor serve did not start:\n{self.log()}", pytrace=False)
            time.sleep(0.02)
        self.pidfd = os.pidfd_open(self.pid)
        return self

    def answers(self):
        try:
            return requests.get(self.url + "/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    @property
    def pid(self):
        """The supervisor's process id as the machine counts; the namespace's init is `unshare`'s only child."""
        own = self.process.pid
        return int(pathlib.Path(f"/proc/{own}/task/{own}/children").read_text().split()[0])

    def signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def stop(self, seconds=30):
        """Ends it as an operator would; returns its exit code."""
        if self.process and self.process.poll() is None and self.pidfd is not None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                pytest.fail(f"polyvisor serve did not end within {seconds} s of SIGTERM:\n{self.log()}",
                            pytrace=False)
        return self.forget()

    def kill(self):
        """Ends it as a power cut would, with everything in its namespace."""
        if self.process and self.process.poll() is None:
            if self.pidfd is not None:
                self.signal(signal.SIGKILL)
            else:
                self.process.kill()
            self.process.wait(30)
        return self.forget()

    def forget(self):
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        return self.process.returncode if self.process else None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def request(self, method, path, **arguments):
        arguments.setdefault("timeout", 60)
        return requests.request(method, self.url + path, **arguments)

    def invoke(self, name, event=None, **arguments):
        """POSTs an invocation; `event` is anything JSON can hold, or bytes as they are."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self.request("POST", f"{FUNCTIONS}/{name}/invocations", data=body, **arguments)

    def cli(self, *words, check=True, **arguments):
        """Runs the command line against this supervisor."""
        return run_cli(*words, endpoint=self.url, check=check, **arguments)

    def deploy(self, path, name=None, *options):
        words = ["deploy", path, "--json", *options]
        return json.loads(self.cli(*words, *(["--name", name] if name else [])).stdout)

    def remove_all(self):
        while functions := self.request("GET", FUNCTIONS + "/").json()["Functions"]:
            for function in functions:
                self.request("DELETE", f"{FUNCTIONS}/{function['FunctionName']}")


def run_cli(*words, endpoint=None, check=True, env=None, timeout=120, **arguments):
    environment = {**os.environ, "NO_COLOR": "1", **(env or {})}
    if endpoint:
        environment["POLYVISOR_ENDPOINT"] = endpoint
    done = subprocess.run([str(word) for word in (POLYVISOR, *words)], env=environment, timeout=timeout,
                          **{"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **arguments})
    if check and done.returncode != 0:
        pytest.fail(f"polyvisor {' '.join(map(str, words))} ended with {done.returncode}:\n"
                    f"{done.stdout}{done.stderr}", pytrace=False)
    return done


@pytest.fixture(scope="session")
def polyvisor():
    """The program's path; fails clearly where it has not been built."""
    if not POLYVISOR.exists():
        pytest.fail(f"{POLYVISOR} is not there: build it with `make`, or name the build directory in "
                    "POLYVISOR_BUILD", pytrace=False)
    return POLYVISOR


@pytest.fixture(scope="session")
def shared_daemon(polyvisor, tmp_path_factory):
    """One supervisor for all tests that do not harm it."""
    daemon = Daemon(tmp_path_factory.mktemp("shared") / "state").start()
    yield daemon
    assert daemon.stop() == 0, daemon.log()[-4000:]


@pytest.fixture
def daemon(shared_daemon):
    """The shared supervisor, emptied of functions when the test ends."""
    yield shared_daemon
    if shared_daemon.process.poll() is not None:
        pytest.fail(f"the supervisor ended during the test:\n{shared_daemon.log()[-4000:]}", pytrace=False)
    shared_daemon.remove_all()


@pytest.fixture
def own_daemon(polyvisor, tmp_path):
    """Makes supervisors for one test: own_daemon("--isolation", "request"), also several in a row."""
    made = []

    def make(*options, state=None, environment=None):
        made.append(Daemon(state or tmp_path / f"state{len(made)}", *options, environment=environment))
        return made[-1].start()

    yield make
    codes = [each.stop() for each in made if each.process and each.process.poll() is None]
    assert not any(codes), "\n".join(each.log()[-2000:] for each in made)
