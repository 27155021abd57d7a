"""polyvisor itself, and its mode in which every isolate is a process of its own."""

import pathlib

import load
import memory
from supervisor import FUNCTIONS, Supervisor, zip_of
from systems.base import Connections, Reply, System, header


class Polyvisor(System):
    name = "polyvisor"
    description = "isolates cloned from a warm function template"
    launch = "clone"

    def __init__(self, spares=0, warm="none", template_keep_alive=600, **settings):
        super().__init__(**settings)
        self.arguments = ["--keep-alive", self.keep_alive, "--template-keep-alive", template_keep_alive, "--spares", spares, "--launch", self.launch, "--warm", warm,
                          *(["--allow-host-network"] if self.allow_host_network else [])]
        self.warm = warm
        self.supervisor = self.connections = None

    def start(self):
        self.supervisor = Supervisor(self.arguments)
        self.connections = Connections(self.supervisor.port)
        if self.launch == "clone" and self.warm != "none":
            self.supervisor.wait_for("its runtime templates", self._templates_are_ready)

    def _templates_are_ready(self):
        wanted = None if self.warm == "all" else self.warm.split(",")
        return all(each["template_ready"] for each in self.supervisor.runtimes() if not wanted or each["name"] in wanted)

    def deploy(self, function):
        root = pathlib.Path(function.path)
        package = zip_of({str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()})
        self.supervisor.create(function.name, function.runtime, function.handler, package,
                               {"warm-up": getattr(function, "warm_up", 1), **({"network": "host"} if function.needs_server else {})},
                               timeout=function.timeout_s, memory_mb=function.memory_mb)

    def call(self, function, event):
        status, head, body = self.connections.post(f"{FUNCTIONS}/{function.name}/invocations", event)
        failed = status != 200 or header(head, b"x-amz-function-error")
        return Reply(body, header(head, b"x-polyvisor-start").decode(), f"{status} {body[:200]!r}" if failed else None)

    def load(self, function, connections, seconds):
        return load.wrk(self.supervisor.url(function.name), connections, seconds, function.event)

    def errors(self, function):
        stats = self.supervisor.function_stats(function.name)
        return stats["errors"] if stats else 0

    def memory_parts(self):
        return memory.parts_mb(self.supervisor.pid)

    def roots(self):
        return [self.supervisor.pid]

    def stop(self):
        if self.supervisor:
            self.supervisor.close()
        if self.connections:
            self.connections.close()
        self.supervisor = self.connections = None
