"""Many invocations: no error, and nothing of the supervisor or of the machine grows.

POLYVISOR_INVOCATIONS says how many (200,000 by default: what two hours bring at 28 a second). They go by 8 connections
over the three examples, and over probes of every language whose isolates live for one event only, which is what makes
and unmakes namespaces, file systems and control groups.
"""

import json
import multiprocessing
import os
import subprocess
import time

import conftest
import pytest
import requests
import watching
from languages import LANGUAGES, create_probe

COUNT = int(os.environ.get("POLYVISOR_INVOCATIONS", "200000"))
CONNECTIONS = 8
EXAMPLES = ["thumbnail", "invoice-html", "text-statistics"]
STAGES = 10
FRESH = 10  # of so many invocations, one is of a function whose isolates live for one event


def invoke_many(url, work, count):
    """One connection; `work` are the (function, event) that it asks for in turn. Returns what went wrong, at most ten of it."""
    session, wrong = requests.Session(), []
    for turn in range(count):
        name, event = work[turn % len(work)]
        reply = session.post(f"{url}{conftest.FUNCTIONS}/{name}/invocations", data=event, timeout=60)
        if reply.status_code != 200 or "X-Amz-Function-Error" in reply.headers:
            wrong.append((name, reply.status_code, reply.text[:200]))
            if len(wrong) == 10:
                break
    return wrong


def deploy_examples(daemon):
    """The (name, event) of each."""
    work = []
    for example in EXAMPLES:
        folder = conftest.ROOT / "examples" / example
        subprocess.run([folder / "deploy"], check=True, timeout=300, stdout=subprocess.DEVNULL,
                       env={**os.environ, "POLYVISOR": str(conftest.POLYVISOR), "POLYVISOR_ENDPOINT": daemon.url})
        work.append((example, (folder / "event.json").read_bytes()))
    return work


def deploy_fresh(daemon, tmp_path):
    event = json.dumps({"do": "temporary", "with": {"secret": "x" * 4096}}).encode()
    return [(create_probe(daemon, language, tmp_path, f"fresh-{language.name}", Tags={"polyvisor:isolation": "request"}), event)
            for language in LANGUAGES]


def plan(examples, fresh):
    """What each connection asks for: FRESH - 1 times an example, once a fresh isolate, of one language each."""
    return [[examples[i % 3]] * (FRESH - 1) + [fresh[i % len(fresh)]] for i in range(CONNECTIONS)]


def assert_flat(seen):
    """After the warming first stages nothing grows with what was served: the last look against the third."""
    early, late = seen[2], seen[-1]
    limits = {"descriptors": early["descriptors"] + 10, "file systems at hand": early["file systems at hand"] + 2,
              "processes": early["processes"] + 4, "zombies": 2, "mounts": early["mounts"] + 60,
              "control groups": early["control groups"] + 16, "resident_kb": early["resident_kb"] * 1.05 + 512,
              "mounts of the machine": early["mounts of the machine"]}
    grown = {name: (early[name], late[name]) for name, most in limits.items() if late[name] > most}
    assert grown == {}, json.dumps(seen, indent=1)


def test_endurance(own_daemon, tmp_path):
    daemon = own_daemon()
    work = plan(deploy_examples(daemon), deploy_fresh(daemon, tmp_path))
    begun, seen, each = time.monotonic(), [], max(COUNT // (CONNECTIONS * STAGES), 1)
    with multiprocessing.get_context("fork").Pool(CONNECTIONS) as pool:
        for _ in range(STAGES):
            wrong = pool.starmap(invoke_many, [(daemon.url, asked, each) for asked in work])
            assert [w for w in wrong if w] == []
            seen.append(watching.settled(daemon))
    print(f"{each * CONNECTIONS * STAGES} invocations in {time.monotonic() - begun:.0f} s")
    print("\n".join(json.dumps(look) for look in seen))
    stats = daemon.request("GET", "/polyvisor/stats").json()["functions"]
    assert sum(f["invocations"] for f in stats) == each * CONNECTIONS * STAGES
    assert sum(f["errors"] + f["throttles"] for f in stats) == 0
    assert_flat(seen)


def look_after_removal(daemon):
    daemon.remove_all()
    return watching.settled(daemon)


@pytest.mark.parametrize("language", LANGUAGES, ids=[language.name for language in LANGUAGES])
def test_deployments_come_and_go(own_daemon, tmp_path, language):
    """Functions that are made, used, changed and removed leave nothing: no init, no group, no mount, no code."""
    daemon = own_daemon("--warm", language.name)
    turns, seen = max(COUNT // 2000, 5), []
    for _ in range(3):
        for turn in range(turns // 3 + 1):
            name = create_probe(daemon, language, tmp_path, f"passing-{turn % 4}")
            assert daemon.invoke(name, {"turn": turn}).json() == {"turn": turn}
            daemon.request("PUT", f"{conftest.FUNCTIONS}/{name}/configuration", json={"MemorySize": 256})
            assert daemon.invoke(name, {"again": turn}).json() == {"again": turn}
            daemon.request("DELETE", f"{conftest.FUNCTIONS}/{name}")
        seen.append(look_after_removal(daemon))
    early, late = seen[0], seen[-1]
    for figure in ("descriptors", "processes", "mounts", "control groups", "zombies"):
        assert late[figure] <= early[figure] + 2, seen
    assert late["resident_kb"] <= early["resident_kb"] * 1.05 + 1024, seen
