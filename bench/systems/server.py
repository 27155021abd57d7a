"""One process per function, which serves all of its invocations at once: Knative's model.

The isolation between the invocations of a function is gone, and what one of them breaks is broken for all.
"""

import tempfile
import threading
import time

from systems.base import System, load_until
from systems.instances import Instance, Programs, Reaper, environment


class Server(System):
    name = "server"
    description = "one process per function, with concurrency (a plain server with threads, or Node's event loop), reached without a gateway"

    def __init__(self, **settings):
        super().__init__(**settings)
        self.programs = self.reaper = self.log = None
        self.lock = threading.Lock()
        self.starting, self.instances, self.in_use = {}, {}, {}

    def start(self):
        self.programs = Programs()
        self.log = tempfile.TemporaryFile(prefix="polyvisor-server-")
        self.reaper = Reaper(self._take_idle, self.keep_alive)

    def deploy(self, function):
        self.starting[function.name] = threading.Lock()
        self.in_use[function.name] = 0
        if function.runtime == "java":
            self.programs.java_classes()

    def _take_idle(self, before):
        with self.lock:
            old = [each for name, each in self.instances.items() if self.in_use[name] == 0 and each.idle_since < before]
            for instance in old:
                del self.instances[instance.function.name]
        return old

    def _acquire(self, function):
        """(instance, whether it is new); it is in use until _release()"""
        with self.lock:
            self.in_use[function.name] += 1
        with self.starting[function.name]:
            instance = self.instances.get(function.name)
            if instance:
                return instance, False
            command, _ = self.programs.command(function, "threads")
            instance = Instance(function, command, environment(str(function.path)), self.log, cwd=function.path)
            with self.lock:
                self.instances[function.name] = instance
            return instance, True

    def _release(self, function):
        with self.lock:
            self.in_use[function.name] -= 1
            if function.name in self.instances:
                self.instances[function.name].idle_since = time.monotonic()

    def call(self, function, event):
        try:
            instance, is_new = self._acquire(function)
            return instance.post(event, "start" if is_new else "warm")
        finally:
            self._release(function)

    def load(self, function, connections, seconds):
        end = time.monotonic() + seconds
        instance, _ = self._acquire(function)
        try:
            return load_until(instance.url, connections, end - time.monotonic(), seconds, function.event)
        finally:
            self._release(function)

    def roots(self):
        with self.lock:
            return [each.process.pid for each in self.instances.values()]

    def stop(self):
        if self.reaper:
            self.reaper.close()
        for instance in self.instances.values():
            instance.end()
        for instance in self.instances.values():
            instance.wait()
        self.instances.clear()
        for each in filter(None, (self.log, self.programs)):
            each.close()
        self.log = self.programs = self.reaper = None
