"""A supervisor that lives as long as a measurement."""

import base64
import ctypes
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import zipfile

import program

FUNCTIONS = "/2015-03-31/functions"
START_SECONDS = 60
STOP_SECONDS = 20
_LIBC = ctypes.CDLL(None)


class Failed(Exception):
    """A supervisor, or a function in it, did not do what the bench needs; the text says why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    """For preexec_fn: the process is killed when the bench is, however it ends."""
    _LIBC.prctl(1, signal.SIGKILL)


def world():
    """The words before a command that make it the init of a pid namespace, which dies with it."""
    return ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"] if os.geteuid() == 0 else []


def zip_of(files):
    """A deployment package of {name: bytes or text}; the same bytes for the same files, whenever it is made."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


class Supervisor:
    """`polyvisor serve` as the init of a pid namespace of its own (for root), with a temporary state.

    `arguments` are further words for `polyvisor serve`. No language's template is made at start
    unless they say so. Connections are kept, one for each thread that calls.
    """

    def __init__(self, arguments=()):
        self.folder = tempfile.mkdtemp(prefix="polyvisor-bench-")
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = self.pidfd = self.pid = None
        self.threads = threading.local()
        try:
            self._start(list(arguments))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _start(self, arguments):
        warm = [] if "--warm" in arguments else ["--warm", "none"]
        command = [*world(), program.polyvisor(), "serve", "--listen", f"127.0.0.1:{self.port}",
                   "--state", self.folder + "/state", *warm, *arguments]
        with open(self.folder + "/log", "wb") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=die_with_parent)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"the bench's supervisor does not answer: {self.log()[-600:] or 'it logged nothing'}")
            time.sleep(0.02)
        self.pid = self._find_pid(bool(world()))
        self.pidfd = os.pidfd_open(self.pid)

    def _find_pid(self, in_namespace):
        own = self.process.pid
        if not in_namespace:
            return own
        with open(f"/proc/{own}/task/{own}/children") as file:
            return int(file.read().split()[0])

    def _answers(self):
        try:
            return self.request("GET", "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def log(self):
        with open(self.folder + "/log", errors="replace") as file:
            return file.read().strip()

    def request(self, method, path, body=None, headers={}, timeout=120):
        """(status, body, headers) of a reply. A connection that was idle may have been closed meanwhile."""
        try:
            return self._request(method, path, body, headers, timeout)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            return self._request(method, path, body, headers, timeout)

    def _request(self, method, path, body, headers, timeout):
        connection = getattr(self.threads, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.threads.connection = connection
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read(), reply.headers
        except BaseException:
            connection.close()
            self.threads.connection = None
            raise

    def cli(self, *words, timeout=120):
        """Runs the command line against this supervisor; its standard output."""
        done = subprocess.run([program.polyvisor(), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout, env={**os.environ, "POLYVISOR_ENDPOINT": self.endpoint})
        if done.returncode != 0:
            raise Failed(f"polyvisor {' '.join(map(str, words))[:200]} failed: {done.stderr.strip()[-600:]}")
        return done.stdout

    def deploy(self, path, name, runtime=None, handler=None, settings={}, env={}, options=()):
        """Deploys a file or folder as the command line does; settings are those of `deploy --set`, and
        `options` further words (such as "--timeout", 60, "--memory", 512, "--warm")."""
        words = ["deploy", path, "--name", name, "--json", *options]
        words += ["--runtime", runtime] if runtime else []
        words += ["--handler", handler] if handler else []
        for key, value in settings.items():
            words += ["--set", f"{key}={value}"]
        for key, value in env.items():
            words += ["--env", f"{key}={value}"]
        return json.loads(self.cli(*words))

    def create(self, name, runtime, handler, package, settings={}, timeout=60, warm=False, memory_mb=128):
        """Creates a function by the API, from the bytes of a zip: quick enough for thousands."""
        tags = {"polyvisor:" + key: str(value) for key, value in settings.items()}
        body = json.dumps({"FunctionName": name, "Runtime": runtime, "Handler": handler, "Role": "arn:aws:iam::1:role/r",
                           "Timeout": timeout, "MemorySize": memory_mb, "Tags": tags,
                           "Code": {"ZipFile": base64.b64encode(package).decode()}})
        status, reply, _ = self.request("POST", FUNCTIONS + ("?warm=1" if warm else ""), body,
                                        {"Content-Type": "application/json"})
        if status != 201:
            raise Failed(f"function {name} was not created: {status} {reply[:300]!r}")

    def url(self, name):
        return f"{self.endpoint}{FUNCTIONS}/{name}/invocations"

    def invoke(self, name, body=b"{}"):
        """(reply, headers) of an invocation; Failed, with the reason, when the function failed."""
        status, reply, headers = self.request("POST", f"{FUNCTIONS}/{name}/invocations", body)
        if status != 200 or "X-Amz-Function-Error" in headers:
            raise Failed(f"function {name} failed: {status} {reply[:300]!r}; the supervisor's last words: {self.log()[-300:]}")
        return reply, headers

    def stats(self):
        return json.loads(self.request("GET", "/polyvisor/stats")[1])

    def function_stats(self, name):
        return next((each for each in self.stats()["functions"] if each["name"] == name), None)

    def runtimes(self):
        return json.loads(self.request("GET", "/polyvisor/runtimes")[1])

    def remove(self, name):
        self.request("DELETE", f"{FUNCTIONS}/{name}")

    def wait_for(self, what, condition, seconds=60):
        """Until condition() is true; Failed where it is not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise Failed(f"the bench waited {seconds} s in vain for {what}: {self.log()[-400:]}")
            time.sleep(0.05)

    def close(self):
        """Ends it with everything it runs, as an operator would, then as a power cut would."""
        if self.process and self.process.poll() is None:
            try:
                signal.pidfd_send_signal(self.pidfd, signal.SIGTERM) if self.pidfd else self.process.kill()
                self.process.wait(STOP_SECONDS)
            except (subprocess.TimeoutExpired, ProcessLookupError):
                self.process.kill()
                self.process.wait()
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        self._remove_folder()

    def _remove_folder(self):
        """What was killed may still be writing its last file into it."""
        deadline = time.monotonic() + STOP_SECONDS
        while os.path.exists(self.folder) and time.monotonic() < deadline:
            shutil.rmtree(self.folder, ignore_errors=True)
            time.sleep(0.02)
