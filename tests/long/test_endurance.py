"""Many invocations: no error, and nothing of the supervisor grows.

POLYVISOR_INVOCATIONS says how many (100,000 by default), over the three examples, by 8 connections.
"""

import json
import multiprocessing
import os
import pathlib
import subprocess

import conftest
import requests

COUNT = int(os.environ.get("POLYVISOR_INVOCATIONS", "100000"))
CONNECTIONS = 8
EXAMPLES = ["thumbnail", "invoice-html", "text-statistics"]
STAGES = 10


def invoke_many(url, example, event, count):
    """One connection; returns what went wrong, at most ten of it."""
    session, wrong = requests.Session(), []
    for _ in range(count):
        reply = session.post(f"{url}{conftest.FUNCTIONS}/{example}/invocations", data=event, timeout=60)
        if reply.status_code != 200 or "X-Amz-Function-Error" in reply.headers:
            wrong.append((reply.status_code, reply.text[:200]))
            if len(wrong) == 10:
                break
    return wrong


def figures(daemon):
    """Descriptors and resident kilobytes of the supervisor, and the processes of its namespace."""
    process = pathlib.Path(f"/proc/{daemon.pid}")
    status = (process / "status").read_text()
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    inside = [p for p in (process / "root/proc").iterdir() if p.name.isdigit()]
    return {"descriptors": len(list((process / "fd").iterdir())), "processes": len(inside), "resident_kb": resident,
            "mounts": len((process / "mountinfo").read_text().splitlines())}


def test_endurance(own_daemon):
    daemon = own_daemon()
    events = {}
    for example in EXAMPLES:
        folder = conftest.ROOT / "examples" / example
        subprocess.run([folder / "deploy"], check=True, timeout=300, stdout=subprocess.DEVNULL,
                       env={**os.environ, "POLYVISOR": str(conftest.POLYVISOR), "POLYVISOR_ENDPOINT": daemon.url})
        events[example] = (folder / "event.json").read_bytes()
    seen = []
    with multiprocessing.get_context("fork").Pool(CONNECTIONS) as pool:
        each = max(COUNT // (CONNECTIONS * STAGES), 1)
        for _ in range(STAGES):
            work = [(daemon.url, EXAMPLES[i % 3], events[EXAMPLES[i % 3]], each) for i in range(CONNECTIONS)]
            assert [wrong for wrong in pool.starmap(invoke_many, work) if wrong] == []
            seen.append(figures(daemon))
    print(json.dumps(seen))
    stats = daemon.request("GET", "/polyvisor/stats").json()["functions"]
    assert sum(f["invocations"] for f in stats) == each * CONNECTIONS * STAGES
    assert sum(f["errors"] + f["throttles"] for f in stats) == 0
    early, late = seen[2], seen[-1]
    assert late["descriptors"] <= early["descriptors"] + 10, seen
    assert late["processes"] <= early["processes"] + 2, seen
    assert late["mounts"] == early["mounts"], seen
    assert late["resident_kb"] <= early["resident_kb"] * 1.05 + 512, seen
