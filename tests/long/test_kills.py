"""kill -9 at random moments: of isolates, templates, inits and the supervisor itself.

POLYVISOR_KILLS says how many of each kind (200 together by default). What a caller was promised is kept: every
invocation ends with a reply or with one of Lambda's errors, what was acknowledged survives, the next call is served.
"""

import os
import pathlib
import random
import threading
import time

import conftest
import requests
import watching
from languages import LANGUAGES, create, create_probe

KILLS = int(os.environ.get("POLYVISOR_KILLS", "200"))
ALLOWED = {"Runtime.ExitError", "Sandbox.Timedout", "Runtime.OutOfMemory"}
PARTS = [watching.RUNTIME_TEMPLATE, watching.FUNCTION_TEMPLATE, watching.ISOLATE, watching.INIT]


def test_children_are_killed(own_daemon, tmp_path):
    """A victim of each part in turn, at random moments, while every function of every language is called."""
    daemon = own_daemon("--warm", "all")
    names = [create_probe(daemon, language, tmp_path, f"{language.name}-{isolation}", Timeout=10,
                          Tags={"polyvisor:isolation": isolation})
             for language in LANGUAGES for isolation in ("function", "request")]
    for name in names:
        assert daemon.invoke(name, {"a": 1}).json() == {"a": 1}
    stop, wrong, outcomes = threading.Event(), [], []

    def caller(name):
        session = requests.Session()
        while not stop.is_set():
            reply = session.post(f"{daemon.url}{conftest.FUNCTIONS}/{name}/invocations", timeout=60,
                                 json={"do": "sleep", "with": {"seconds": 0.02}})
            if reply.status_code == 200 and "X-Amz-Function-Error" not in reply.headers:
                outcomes.append((name, "ok"))
            elif reply.status_code == 200 and reply.json()["errorType"] in ALLOWED:
                outcomes.append((name, reply.json()["errorType"]))
            else:
                wrong.append((name, reply.status_code, reply.text[:300]))

    callers = [threading.Thread(target=caller, args=(name,)) for name in names]
    for each in callers:
        each.start()
    chooser, killed = random.Random(4711), {}
    while sum(killed.values()) < KILLS and not wrong:
        time.sleep(chooser.uniform(0, 0.3))
        part = chooser.choice(PARTS)
        victims = [pid for pid, its, _ in watching.children(daemon) if its == part]
        if victims and watching.kill(chooser.choice(victims)):
            killed[part] = killed.get(part, 0) + 1
    stop.set()
    for each in callers:
        each.join()
    print(killed, {what: sum(1 for each in outcomes if each[1] == what) for what in {each[1] for each in outcomes}})
    assert wrong == []
    assert min(killed.get(part, 0) for part in PARTS) >= KILLS / 10
    for name in names:
        reply = daemon.invoke(name, {"still": "here"})
        assert reply.json() == {"still": "here"}, reply.text
        assert (name, "ok") in outcomes, f"{name} was never served meanwhile"
    assert daemon.process.poll() is None


def test_the_spawner_is_killed(own_daemon, tmp_path):
    daemon = own_daemon("--warm", "python")
    name = create_probe(daemon, LANGUAGES[0], tmp_path)
    for turn in range(5):
        spawner = next(pid for pid, _, name in watching.children(daemon) if "spawn" in name)
        assert watching.kill(spawner)
        time.sleep(0.1)
        other = create_probe(daemon, LANGUAGES[0], tmp_path, f"after-{turn}")
        assert daemon.invoke(other, {"turn": turn}).json() == {"turn": turn}
    assert daemon.invoke(name, {"a": 1}).json() == {"a": 1}


def test_the_supervisor_is_killed(own_daemon, tmp_path):
    """What was acknowledged is there afterwards, and nothing of the dead supervisor's processes is."""
    state, chooser, acknowledged = tmp_path / "state", random.Random(1), {}
    for turn in range(max(KILLS // 20, 3)):
        daemon = own_daemon("--warm", "none", state=state)
        listed = {f["FunctionName"]: f["Description"] for f in daemon.request("GET", conftest.FUNCTIONS).json()["Functions"]}
        assert {name: listed.get(name) for name in acknowledged} == acknowledged
        attempted = dict(acknowledged)
        done = threading.Event()

        def deployer():
            for i in range(1000):
                name = f"f{chooser.randrange(20)}"
                description = f"{turn}-{i}"
                try:
                    if name in acknowledged:
                        reply = daemon.request("PUT", f"{conftest.FUNCTIONS}/{name}/configuration", json={"Description": description})
                    else:
                        reply = create(daemon, name, "python", "app.handler", {"app.py": f"# {i}\n"}, Description=description)
                except requests.RequestException:
                    attempted[name] = description
                    break
                assert reply.status_code in (200, 201), reply.text
                acknowledged[name] = description
            done.set()

        thread = threading.Thread(target=deployer)
        thread.start()
        time.sleep(chooser.uniform(0.05, 0.6))
        children = [pid for pid, _, _ in watching.children(daemon)]
        daemon.kill()
        thread.join()
        deadline = time.monotonic() + 5
        while any(pathlib.Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children)
        # The one that was under way may be there or not.
        daemon = own_daemon("--warm", "none", state=state)
        listed = {f["FunctionName"]: f["Description"] for f in daemon.request("GET", conftest.FUNCTIONS).json()["Functions"]}
        for name, description in acknowledged.items():
            assert listed.get(name) in (description, attempted.get(name)), name
        acknowledged = listed
        daemon.kill()
