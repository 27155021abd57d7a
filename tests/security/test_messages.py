"""Hostile messages to the supervisor, from isolates and from function templates: what is no frame, frames of
others, descriptors, silence. The caller hears of it in an orderly way, and nothing of the supervisor's is used up.
"""

import concurrent.futures
import re
import time

import pytest
import requests

import conftest
from world import wait_until

import frames
import isolate_messages
import template_messages

TIMEOUT = 2
INIT_LIMIT = 10  # of the supervisor
PARALLEL = 6
ROOM = 8  # descriptors that may be open for something else, such as a connection


def test_the_frames_of_these_tests_are_those_of_the_wire():
    header = (conftest.ROOT / "src/wire/wire.h").read_text()
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    for kind, known in (("wire_type", frames.TYPES), ("wire_key", frames.KEYS)):
        numbers, number = {}, 0
        for word in re.search(rf"enum {kind} \{{(.*?)\}}", header, re.S).group(1).split(","):
            name, _, value = (part.strip() for part in word.partition("="))
            number = int(value) if value else number + 1
            numbers[name] = number
        assert known == {name: numbers[f"WIRE_{name}"] for name in known}
    assert f"{frames.MAGIC:#x}" in (conftest.ROOT / "src/wire/wire.c").read_text()


@pytest.fixture(scope="module")
def speaker(world):
    world.create_hostile("speaker", handler="isolate_messages.handler", Timeout=TIMEOUT,
                         Tags={"polyvisor:isolation": "request"})
    assert world.invoke("speaker", "note_without_text").json() == "served"
    yield "speaker"
    world.remove("speaker")


def heard(reply):
    """What a caller was told, in one word."""
    error = reply.headers.get("X-Amz-Function-Error")
    if not error:
        return "forged" if reply.content == b'"forged"' else "served" if "served" in reply.text else reply.text
    if b"Sandbox.Timedout" in reply.content:
        return "timed out"
    return "ended" if b"Runtime.ExitError" in reply.content else "failed"


@pytest.mark.parametrize("name", isolate_messages.ROWS)
def test_from_an_isolate(world, speaker, name):
    expected = isolate_messages.ROWS[name][1].split(" or ")
    start = time.monotonic()
    reply = world.invoke(speaker, name)
    assert reply.status_code == 200
    assert heard(reply) in expected, reply.text[:500]
    assert time.monotonic() - start < TIMEOUT + 5
    assert "X-Injected" not in reply.headers
    world.check()


def test_messages_of_isolates_use_nothing_up(world, speaker):
    names = [name for name, (_, expected) in isolate_messages.ROWS.items() if "timed out" not in expected]
    wait_until(lambda: world.live(speaker) == 0, "the isolates to be gone")
    before = world.descriptors()
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda name: world.invoke(speaker, name), names * 2))
    wait_until(lambda: world.descriptors() <= before + ROOM, "the descriptors to be closed")
    world.check()


def invoke_template(world, name):
    """What the caller of a function hears whose template does that while it loads."""
    world.create_hostile(f"template-{name}", {"row.txt": name}, "template_messages.handler", Timeout=TIMEOUT)
    try:
        return world.invoke(f"template-{name}", 1, INIT_LIMIT + 4)
    except requests.Timeout:
        return None


@pytest.fixture(scope="module")
def templates(world):
    """All of them, some at a time, since silence takes its time."""
    slow_first = sorted(template_messages.ROWS, key=lambda name: name not in
                        ("never_ready", "stops_itself", "never_launches", "drops_the_descriptors"))
    processes = set(world.processes())
    descriptors = world.descriptors()
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        replies = dict(zip(slow_first, pool.map(lambda name: invoke_template(world, name), slow_first)))
    yield replies
    for name in slow_first:
        world.remove(f"template-{name}")
    # Everything that a template has left behind goes with its function: daemons, children of the supervisor.
    wait_until(lambda: not [pid for pid, fields in world.processes().items()
                            if pid not in processes and fields["Name"] == "python3"], "what they left to be gone")
    wait_until(lambda: world.descriptors() <= descriptors + ROOM, "the descriptors to be closed")


@pytest.mark.parametrize("name", template_messages.ROWS)
def test_from_a_function_template(world, templates, name):
    expected = template_messages.ROWS[name][1].split("|")
    reply = templates[name]
    if reply is None:
        assert expected == ["nothing"]
    else:
        assert reply.status_code == 200
        assert any(word in reply.text for word in expected), reply.text
        assert "served" in expected + [reply.text] or reply.headers.get("X-Amz-Function-Error") or "an impostor" in expected
    world.check()


def test_a_reply_may_be_as_large_as_its_function_says(world):
    world.create_hostile("large", {"large.py": b"def handler(event, context): return 'x' * event\n"}, "large.handler",
                         Tags={"polyvisor:reply-bytes": str(32 << 20)})
    assert len(world.invoke("large", 30 << 20).content) == (30 << 20) + 2
    assert world.invoke("large", 33 << 20).json()["errorType"] == "Function.ResponseSizeTooLarge"
    world.remove("large")


PART_MB = 60


def resident_mb(world):
    status = open(f"/proc/{world.daemon.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) >> 10


def test_parts_that_nobody_reads_wait_in_their_isolate(world):
    """A function that says more than its client takes fills neither the supervisor nor another's time."""
    world.create_hostile("floods", {"floods.py": b"""
from frames import frame, peer
def handler(event, context):
    s = peer()
    for _ in range(%d):
        s.sendall(frame("PART", payload=bytes(1 << 20), sequence=1))
    return "all"
""" % PART_MB}, "floods.handler", Timeout=30, Tags={"polyvisor:isolation": "request"})
    before = resident_mb(world)
    with requests.post(f"{world.daemon.url}/2021-11-15/functions/floods/response-streaming-invocations", json=1, stream=True,
                       timeout=30) as reply:
        body = reply.raw
        read = len(body.read(1000))
        time.sleep(1)
        world.check()
        assert resident_mb(world) < before + PART_MB // 3
        while part := body.read(1 << 20):
            read += len(part)
    assert read > PART_MB << 20  # nothing was lost by the wait
    world.remove("floods")
    world.check()
