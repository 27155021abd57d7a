"""What the tests of bench/functions share: the suite made ready once in the build directory, and what is asked of a function."""

import contextlib
import sys

import conftest

sys.path.append(str(conftest.ROOT / "bench"))
from functions import server, suite  # noqa: E402

READY = conftest.BUILD / "function-suite"
JAVA_API = conftest.BUILD / "polyvisor-java-api.jar"
# What is installed for the tests; functions that need more are in tests/long.
INSTALLED = {"python3-jinja2", "python3-numpy"}
LIGHT = [function for function in suite.SUITE if INSTALLED.issuperset(function.packages)]
HEAVY = [function for function in suite.SUITE if not INSTALLED.issuperset(function.packages)]
INVOCATIONS = 3


@contextlib.contextmanager
def serving(state):
    """A supervisor whose functions may have the machine's network, and the server of the suite."""
    daemon = conftest.Daemon(state, "--allow-host-network").start()
    try:
        with server.Server() as web:
            yield daemon, web.url
    finally:
        daemon.kill()


def prepare(function, url):
    assert suite.missing(function) == []
    return suite.prepare(READY, url, JAVA_API, [function])[0]


def deploy(daemon, function, *options):
    network = ["--set", "network=host"] if function.needs_server else []
    daemon.deploy(function.path, function.name, "--runtime", function.runtime, "--handler", function.handler,
                  "--memory", function.memory_mb, "--timeout", function.timeout_s, "--set", f"warm-up={function.warm_up}",
                  *network, *options)


def invoke(daemon, function):
    reply = daemon.invoke(function.name, function.event)
    assert function.check(reply.content) is None, function.check(reply.content)
    return reply


def check_everywhere(daemon, function):
    """Right in the first isolate and again in it, in fresh ones, and in a process that nothing was cloned for."""
    deploy(daemon, function, "--isolation", "function")
    starts = [invoke(daemon, function).headers["X-Polyvisor-Start"] for _ in range(INVOCATIONS)]
    assert starts == ["first"] + ["warm"] * (INVOCATIONS - 1)
    deploy(daemon, function, "--isolation", "request")
    starts = [invoke(daemon, function).headers["X-Polyvisor-Start"] for _ in range(INVOCATIONS)]
    assert starts[1:] == ["clone"] * (INVOCATIONS - 1)
    deploy(daemon, function, "--isolation", "function", "--launch", "exec")
    starts = [invoke(daemon, function).headers["X-Polyvisor-Start"] for _ in range(INVOCATIONS)]
    assert starts == ["exec"] + ["warm"] * (INVOCATIONS - 1)
