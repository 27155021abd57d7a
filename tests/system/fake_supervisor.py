"""A small supervisor for tests of adapters: it speaks src/wire with real sockets and real clones.

    template = start_template(*command_of("python"))      R: the language's runtime template
    function = template.become(handler="app.handler", task_root="/some/folder")      T
    isolate = function.launch()                           I
    reply = isolate.invoke({"a": 1})                      reply.type, reply.payload, reply.json()
    isolate = start_exec(*command_of("python"), handler=..., task_root=...)          no clones at all

Clones are plain ones unless become(namespaces=True): then the function gets a pid and a mount
namespace and every isolate its own /tmp and /proc, which needs root. Every object has .log(), what
the process printed so far, .notes, the sentences it sent, and .end(), which kills and reaps it;
end_all() does that to whatever is left. Anything that takes longer than `patience` is a TimeoutError.

Run it in a pid namespace of its own (unshare -fp --mount-proc --kill-child); it refuses otherwise.
"""

import array
import ctypes
import json
import os
import pathlib
import re
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("POLYVISOR_BUILD", ROOT / "build")).resolve()
FIRST_PID_NAMESPACE = 0xEFFFFFFC
HEADER = struct.Struct("=IIHHI")
FIELD = struct.Struct("=HHI")
MAGIC = 0x5056
CONTROL_MAX = 16 + 256 * 1024

patience = 20


def enumeration(name):
    """The names and numbers of an enum of wire.h, without the WIRE_."""
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "src/wire/wire.h").read_text(), flags=re.S)
    number, members = -1, {}
    for member in re.search(r"enum %s \{(.*?)\}" % name, text, re.S)[1].split(","):
        if member.strip():
            word, _, value = member.replace(" ", "").strip().partition("=")
            number = int(value) if value else number + 1
            members[word.removeprefix("WIRE_")] = number
    return members


TYPES, KEYS = enumeration("wire_type"), enumeration("wire_key")
TYPE_NAMES = {number: name for name, number in TYPES.items()}
KEY_NAMES = {number: name for name, number in KEYS.items()}


class Frame:
    def __init__(self, type, sequence, fields, payload):
        self.type, self.sequence, self.fields, self.payload = type, sequence, fields, payload

    def get(self, key):
        return next((value for name, value in self.fields if name == key), None)

    def json(self):
        return json.loads(self.payload)

    def __repr__(self):
        return f"{self.type} #{self.sequence} {self.fields} {self.payload[:200]!r}"


class Refused(Exception):
    """A template or a clone on its way said no; str() is its sentence."""


class InitFailed(Exception):
    """The handler did not load: .type and .json of the error."""

    def __init__(self, frame):
        self.type, self.json = frame.get("ERROR_TYPE"), json.loads(frame.get("MESSAGE"))
        super().__init__(f"{self.type}: {self.json}")


def encode(type, sequence, fields=(), payload=b""):
    packed = b""
    for key, value in fields:
        value = str(value).encode() + b"\0"
        packed += FIELD.pack(KEYS[key], 0, len(value)) + value
    return HEADER.pack(len(packed) + len(payload), len(packed), TYPES[type], MAGIC, sequence) + packed + payload


def decode(header, body):
    size, fields_size, type, magic, sequence = HEADER.unpack(header)
    assert magic == MAGIC and size == len(body) and fields_size <= size, header
    fields, at = [], 0
    while at < fields_size:
        key, zero, length = FIELD.unpack_from(body, at)
        at += FIELD.size + length
        assert zero == 0 and length > 0 and body[at - 1] == 0, body[:at]
        fields.append((KEY_NAMES[key], body[at - length:at - 1].decode()))
    return Frame(TYPE_NAMES[type], sequence, fields, body[fields_size:])


