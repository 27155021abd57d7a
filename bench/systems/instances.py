"""Plain server processes (servers/) with one function each: how they are started, and kept while idle."""

import os
import pathlib
import subprocess
import tempfile
import threading
import time

import program
from systems.base import Connections, Failed, Reply

SERVERS = pathlib.Path(__file__).resolve().parent / "servers"
JACKSON = [f"/usr/share/java/jackson-{part}.jar" for part in ("databind", "core", "annotations")]
JAVAC_SECONDS = 120

# As AWS Lambda starts Java: the first compiler only, and the collector for small heaps.
JAVA_ONE = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
# A server that lives long may take both compilers.
JAVA_THREADS = ["-XX:+UseSerialGC", "-Xshare:auto"]


class Programs:
    """The servers, and the command that starts one: in the machine's own files, or where `places` says they are."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="polyvisor-servers-")
        os.chmod(self.folder.name, 0o755)
        self.api = program.beside("runtimes/java/polyvisor-java-api.jar")
        self.java = None
        self.lock = threading.Lock()

    def java_classes(self):
        """Compiled when they are first asked for."""
        with self.lock:
            if not self.java:
                classes = os.path.join(self.folder.name, "java")
                os.makedirs(classes)
                subprocess.run(["javac", "-cp", ":".join([self.api, *JACKSON]), "-d", classes, SERVERS / "java/Server.java"],
                               check=True, timeout=JAVAC_SECONDS, stdin=subprocess.DEVNULL)
                self.java = classes
            return self.java

    def command(self, function, mode, places=None):
        """The words, and the folders that they need: {where the command says: where it is}."""
        at = places or (lambda path, name: path)
        folder = at(str(function.path), "/var/task")
        needs = {folder: str(function.path)}
        if function.runtime == "java":
            classes, api = self.java_classes(), os.path.dirname(self.api)
            classes_at, api_at = at(classes, "/var/runtime/server"), at(api, "/var/runtime/api")
            needs.update({classes_at: classes, api_at: api})
            path = ":".join([classes_at, f"{api_at}/polyvisor-java-api.jar", *JACKSON])
            flags = JAVA_ONE if mode == "one" else JAVA_THREADS
            heap = f"-Xmx{function.memory_mb}m"
            return ["/usr/bin/java", *flags, heap, "-Dsun.net.httpserver.nodelay=true", "-cp", path, "Server", folder,
                    function.handler, mode], needs
        source = SERVERS / function.runtime
        source_at = at(str(source), "/var/runtime/server")
        needs[source_at] = str(source)
        if function.runtime == "node":
            return ["/usr/bin/node", f"{source_at}/server.js", folder, function.handler], needs
        return ["/usr/bin/python3", "-s", "-B", f"{source_at}/server.py", folder, function.handler, mode], needs

    def close(self):
        self.folder.cleanup()


def environment(folder):
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "LAMBDA_TASK_ROOT": folder, "HOME": "/tmp"}


class Instance:
    """A process that a server's command started. Its standard input is its leash: it ends when that is closed,
    also by the end of the bench."""

    def __init__(self, function, command, env, log, cwd="/"):
        self.function = function
        self.idle_since = 0.0
        self.connections = None
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=cwd, env=env)
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.end()
            raise Failed(f"the server of {function.name} did not start: {' '.join(command)[:300]}")
        self.port = int(line)
        self.connections = Connections(self.port)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def post(self, event, start="warm"):
        status, _, body = self.connections.post("/", event)
        return Reply(body, start, None if status == 200 else f"{status} {body[:200]!r}")

    def end(self):
        if self.connections:
            self.connections.close()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()

    def wait(self):
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Reaper:
    """Ends what has been idle for longer than the keep-alive, as long as it lives itself."""

    def __init__(self, take_idle, keep_alive):
        self.take_idle, self.keep_alive = take_idle, keep_alive
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ending.wait(min(1.0, self.keep_alive / 4 + 0.05)):
            for instance in self.take_idle(time.monotonic() - self.keep_alive):
                instance.end()
                instance.wait()

    def close(self):
        self.ending.set()
        self.thread.join()


class Pool:
    """Instances by function: an idle one, the last used first, serves one invocation at a time, else a new one does."""

    def __init__(self, make, keep_alive):
        self.make = make
        self.lock = threading.Lock()
        self.idle, self.alive = {}, set()
        self.reaper = Reaper(self._take_idle, keep_alive)

    def _take_idle(self, before):
        with self.lock:
            old = {each for instances in self.idle.values() for each in instances if each.idle_since < before}
            self.idle = {name: [each for each in instances if each not in old] for name, instances in self.idle.items()}
            self.alive -= old
        return old

    def acquire(self, function):
        """(instance, whether it is new)"""
        with self.lock:
            instances = self.idle.get(function.name)
            if instances:
                return instances.pop(), False
        instance = self.make(function)
        with self.lock:
            self.alive.add(instance)
        return instance, True

    def release(self, instance):
        instance.idle_since = time.monotonic()
        with self.lock:
            self.idle.setdefault(instance.function.name, []).append(instance)

    def discard(self, instance):
        with self.lock:
            self.alive.discard(instance)
        instance.end()
        instance.wait()

    def close(self):
        self.reaper.close()
        for instance in list(self.alive):
            instance.end()
        for instance in list(self.alive):
            instance.wait()
        self.alive.clear()
