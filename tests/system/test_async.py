"""Asynchronous invocations when they fail, are throttled, or cannot be stored: on the front's harness,
whose functions do as they are told and whose delays are milliseconds."""

import concurrent.futures
import json
import resource
import sqlite3
import time

import pytest

from conftest import BUILD, FUNCTIONS, Daemon
from lambda_api import archive, client, create

HARNESS = BUILD / "tests/unit/front/front_harness"


class Harness(Daemon):
    program = HARNESS

    def stats(self):
        return {f["name"]: f for f in self.request("GET", "/polyvisor/stats").json()["functions"]}

    def stored(self):
        """(function, attempts) of the events in the store, by another connection to it."""
        with sqlite3.connect(f"file:{self.state}/functions.db?mode=ro", uri=True) as database:
            return database.execute("SELECT function, attempts FROM events ORDER BY id").fetchall()

    def send(self, name, event=None):
        return self.invoke(name, event, headers={"X-Amz-Invocation-Type": "Event"})


@pytest.fixture
def harness(tmp_path):
    made = Harness(tmp_path / "state").start()
    yield made
    made.kill()


def wait_for(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def function(harness, kind, name=None):
    create(harness, name or kind, archive({"x": ""}), Handler=f"fake.{kind}")


def test_one_that_succeeds_runs_once_and_is_forgotten(harness):
    function(harness, "echo")
    assert harness.send("echo").status_code == 202
    wait_for(lambda: harness.stats()["echo"]["invocations"] == 1 and not harness.stored())
    time.sleep(0.3)
    assert harness.stats()["echo"]["invocations"] == 1


def test_one_that_fails_is_tried_three_times(harness):
    function(harness, "error")
    assert harness.send("error").status_code == 202
    wait_for(lambda: harness.stats()["error"]["invocations"] == 3 and not harness.stored())
    time.sleep(0.5)
    assert harness.stats()["error"]["invocations"] == 3
    assert "gave up the asynchronous invocation" in harness.log()


def test_one_that_recovers_is_tried_until_then(harness):
    function(harness, "flaky")
    started = time.monotonic()
    assert harness.send("flaky").status_code == 202
    wait_for(lambda: harness.stats()["flaky"]["invocations"] == 3 and not harness.stored())
    assert time.monotonic() - started >= 0.15  # one delay, and then twice that
    assert "gave up" not in harness.log()


def test_failed_attempts_are_counted_over_restarts(harness):
    function(harness, "error")
    harness.send("error")
    wait_for(lambda: harness.stored() == [("error", 1)])
    harness.kill()
    harness.start()
    wait_for(lambda: not harness.stored())
    assert harness.stats()["error"]["invocations"] == 2


def test_one_that_is_throttled_is_tried_until_it_is_too_old(harness):
    function(harness, "throttle")
    harness.send("throttle")
    wait_for(lambda: harness.stats()["throttle"]["invocations"] >= 10)
    assert harness.stored() == [("throttle", 0)]
    wait_for(lambda: not harness.stored())
    assert "it could not be run for hours" in harness.log()


def test_one_whose_function_is_gone_is_forgotten(harness):
    function(harness, "throttle")
    for _ in range(5):
        harness.send("throttle")
    client(harness).delete_function(FunctionName="throttle")
    wait_for(lambda: not harness.stored())
    assert harness.log().count("does not exist any more") == 5


def test_many_at_once_are_all_run(harness):
    function(harness, "echo")
    function(harness, "flaky")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda i: harness.send("echo" if i % 10 else "flaky", i).status_code,
                                 range(1000)))
    assert statuses == [202] * 1000
    wait_for(lambda: not harness.stored())
    assert harness.stats()["echo"]["invocations"] == 900
    assert harness.stats()["flaky"]["invocations"] == 102


def test_many_that_wait_start_at_the_next_start(harness):
    function(harness, "throttle", "many")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: harness.send("many", i), range(300)))
    harness.kill()
    assert len(harness.stored()) == 300
    harness.start()
    client(harness).update_function_configuration(FunctionName="many", Handler="fake.echo")
    wait_for(lambda: not harness.stored())


def test_what_cannot_be_stored_is_not_accepted(harness):
    """As when the disk is full: files that cannot grow. What runs goes on, and so does the rest
    when there is room again."""
    function(harness, "echo")
    pid = harness.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (150000, before[1]))
    replies = [harness.send("echo", "x" * 100000) for _ in range(5)]
    assert replies[-1].status_code == 500
    assert replies[-1].headers["x-amzn-ErrorType"] == "ServiceException"
    assert "functions.db" in replies[-1].json()["message"]
    reply = harness.request("PUT", f"{FUNCTIONS}/echo/configuration",
                            data=json.dumps({"Description": "d" * 200, "Timeout": 77}))
    assert reply.status_code in (200, 500)
    assert harness.invoke("echo", 1).json() == 1
    accepted = sum(r.status_code == 202 for r in replies)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert harness.send("echo").status_code == 202
    wait_for(lambda: not harness.stored())
    assert harness.stats()["echo"]["invocations"] == accepted + 2
    configured = client(harness).get_function_configuration(FunctionName="echo")["Timeout"]
    assert configured == (77 if reply.status_code == 200 else 10)
    harness.kill()
    harness.start()
    assert client(harness).get_function_configuration(FunctionName="echo")["Timeout"] == configured


def test_an_orderly_end_leaves_what_waits_in_the_store(harness):
    function(harness, "throttle")
    function(harness, "slow")
    for _ in range(20):
        harness.send("throttle")
    harness.send("slow", 400)
    wait_for(lambda: harness.stats()["slow"]["invocations"] == 1)
    assert harness.stop() == 0
    assert harness.stored().count(("throttle", 0)) == 20