class Console:
    """The pipe that a guest has at 1 and 2; one thread empties all of them, so that no guest blocks."""

    selector, thread = selectors.DefaultSelector(), None

    def __init__(self):
        self.end, self.write_end = os.pipe()
        os.set_blocking(self.end, False)
        self.text, self.lock = b"", threading.Lock()
        Console.selector.register(self.end, selectors.EVENT_READ, self)
        if not Console.thread:
            Console.thread = threading.Thread(target=Console.drain, daemon=True)
            Console.thread.start()

    @staticmethod
    def drain():
        while True:
            for key, _ in Console.selector.select():
                key.data.read()

    def read(self):
        with self.lock:
            while self.end >= 0:
                try:
                    data = os.read(self.end, 65536)
                except BlockingIOError:
                    break
                if not data:
                    self.close()
                self.text += data
            return self.text.decode(errors="replace")

    def close(self):
        Console.selector.unregister(self.end)
        os.close(self.end)
        self.end = -1

    def release(self):
        """The write end belongs to the guest once it was sent."""
        os.close(self.write_end)


class Guest:
    """A process at the other end of a socket. All are children of this one, thanks to CLONE_PARENT."""

    alive = []

    def __init__(self, kind):
        self.socket, self.theirs = socket.socketpair(socket.AF_UNIX, kind)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.settimeout(patience)
        self.stream = kind == socket.SOCK_STREAM
        self.console, self.notes, self.pid, self.pidfd, self.exit = Console(), [], None, None, None
        self.credentials = None
        Guest.alive.append(self)

    def handed_over(self):
        self.theirs.close()
        self.console.release()

    def log(self):
        return self.console.read()

    def send(self, frame, descriptors=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        sent = self.socket.sendmsg([frame], rights)
        if sent < len(frame):  # of a stream; an empty message on a control socket would be its end
            self.socket.sendall(frame[sent:])

    def read(self, size):
        data = bytearray()
        while len(data) < size:
            part, ancillary, _, _ = self.socket.recvmsg(size - len(data), 256)
            for _, kind, value in ancillary:
                if kind == socket.SCM_CREDENTIALS:
                    self.credentials = struct.unpack("3i", value[:12])
            if not part:
                raise EOFError(f"the guest is gone; it printed: {self.log()!r}, and said: {self.notes}")
            data += part
        return bytes(data)

    def receive_any(self):
        if self.stream:
            header = self.read(HEADER.size)
            return decode(header, self.read(HEADER.unpack(header)[0]))
        message, ancillary, _, _ = self.socket.recvmsg(CONTROL_MAX, 256)
        for _, kind, value in ancillary:
            if kind == socket.SCM_CREDENTIALS:
                self.credentials = struct.unpack("3i", value[:12])
        if not message:
            raise EOFError(f"the guest is gone; it printed: {self.log()!r}, and said: {self.notes}")
        return decode(message[:HEADER.size], message[HEADER.size:])

    def receive(self, *types):
        """The next frame that is no note; it must be of one of the types."""
        while True:
            frame = self.receive_any()
            if frame.type == "NOTE":
                self.notes.append(frame.get("MESSAGE"))
            elif frame.type == "REFUSED" and "REFUSED" not in types:
                raise Refused(frame.get("MESSAGE"))
            elif frame.type == "INIT_FAILED" and "INIT_FAILED" not in types:
                raise InitFailed(frame)
            elif frame.type in types:
                return frame
            else:
                raise AssertionError(f"expected {types}, got {frame}")

    def hello(self):
        frame = self.receive("HELLO")
        self.pid = self.credentials[0]
        self.pidfd = os.pidfd_open(self.pid)
        return frame

    def wait(self):
        """Waits until the process ended; returns its exit code, or the negative signal."""
        if self.exit is None:
            found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            self.exit = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        return self.exit

    def end(self):
        if self in Guest.alive:
            Guest.alive.remove(self)
        if self.pidfd is not None:
            if self.exit is None:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self.wait()
            os.close(self.pidfd)
            self.pidfd = None
        self.socket.close()
        self.log()
        if self.console.end >= 0:
            self.console.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def become_fields(name, handler, task_root, environment, settings, warmup):
    fields = [("NAME", name), ("HANDLER", handler), ("TASK_ROOT", task_root)]
    fields += [("ENVIRONMENT", f"{key}={value}") for key, value in (environment or {}).items()]
    fields += [("SETTING", f"{key}={value}") for key, value in settings.items()]
    return fields + [("WARMUP", event) for event in warmup]


class Template(Guest):
    """A runtime template, or a function template; .ready is its READY."""

    def __init__(self):
        super().__init__(socket.SOCK_SEQPACKET)
        self.sequence, self.ready, self.root, self.namespaces = 0, None, None, False

    def next_sequence(self):
        self.sequence += 1
        return self.sequence

    def become(self, name="test", handler="app.handler", task_root="/", environment=None,
               settings=None, warmup=(), namespaces=False, wait=True):
        """Clones a function template; with wait=False, before it has loaded anything (see .loaded())."""
        function = Template()
        function.namespaces, function.template = namespaces, self
        settings = {"memory_mb": 128, "version": "$LATEST", "log_stream": "stream",
                    "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
                    **(settings or {}), "namespaces": int(namespaces)}
        places = []
        if namespaces:
            function.root = FunctionRoot()
            places = function.root.descriptors
        fields = become_fields(name, handler, task_root, environment, settings, warmup)
        self.send(encode("BECOME", self.next_sequence(), fields),
                  [*places, function.theirs.fileno(), function.console.write_end])
        function.handed_over()
        return function.loaded() if wait else function

    def answer(self, guest):
        """What a clone says first, or the template's refusal of it, or the clone's own."""
        try:
            return guest.hello()
        except (EOFError, ConnectionResetError):
            if guest.notes:
                raise Refused(guest.notes[-1]) from None
            self.receive("HELLO")
            raise

    def loaded(self):
        self.template.answer(self)
        self.ready = self.receive("READY")
        return self

    def launch(self, event=None, settings=None, wait=True):
        """Clones an isolate; with wait=False, see Isolate.wait_idle()."""
        isolate = Isolate(self)
        if event is not None:
            isolate.send_event(event)
        extra = [] if not self.namespaces else [tmpfs()]
        frame = encode("LAUNCH", self.next_sequence(), [("SETTING", f"{k}={v}") for k, v in (settings or {}).items()])
        isolate.started = time.perf_counter_ns()
        self.send(frame, [isolate.theirs.fileno(), isolate.console.write_end, *extra])
        isolate.handed_over()
        for descriptor in extra:
            os.close(descriptor)
        return isolate.wait_idle() if wait else isolate

    def end(self):
        super().end()
        if self.root:
            self.root.end()


class Isolate(Guest):
    def __init__(self, template=None):
        super().__init__(socket.SOCK_STREAM)
        self.template, self.sequence, self.launch_us, self.parts = template, 0, None, []

    def wait_idle(self):
        """Until it waits for its first event; .launch_us is then the time since LAUNCH was sent."""
        if self.template:
            self.template.answer(self)
        self.receive("IDLE")
        self.launch_us = (time.perf_counter_ns() - self.started) / 1000
        return self

    def send_event(self, event, request_id=None, seconds=30, **fields):
        """Other fields are given by their names in wire.h, in small letters: trace_id="..."."""
        self.sequence += 1
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        fields = {"request_id": request_id or str(uuid.uuid4()),
                  "deadline_ms": int((time.time() + seconds) * 1000), **fields}
        self.send(encode("EVENT", self.sequence, [(k.upper(), v) for k, v in fields.items()], payload))

    def receive_reply(self):
        """The REPLY or FAIL; PARTs that came before it are in .parts."""
        self.parts = []
        while True:
            frame = self.receive("REPLY", "FAIL", "PART")
            assert frame.sequence == self.sequence, frame
            if frame.type != "PART":
                return frame
            self.parts.append(frame)

    def invoke(self, event=None, **fields):
        self.send_event(event, **fields)
        return self.receive_reply()


class FunctionRoot:
    """A stand-in for the function's init: it only holds a pid and a mount namespace."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "--fork", "--pid", "--mount", "--mount-proc", "--kill-child",
                                         "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE)
        self.process.stdout.readline()
        own = self.process.pid
        init = pathlib.Path(f"/proc/{own}/task/{own}/children").read_text().split()[0]
        self.descriptors = [os.open(f"/proc/{init}/ns/{kind}", os.O_RDONLY) for kind in ("pid", "mnt")]

    def end(self):
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def tmpfs(size="16m"):
    """A tmpfs that is mounted nowhere yet, as a descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number, *arguments):
        result = libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), f"system call {number}")
        return result
    fsopen, fsconfig, fsmount = 430, 431, 432
    context = call(fsopen, b"tmpfs", 1)
    call(fsconfig, context, 1, b"size", size.encode(), 0)
    call(fsconfig, context, 6, None, None, 0)
    mount = call(fsmount, context, 1, 0x2 | 0x4)
    os.close(context)
    return mount


