"""polyvisor as one of the peers: the same hello, in the same run."""

import concurrent.futures
import time

import memory
import peer_process
import program
import supervisor

WAIT_MS, WAIT_MS_EACH = 300, 12  # longer together than as many isolates need to be launched
WAITING = {"python": "waiting/waiting.py", "node": "waiting/waiting.js", "java": "waiting/Waiting.java"}


class PolyvisorPeer:
    """An instance is one isolate of a supervisor that has the runtime's template ready. Its launch is
    what the supervisor measured from its decision to the isolate being ready, the function template
    being there; its first answer is that of a function of which nothing is running at all."""

    how = "isolate"

    def __init__(self, runtime, language):
        self.runtime, self.language, self.name = runtime, language, f"polyvisor {runtime}"
        self.advice = "a fresh isolate for each launch (--isolation request); requests with --isolation function"
        self.deployed = self.apart = 0

    def missing(self):
        try:
            program.hello(self.runtime)
        except program.Missing as missing:
            return str(missing)
        return None

    def version(self):
        row = next((row for row in self.supervisor.runtimes() if row["name"] == self.runtime), {})
        return f"{row.get('title', self.runtime)} {row.get('version', '')}".strip()

    def __enter__(self):
        self.supervisor = supervisor.Supervisor(["--warm", self.runtime])
        return self

    def __exit__(self, *error):
        self.supervisor.close()

    def _deploy(self, name, **settings):
        options = [word for key, value in settings.items() for word in (f"--{key}", value)]
        self.supervisor.deploy(program.hello(self.runtime), name, runtime=self.runtime, options=options)

    def _check(self, reply):
        if reply.replace(b" ", b"") != b'{"hello":"world"}':
            raise peer_process.Failed(f"it answered {reply[:200]!r} instead of hello")

    def launch(self):
        if self.deployed == 0:
            self._deploy("fresh", isolation="request")
            self.supervisor.invoke("fresh")
        reply, headers = self.supervisor.invoke("fresh")
        self._check(reply)
        self.deployed += 1
        name = f"new-{self.deployed}"
        self._deploy(name)
        start = time.perf_counter()
        reply, _ = self.supervisor.invoke(name)
        first = (time.perf_counter() - start) * 1e6
        self._check(reply)
        return int(headers["X-Polyvisor-Launch-Us"]), first

    def serve(self):
        self._deploy("warm", isolation="function")
        self.supervisor.invoke("warm")
        return self.supervisor.url("warm"), lambda: None

    def _everything_kb(self):
        time.sleep(peer_process.SETTLE_SECONDS)
        return memory.pss_kb([self.supervisor.pid, *memory.tree(self.supervisor.pid)])

    def idle(self, count, deadline):
        """Of everything that runs, the supervisor and the templates included: isolates of one function,
        each of which has served."""
        if self.supervisor.function_stats("waiting") is None:
            self.supervisor.deploy(peer_process.programs(WAITING[self.runtime]), "waiting", runtime=self.runtime)
            self.supervisor.invoke("waiting")
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            waiting = b'{"wait_ms": %d}' % (WAIT_MS + WAIT_MS_EACH * count if count > 1 else 0)
            for reply, _ in threads.map(lambda _: self.supervisor.invoke("waiting", waiting), range(count)):
                self._check(reply)
        isolates = self.supervisor.function_stats("waiting")["isolates"]
        if isolates["idle"] != count:
            raise peer_process.Failed(f"it has {isolates['idle']} idle isolates instead of {count}")
        return self._everything_kb()

    def end_idle(self):
        self.supervisor.remove("waiting")

    def idle_apart(self, count, deadline):
        """The same, with one isolate of each of so many functions, which share nothing but the runtime;
        of a supervisor that has done nothing else."""
        if self.apart == 0:
            self.supervisor.close()
            self.supervisor = supervisor.Supervisor(["--warm", self.runtime])
        while self.apart < count:
            if time.monotonic() > deadline:
                return None
            self.apart += 1
            self._deploy(f"apart-{self.apart}")
            self._check(self.supervisor.invoke(f"apart-{self.apart}")[0])
        return self._everything_kb()
