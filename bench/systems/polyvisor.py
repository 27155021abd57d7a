"""polyvisor itself, and its mode in which every isolate is a process of its own."""

import threading

import load
from supervisor import FUNCTIONS, Supervisor
from systems.base import Connection, Reply, System, header


class Polyvisor(System):
    name = "polyvisor"
    description = "isolates cloned from a warm function template"
    launch = "clone"

    def __init__(self, spares=0, **settings):
        super().__init__(**settings)
        self.spares = spares
        self.supervisor = None
        self.threads = threading.local()

    def start(self):
        network = ["--allow-host-network"] if self.allow_host_network else []
        self.supervisor = Supervisor(["--keep-alive", self.keep_alive, "--spares", self.spares, "--launch", self.launch, *network])

    def deploy(self, function):
        settings = {"network": "host"} if function.needs_server else {}
        self.supervisor.deploy(function.path, function.name, function.runtime, function.handler, settings,
                               options=["--memory", function.memory_mb, "--timeout", function.timeout_s])

    def call(self, function, event):
        connection = getattr(self.threads, "connection", None)
        if connection is None:
            connection = self.threads.connection = Connection(self.supervisor.port)
        try:
            status, head, body = connection.post(f"{FUNCTIONS}/{function.name}/invocations", event)
        except BaseException:
            connection.close()
            self.threads.connection = None
            raise
        failed = status != 200 or header(head, b"x-amz-function-error")
        return Reply(body, header(head, b"x-polyvisor-start").decode(), f"{status} {body[:200]!r}" if failed else None)

    def load(self, function, connections, seconds):
        return load.wrk(self.supervisor.url(function.name), connections, seconds, function.event)

    def errors(self, function):
        stats = self.supervisor.function_stats(function.name)
        return stats["errors"] if stats else 0

    def roots(self):
        return [self.supervisor.pid]

    def stop(self):
        if self.supervisor:
            self.supervisor.close()
            self.supervisor = None