def command_of(language):
    """(argv, environment) of an adapter, from its manifest in the build directory; to try another version of the
    language, POLYVISOR_TEST_INTERPRETER names it."""
    folder = BUILD / "runtimes" / language
    manifest = json.loads((folder / "manifest.json").read_text())
    candidates = [os.environ.get("POLYVISOR_TEST_INTERPRETER"), *manifest["interpreter"]]
    interpreter = next(path for path in candidates if path and ("/" not in path or os.path.exists(path)))
    places = {"interpreter": interpreter, "runtime": str(folder), "library": str(BUILD / "src/guest")}

    def fill(text):
        return re.sub(r"\{(\w+)\}", lambda match: places[match[1]], text)
    environment = {name: fill(value) for name, value in manifest["environment"].items()}
    return [fill(word) for word in manifest["command"]], {"PATH": os.environ["PATH"], **environment}


def start(guest, role, argv, env):
    if os.stat("/proc/self/ns/pid").st_ino == FIRST_PID_NAMESPACE:
        raise RuntimeError("not in a pid namespace of its own: run it under unshare -fp --mount-proc --kill-child")
    env = {**(env or {}), "POLYVISOR_FD": "3", "POLYVISOR_ROLE": role,
           "LAMBDA_RUNTIME_DIR": str(BUILD / "runtimes")}
    # The shell puts the socket where a guest looks for it; descriptor numbers here are arbitrary.
    theirs = guest.theirs.fileno()
    script = f"exec 3<&{theirs} {theirs}<&-; exec \"$@\"" if theirs != 3 else "exec \"$@\""
    process = subprocess.Popen(["bash", "-c", script, "sh", *argv], env=env, stdin=subprocess.DEVNULL,
                               stdout=guest.console.write_end, stderr=guest.console.write_end,
                               pass_fds=[theirs])
    guest.handed_over()
    guest.pid, guest.pidfd, guest.process = process.pid, os.pidfd_open(process.pid), process
    process.returncode = 0  # .wait() reaps it by its pidfd, so Popen must not try


def start_template(argv, env=None):
    """Starts a runtime template and waits until it is parked."""
    template = Template()
    start(template, "template", argv, env)
    template.ready = template.receive("READY")
    return template


def start_exec(argv, env=None, name="test", handler="app.handler", task_root="/", environment=None,
               settings=None, warmup=()):
    """Starts a runtime as one isolate, without any clone."""
    isolate = Isolate()
    isolate.started = time.perf_counter_ns()
    settings = {"memory_mb": 128, "version": "$LATEST", "log_stream": "stream", "namespaces": 0,
                "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}", **(settings or {})}
    isolate.send(encode("BECOME", 1, become_fields(name, handler, task_root, environment, settings, warmup)))
    start(isolate, "exec", argv, env)
    isolate.receive("HELLO")
    return isolate.wait_idle()


def end_all():
    """Kills and reaps whatever a test left; isolates first, templates last."""
    for guest in Guest.alive[::-1]:
        guest.end()
