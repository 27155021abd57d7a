"""A world with something to take: a supervisor, a neighbour with a secret, canaries on the host; and the
hostile functions that are let loose in it."""

import ctypes
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time

import conftest
import languages

HOSTILE = pathlib.Path(__file__).resolve().parent / "hostile"
sys.path.insert(0, str(HOSTILE / "python"))

import hostile  # noqa: E402  (the table of attacks; nothing is tried here)
import attack  # noqa: E402
import leaks  # noqa: E402,F401

ROWS = attack.ROWS
HOST_FILES = ["/etc/passwd", "/etc/hosts", "/etc/hostname", "/proc/sys/kernel/core_pattern",
              "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/proc/sys/user/max_user_namespaces",
              "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward"]
CRASH = re.compile(r"Sanitizer|[Aa]ssert|buffer overflow|stack smashing|SIGSEGV|core dumped| error ")

NEIGHBOUR = b"""
import os
SECRET = os.environ["SECRET"]
def handler(event, context):
    return {"echo": event, "length": len(SECRET)}
"""


def make_secret():
    return "CANA" + "RY-" + secrets.token_hex(16)


class Host:
    """What a hostile function would like to reach outside: files, servers. Everybody may, but for the sandbox."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp", prefix="polyvisor-canary-"))
        self.folder.chmod(0o777)
        self.canary = self.folder / "canary"
        self.canary.write_text("untouched")
        self.canary.chmod(0o666)
        self.abstract = "polyvisor-canary-" + secrets.token_hex(4)
        self.servers = [self._serve(socket.AF_INET, ("127.0.0.1", 0)),
                        self._serve(socket.AF_UNIX, str(self.folder / "socket")),
                        self._serve(socket.AF_UNIX, "\0" + self.abstract)]
        (self.folder / "socket").chmod(0o777)
        self.port = self.servers[0].getsockname()[1]
        self.before = self._look()

    @staticmethod
    def _serve(family, address):
        server = socket.socket(family)
        server.bind(address)
        server.listen()
        server.setblocking(False)
        return server

    def _look(self):
        seen = {path: hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
                for path in HOST_FILES if os.path.exists(path)}
        null = os.stat("/dev/null")
        return {**seen, "null": (null.st_mode, null.st_rdev), "canary": self.canary.read_text(),
                "litter": [str(path) for top in ("/", "/usr/lib", "/dev", "/etc")
                           for path in pathlib.Path(top).glob("polyvisor-was-here*")]}

    def check(self):
        assert self._look() == self.before
        for server in self.servers:
            try:
                server.accept()
            except BlockingIOError:
                continue
            assert False, "a hostile function has reached a server of the host"

    def close(self):
        for server in self.servers:
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class World:
    """`daemon` is anything with request(), state, port, pid and log()."""

    def __init__(self, daemon, supervisor_secret=None):
        self.daemon = daemon
        self.host = Host()
        self.supervisor_secret = supervisor_secret
        self.secret = make_secret()
        self._create("neighbour", "python", "n.handler", {"n.py": NEIGHBOUR},
                     Environment={"Variables": {"SECRET": self.secret}})
        self.check()

    def _create(self, name, runtime, handler, files, **members):
        reply = languages.create(self.daemon, name, runtime, handler, files, **members)
        assert reply.status_code == 201, reply.text

    def environment(self):
        """What a hostile function is told, so that it need not guess."""
        return {"CANARY": str(self.host.canary), "STATE": str(self.daemon.state), "HOST_PORT": str(self.host.port),
                "HOST_SOCKET": str(self.host.folder / "socket"), "HOST_ABSTRACT": self.host.abstract,
                "API_PORT": str(self.daemon.port), "CANARY_KEY": "polyvisor-canary",
                "OWN_SECRET": make_secret()}

    def create_hostile(self, name, files=None, handler="hostile.handler", runtime="python", **members):
        own = {path.name: path.read_bytes() for path in (HOSTILE / "python").glob("*.py")} if runtime == "python" else {}
        self._create(name, runtime, handler, {**own, **(files or {})},
                     Environment={"Variables": self.environment()}, **members)

    def invoke(self, name, event, seconds=30):
        return self.daemon.request("POST", f"{conftest.FUNCTIONS}/{name}/invocations", json=event, timeout=seconds)

    def remove(self, name):
        self.daemon.request("DELETE", f"{conftest.FUNCTIONS}/{name}")

    def check(self, where="neighbour"):
        """The supervisor lives, has not complained, an innocent function is served, the host is as it was."""
        reply = self.invoke(where, {"n": 1})
        assert reply.json() == {"echo": {"n": 1}, "length": len(self.secret)}, reply.text
        assert self.daemon.process.poll() is None
        crash = CRASH.search(self.daemon.log())
        assert not crash, self.daemon.log()
        self.host.check()

    def log(self, name):
        """The function's."""
        return self.daemon.request("GET", f"/polyvisor/logs/{name}").text

    def live(self, name):
        """Its isolates, those that end included."""
        text = self.daemon.request("GET", "/metrics").text
        return sum(float(value) for value in re.findall(
            rf'^polyvisor_isolates_(?:idle|busy){{function="{name}"}} (\S+)', text, re.M))

    def descriptors(self):
        """How many the supervisor holds."""
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def processes(self):
        """pid: the fields of /proc/pid/status, of everything below the supervisor, as the machine counts."""
        every = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                lines = path.read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            every[int(fields["Pid"])] = fields
        below, new = {}, {self.daemon.pid}
        while new:
            below.update({pid: every[pid] for pid in new if pid in every})
            new = {pid for pid, fields in every.items() if int(fields["PPid"]) in new} - set(below)
        del below[self.daemon.pid]
        return below

    def close(self):
        self.host.close()


def wait_until(holds, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
    return value


def landlock_abi():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)


def rows(origin, area=None):
    """The names of the attacks from there; those on siblings only when they are asked for."""
    return [row.name for row in ROWS.values() if row.expected(origin) and
            (row.area == area if area else row.area != "siblings")]
