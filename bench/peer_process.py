"""A peer whose instance is a process that serves HTTP: how one is started, asked, measured and ended."""

import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time

import memory
import program
import supervisor

READY_SECONDS = 30
END_SECONDS = 10
POLL_SECONDS = 0.0002
WORKERS_SECONDS = 0.5  # until the others of several workers are at work too
SETTLE_SECONDS = 0.2
REQUEST = (b"POST /%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
           b"Content-Length: 2\r\nConnection: keep-alive\r\n\r\n{}")


class Failed(Exception):
    """An instance of a peer did not do the work; the text says what it did instead."""


def connected(port, instance):
    """A connection, as soon as the port accepts one."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        client = socket.socket()
        client.settimeout(READY_SECONDS)
        if client.connect_ex(("127.0.0.1", port)) == 0:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return client
        client.close()
        if not instance.alive():
            raise Failed(f"it ended before it listened: {instance.log()}")
        if time.monotonic() > deadline:
            raise Failed(f"it did not listen within {READY_SECONDS} s: {instance.log()}")
        time.sleep(POLL_SECONDS)


def ask(client, path=b""):
    """One request over a connection. The reply must be hello's, or it is no reply."""
    client.sendall(REQUEST % path)
    reply = b""
    while b"}" not in reply:
        some = client.recv(65536)
        if not some:
            raise Failed(f"it closed the connection after {reply[:200]!r}")
        reply += some
        head, _, rest = reply.partition(b"\r\n\r\n")
        if rest and not head.startswith(b"HTTP/1.1 200"):
            raise Failed(f"it answered {reply[:200]!r}")
    body = reply[reply.rindex(b"{"):reply.rindex(b"}") + 1]
    if json.loads(body) != {"hello": "world"}:
        raise Failed(f"it answered {body[:200]!r} instead of hello")


def _pidfds(pids):
    for pid in pids:
        try:
            yield os.pidfd_open(pid)
        except ProcessLookupError:
            continue


class Instance:
    """One running process of a peer, with all that it started; they end with the bench, or at stop().
    It runs in the folder of its program, as a project's does: Bun takes 6 MB more when started elsewhere."""

    def __init__(self, command, port, environment={}, before=None, folder=None):
        self.port = port
        self.output = tempfile.TemporaryFile()
        self.started = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
                                        env={**os.environ, **environment}, cwd=folder,
                                        preexec_fn=before or supervisor.die_with_parent)

    def alive(self):
        return self.process.poll() is None

    def log(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace").strip()[-400:] or "it said nothing"

    def pids(self):
        return [self.process.pid, *memory.tree(self.process.pid)]

    def stop(self):
        fds = list(_pidfds(memory.tree(self.process.pid)))
        if self.alive():
            self.process.kill()
        for fd in fds:
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                select.select([fd], [], [], END_SECONDS)  # what comes next is not to be measured beside it
            except ProcessLookupError:
                pass
            os.close(fd)
        self.process.wait()
        self.output.close()


class ProcessPeer:
    """One row of the table of peers. An instance is one process, of one function.

    command(port, workers, folder) are the words, environment what is added to the environment;
    `workers` is how many of its processes one instance is to have, `wide` how many the
    documentation advises for all processors of this machine.
    """

    how = "instance"

    def __init__(self, name, language, advice, needs, version, command, environment=None, wide=1, listens_early=False,
                 setup=None):
        self.name, self.language, self.advice = name, language, advice
        self.needs, self.version_command, self.command = needs, version, command
        self.environment, self.wide, self.listens_early = environment or {}, wide, listens_early
        self.setup = setup
        self.folder = None
        self.running = []

    def missing(self):
        """Why it cannot be measured here; None where it can."""
        for path, what_to_do in self.needs:
            if not os.path.exists(path):
                return f"{path} is missing: {what_to_do}"
        return None

    def version(self):
        done = subprocess.run(self.version_command, stdin=subprocess.DEVNULL, text=True, timeout=20,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return (done.stdout.strip().split("\n") or [""])[0]

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="polyvisor-peer-")
        if self.setup:
            self.setup(self.folder.name)
        return self

    def __exit__(self, *error):
        self.end_idle()
        self.folder.cleanup()

    def begin(self, workers=1):
        port = supervisor.free_port()
        environment = {key: value.format(port=port, workers=workers) for key, value in self.environment.items()}
        instance = Instance(self.command(port, workers, self.folder.name), port, environment, folder=programs())
        self.running.append(instance)
        return instance

    def end(self, instance):
        instance.stop()

    def _finish(self, instance):
        self.running.remove(instance)
        self.end(instance)

    def launch(self):
        """(us until it accepts a connection, us until it has answered), of an instance that ends again."""
        instance = self.begin()
        try:
            with connected(instance.port, instance) as client:
                ready = time.perf_counter()
                ask(client)
                answered = time.perf_counter()
        finally:
            self._finish(instance)
        first = (answered - instance.started) * 1e6
        return (first if self.listens_early else (ready - instance.started) * 1e6), first

    def serve(self):
        """Where an instance listens that is as wide as the documentation advises, and what ends it."""
        instance = self.begin(self.wide)
        with connected(instance.port, instance) as client:
            ask(client)
        time.sleep(WORKERS_SECONDS if self.wide > 1 else 0)
        return f"http://127.0.0.1:{instance.port}/", lambda: self._finish(instance)

    def idle(self, count, deadline):
        """Proportional memory, in KB, of so many instances that have each answered once; those of before
        stay. None where the deadline passed first."""
        while len(self.running) < count:
            if time.monotonic() > deadline:
                return None
            batch = [self.begin() for _ in range(min(count - len(self.running), os.cpu_count() * 2))]
            for instance in batch:
                with connected(instance.port, instance) as client:
                    ask(client)
        time.sleep(SETTLE_SECONDS)
        for instance in self.running:
            if not instance.alive():
                raise Failed(f"an idle instance ended: {instance.log()}")
        return memory.pss_kb({pid for instance in self.running for pid in instance.pids()})


    def end_idle(self):
        for instance in list(self.running):
            self._finish(instance)


def programs(name=""):
    return os.path.join(program.FOLDER, "peer_programs", name)
