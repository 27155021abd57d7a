"""bench peers, of the peers that need nothing from a registry: what it measures, and what it says of
those that it cannot."""

import json
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))

import peer_process  # noqa: E402
import peer_table  # noqa: E402
import peers  # noqa: E402

HERE = {"node.js": shutil.which("node"), "http.server": "/usr/bin/python3", "gunicorn": shutil.which("gunicorn"),
        "httpserver": shutil.which("javac")}


def peer(name):
    return next(each for each in peer_table.peers() if each.name.lower() == name)


@pytest.mark.parametrize("name", HERE)
def test_a_peer_does_the_work_and_leaves_nothing(name):
    if not HERE[name]:
        pytest.skip(f"{name} is not installed")
    with peer(name) as measured:
        idle = peers.measure_idle(measured.idle, (1, 2), 30)
        assert 0 < idle["pss_kb"]["1"] < idle["pss_kb"]["2"], idle
        pids = {pid for instance in measured.running for pid in instance.pids()}
        measured.end_idle()
        found = peers.measure_launches(measured, 2, 30)
        assert measured.version()
    assert found["launch_us"]["count"] == 2 and 0 < found["launch_us"]["p50"] <= found["first_answer_us"]["p99"]
    assert peers.memory.rss_kb(pids) == 0  # nor has what nobody waits for any memory left


def test_polyvisor_is_measured_on_the_same_work(polyvisor_bench):
    result = polyvisor_bench("--only", "polyvisor python,Node.js")["peers"]
    own, node = result["polyvisor python"], result["Node.js"]
    assert "failed" not in own and "failed" not in node, result
    assert 0 < own["launch_us"]["p50"] < own["first_answer_us"]["p50"] < node["first_answer_us"]["p50"]
    assert own["requests"]["32"]["requests_per_s"] > 0 and own["requests"]["32"]["errors"] == 0
    assert own["idle"]["each_kb"]["10"] < own["idle"]["each_kb"]["1"]


@pytest.fixture
def polyvisor_bench(tmp_path):
    if not shutil.which("wrk"):
        pytest.skip("wrk is not installed")

    def run(*words):
        done = subprocess.run(["/usr/bin/python3", str(ROOT / "bench"), "peers", "--quick", "--json", "--report",
                               str(tmp_path), *words], stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["result"]

    return run


def test_a_peer_that_is_not_here_is_reported_with_the_reason(monkeypatch):
    measured = peer("deno")
    monkeypatch.setattr(measured, "needs", [("/nonexistent/deno", "run this")])
    options = type("Options", (), {"quick": True, "count": 1, "seconds": None})
    result = peers.measure_peer(measured, options, 5)
    assert result["failed"] == "/nonexistent/deno is missing: run this" and "launch_us" not in result
    assert "NOT MEASURED" in peers.table({"peers": {"Deno": result}, "floor_spawn_us": peers.floor()})


def test_a_wrong_answer_is_no_answer(monkeypatch):
    measured = peer("http.server")
    text = "import http.server, os; http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), " \
           "http.server.BaseHTTPRequestHandler).serve_forever()"
    monkeypatch.setattr(measured, "command", lambda *_: ["/usr/bin/python3", "-c", text])
    options = type("Options", (), {"quick": True, "count": 1, "seconds": None})
    result = peers.measure_peer(measured, options, 5)
    assert "HTTP/1.0 501" in result["failed"] and "launch_us" not in result


def test_memory_that_is_not_there_is_not_taken(monkeypatch):
    monkeypatch.setattr(peers.memory, "available_kb", lambda: 1000)
    asked = []
    found = peers.measure_idle(lambda count, deadline: asked.append(count) or 100 * count, (1, 10), 5)
    assert asked == [1] and found["pss_kb"] == {"1": 100} and "10 instances would need" in found["ended"]


def test_an_instance_that_ends_says_why():
    instance = peer_process.Instance(["/bin/sh", "-c", "echo no room here >&2; exit 3"], peer_process.supervisor.free_port())
    with pytest.raises(peer_process.Failed, match="no room here"):
        peer_process.connected(instance.port, instance)
    instance.stop()
