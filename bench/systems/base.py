"""What every system has: a function is deployed, called, loaded with requests, and its memory is known.

A function is anything with the members of suite.Function: name, language, runtime, path, handler, event,
check, memory_mb, timeout_s, needs_server.
"""

import collections
import dataclasses
import socket
import time

import load
import memory

RECEIVE = 1 << 16
SLACK_SECONDS = 0.2
IDLE_SECONDS = 30  # of a kept connection


class Failed(Exception):
    """A system could not run a function; the text says which and why."""


@dataclasses.dataclass
class Reply:
    body: bytes
    start: str  # warm, or how what served it was made: first, clone, spare, exec, start
    failure: str = None


class Connection:
    """HTTP/1.1 over one kept connection; http.client takes several times as long for each request."""

    def __init__(self, port, timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, path, body):
        """(status, head in small letters, body)"""
        self.socket.sendall(b"POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body))
        data = self._more(b"")
        while (end := data.find(b"\r\n\r\n")) < 0:
            data = self._more(data)
        head = data[:end + 2].lower()
        size = end + 4 + int(header(head, b"content-length"))
        while len(data) < size:
            data = self._more(data)
        return int(head[9:12]), head, data[end + 4:size]

    def _more(self, data):
        more = self.socket.recv(RECEIVE)
        if not more:
            raise ConnectionError("the connection ended before the reply did")
        return data + more

    def close(self):
        self.socket.close()


class Connections:
    """Kept connections to one port, for any thread. The last one used is used first, so that there are few."""

    def __init__(self, port):
        self.port = port
        self.idle = collections.deque()

    def _take(self):
        """A server may close one that was idle for a minute, in the very moment of the next request."""
        try:
            connection, used_at = self.idle.pop()
        except IndexError:
            return Connection(self.port)
        if time.monotonic() - used_at < IDLE_SECONDS:
            return connection
        connection.close()
        return self._take()

    def post(self, path, body):
        connection = self._take()
        try:
            reply = connection.post(path, body)
        except BaseException:
            connection.close()
            raise
        self.idle.append((connection, time.monotonic()))
        return reply

    def close(self):
        while self.idle:
            self.idle.pop()[0].close()


def header(head, name):
    """Of a head in small letters; empty where it is not there."""
    at = head.find(b"\r\n" + name + b":")
    return head[at + len(name) + 3:].split(b"\r\n", 1)[0].strip() if at >= 0 else b""


class System:
    """Starts with nothing deployed. Calls may come from any thread; idle instances live for keep_alive seconds."""

    name = description = None

    def __init__(self, keep_alive=600, allow_host_network=False):
        self.keep_alive = keep_alive
        self.allow_host_network = allow_host_network

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error):
        self.stop()

    def start(self):
        raise NotImplementedError

    def deploy(self, function):
        raise NotImplementedError

    def call(self, function, event):
        """A Reply, also for a function that failed."""
        raise NotImplementedError

    def load(self, function, connections, seconds):
        """What load.wrk() says of so many connections in a closed loop, starts included."""
        raise NotImplementedError

    def roots(self):
        """Processes whose trees, themselves included, are all that the system runs."""
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError

    def invoke(self, function, event):
        reply = self.call(function, event)
        if reply.failure:
            raise Failed(f"{function.name} failed in {self.name}: {reply.failure}")
        return reply.body

    def errors(self, function):
        """How many of its invocations have failed in ways that a load generator does not see."""
        return 0

    def memory_parts(self):
        """{kind of process: (how many, PSS in MB)}, for a system that consists of several."""
        return {}

    def processes(self):
        roots = self.roots()
        return roots + memory.trees(roots)

    def memory_kb(self):
        return memory.pss_kb(self.processes())


def together(results):
    """One result of load.wrk() from those of several that ran at the same time, each with one connection.

    Latencies cannot be joined from percentiles, so what is said of them is the median of the medians
    and the worst of the others.
    """
    known = sorted(each["p50_us"] for each in results if each["count"])
    return {"requests_per_s": round(sum(each["requests_per_s"] for each in results), 1),
            "count": sum(each["count"] for each in results), "errors": sum(each["errors"] for each in results),
            "p50_us": known[len(known) // 2] if known else None,
            **{name: max((each[name] for each in results if each["count"]), default=None)
               for name in ("p90_us", "p99_us", "max_us")}}


NOTHING = {"requests_per_s": 0.0, "p50_us": None, "p90_us": None, "p99_us": None, "max_us": None, "errors": 0, "count": 0}


def load_until(url, connections, seconds_left, seconds, body):
    """wrk for the whole seconds that are left of `seconds`; its rate is over those and what is gone already, so that
    what a start took counts. Where there was none to wait for, hardly anything is gone."""
    whole = int(seconds_left + SLACK_SECONDS)
    if whole < 1:
        return dict(NOTHING)
    result = load.wrk(url, connections, whole, body)
    return {**result, "requests_per_s": round(result["count"] / (seconds - seconds_left + whole), 1)}
