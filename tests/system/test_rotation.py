"""Runtime templates are made anew, with another layout of memory: after so many function templates, and by age."""

import pathlib
import time

import pytest
from languages import LANGUAGES, create, create_probe

CODE = b"""
def handler(event, context):
    return [line.split()[0] for line in open('/proc/self/maps') if '[stack]' in line or 'libc.so' in line]
"""


def layout(daemon, name):
    """Where a function's process has its stack and its C library; the function is new, so its template is."""
    assert create(daemon, name, "python", "app.handler", {"app.py": CODE}).status_code == 201
    reply = daemon.invoke(name, {})
    assert reply.status_code == 200 and "X-Amz-Function-Error" not in reply.headers, reply.text
    return tuple(reply.json())


def boots(daemon):
    runtimes = daemon.request("GET", "/polyvisor/runtimes").json()
    return next(r for r in runtimes if r["name"] == "python")["template_boots"]


def wait_for_boots(daemon, count):
    deadline = time.monotonic() + 20
    while boots(daemon) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert boots(daemon) >= count
    time.sleep(0.5)  # until it has booted and takes over


def runtime_templates(daemon):
    """Those that live; the depth of their pid namespaces is the supervisor's."""
    depth = lambda pid: next(len(line.split()) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                             if line.startswith("NSpid"))
    children = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    return [pid for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text() == "python3\n" and depth(pid) == depth(daemon.pid)]


def test_by_count(own_daemon):
    daemon = own_daemon("--warm", "python", "--rotate-functions", "3")
    first = [layout(daemon, f"a{i}") for i in range(3)]
    assert len(set(first)) == 1, "clones of one runtime template have one layout"
    wait_for_boots(daemon, 2)
    second = [layout(daemon, f"b{i}") for i in range(3)]
    assert len(set(second)) == 1 and second[0] != first[0]
    wait_for_boots(daemon, 3)
    assert layout(daemon, "c") not in (first[0], second[0])
    assert len(runtime_templates(daemon)) == 1, "the templates before are gone"
    # What was made of them goes on.
    assert tuple(daemon.invoke("a0", {}).json()) == first[0]


def test_by_age(own_daemon):
    daemon = own_daemon("--warm", "python", "--rotate-seconds", "2")
    begun = time.monotonic()
    first = layout(daemon, "a")
    if time.monotonic() - begun < 1:
        assert layout(daemon, "b") == first
    time.sleep(2.1)
    # The one that notices still gets the old one; nobody waits for a boot.
    layout(daemon, "c")
    wait_for_boots(daemon, 2)
    assert layout(daemon, "d") != first


@pytest.mark.parametrize("language", LANGUAGES, ids=[language.name for language in LANGUAGES])
def test_functions_are_launched_after_their_runtime_template_has_ended(own_daemon, tmp_path, language):
    """What they have open was open in it, on mounts that have gone with it."""
    daemon = own_daemon("--warm", language.name, "--rotate-seconds", "1")
    name = create_probe(daemon, language, tmp_path, Tags={"polyvisor:isolation": "request"})
    assert daemon.invoke(name, {"a": 1}).json() == {"a": 1}
    time.sleep(1.1)
    for turn in range(2):  # the first is made of the old one, and has a new one made
        daemon.invoke(create_probe(daemon, language, tmp_path, f"another-{turn}"), {})
        time.sleep(1.5)
    assert daemon.invoke(name, {"a": 2}).json() == {"a": 2}
