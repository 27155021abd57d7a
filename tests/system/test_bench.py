"""The benches of bench/: what they compute, draw and write, and each of them run for a few seconds."""

import csv
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest

import conftest

BENCH = conftest.ROOT / "bench"
os.environ.setdefault("POLYVISOR_PROGRAM", str(conftest.POLYVISOR))
sys.path.insert(0, str(BENCH))

import document  # noqa: E402
import report as reports  # noqa: E402
import density  # noqa: E402
import load  # noqa: E402
import memory  # noqa: E402
import samples  # noqa: E402
import supervisor  # noqa: E402
import table as tables  # noqa: E402
import verdicts  # noqa: E402

NAMES = ["launches", "throughput", "density", "efficiency", "replay", "peers", "all"]


def bench(folder, *words, check=True, timeout=150):
    """Runs `polyvisor bench` in a world of its own."""
    (folder / "tmp").mkdir(exist_ok=True)
    done = subprocess.run(["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", conftest.POLYVISOR, "bench", *map(str, words)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout, cwd=folder,
                          env={**os.environ, "TMPDIR": str(folder / "tmp"), "POLYVISOR_PROGRAM": "/nowhere"})
    assert not check or done.returncode == 0, done.stderr
    return done


# What they compute

def test_percentiles_are_samples():
    values = [5, 1, 4, 2, 3]
    assert [samples.percentile(values, p) for p in (0, 1, 20, 21, 50, 80, 81, 99, 100)] == [1, 1, 1, 2, 3, 4, 5, 5, 5]
    assert samples.percentile([], 50) is None
    assert samples.summary(values) == {"count": 5, "p50": 3, "p90": 5, "p99": 5, "max": 5}
    assert samples.summary([])["p50"] is None
    assert samples.summary(range(1, 1001)) == {"count": 1000, "p50": 500, "p90": 900, "p99": 990, "max": 1000}


def test_ratios_of_nothing_are_none():
    assert samples.ratio(3, 2) == 1.5
    assert samples.ratio(None, 2) is samples.ratio(3, None) is samples.ratio(3, 0) is None


def test_steps_are_logarithmic():
    assert density.steps(1) == [1]
    assert density.steps(1000) == [1, 10, 100, 1000]
    assert density.steps(300) == [1, 10, 100, 300]


def test_density_leaves_out_what_does_not_fit():
    class Late:
        def __init__(self):
            self.now = 0

        def used(self):
            return self.now

        def left(self):
            return 30 - self.now

    plan = density.Plan.__new__(density.Plan)
    plan.budget, plan.stopped, done = Late(), [], []
    for n in plan.steps(10_000, done):
        done.append(n)
        plan.budget.now += 5  # after 15 of 30 seconds, as much again does not fit beside what ending takes
    assert (done, plan.stopped) == ([1, 10, 100], [1000])


def test_tables_line_up():
    text = tables.table(["name", ">figure"], [["a", 1], ["longer", 1000]])
    assert text.split("\n") == ["name    figure", "a            1", "longer    1000"]
    assert tables.markdown(["name", ">figure"], [["a", 1]]) == "| name | figure |\n|---|---:|\n| a | 1 |"
    assert (tables.us(999.6), tables.us(12345), tables.us(None)) == ("1,000 µs", "12.3 ms", "–")


def test_memory_of_a_process_and_those_below():
    child = subprocess.Popen(["bash", "-c", "sleep 60 & wait"], start_new_session=True)
    try:
        deadline = 100
        while len(memory.tree(child.pid)) < 1 and deadline:
            deadline -= 1
        below = memory.tree(os.getpid())
        assert child.pid in below and len(memory.tree(child.pid)) == 1
        assert 0 < memory.pss_kb([child.pid]) <= memory.rss_kb([child.pid])
        assert memory.pss_kb([2 ** 22 + 1]) == 0
    finally:
        os.killpg(child.pid, 9)
        child.wait()
    assert 0 < memory.available_kb()


def test_a_closed_loop_counts_what_fails():
    calls = []

    def call():
        calls.append(1)
        if len(calls) % 2:
            raise ValueError("no")

    found = load.closed_loop(call, 2, 0.3)
    assert found["errors"] > 0 and found["count"] > 0 and found["first_error"] == "ValueError: no"
    assert len(calls) == found["errors"] + found["count"] and len(found["latencies_us"]) == found["count"]


@pytest.mark.parametrize("language", density.LANGUAGES)
def test_packages_of_density(polyvisor, language, monkeypatch):
    package = density._package(language, 1)
    monkeypatch.setattr(time, "localtime", lambda *at: time.gmtime(2_000_000_000))
    assert density._package(language, 1) == package != density._package(language, 2)


# What they draw and write

def svg(path):
    root = ElementTree.parse(path).getroot()
    return root, " ".join(root.itertext())


@pytest.mark.parametrize("kind, series", [
    ("line", [("first \"one\"", [(1, 2), (10, 3)]), ("$second`", [(1, 4), (10, 5)])]),
    ("step", [("memory", [(0, 2), (1, 3), (5, 1)])]),
    ("cdf", [("fast", [1, 2, 3, 4]), ("slow", list(range(1, 5000)))]),
    ("bars", [("one", [("python", 2), ("java", 3)]), ("two", [("python", 1)])]),
])
def test_plots(tmp_path, kind, series):
    out = reports.Report(tmp_path)
    out.plot("plot", "A title of \"it\"", "time, µs", "share, %", series, kind=kind, logx=kind == "line")
    root, text = svg(tmp_path / "plot.svg")
    assert root.tag.endswith("svg")
    for words in ("A title of \"it\"", "time, µs", "share, %", *(label for label, _ in series)):
        assert words in text
    out.write()
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["plots"] == [{"file": "plot.svg", "title": "A title of \"it\""}]
    assert {"processor", "cores", "memory_mb", "kernel", "versions"} <= set(written["machine"])


def test_nothing_is_drawn_of_nothing(tmp_path):
    out = reports.Report(tmp_path)
    out.plot("plot", "title", "x", "y", [("empty", [])])
    assert out.data["plots"] == [] and not (tmp_path / "plot.svg").exists()


# Verdicts

def launches(p50, p99, floor, first):
    return {"python": {"on_demand": {"p50_us": p50, "p99_us": p99, "floor_p50_us": floor, "p50_over_floor": p50 / floor},
                       "first": {"p50_us": first, "p99_us": first}}}


def verdict_of(steps, part):
    rows = [row for row in verdicts.rows_of(steps) if part in row["aim"]]
    assert rows
    return [row["verdict"] for row in rows]


@pytest.mark.parametrize("figures, verdict", [((200, 500, 100, 1), "met"), ((201, 500, 101, 1), "missed: p50"),
                                              ((200, 501, 100, 1), "missed: p99"), ((190, 400, 90, 1), "missed: ratio"),
                                              ((900, 900, 100, 1), "missed: p50, p99, ratio")])
def test_verdict_of_launches(figures, verdict):
    assert verdict_of({"launches": {"result": launches(*figures)}}, "launch p50") == [verdict]


def test_verdict_of_first_use():
    assert verdict_of({"launches": {"result": launches(1, 1, 1, 10_000)}}, "first use") == ["met"]
    assert verdict_of({"launches": {"result": launches(1, 1, 1, 10_001)}}, "first use") == ["missed"]


def functions(deployed, in_use, supervisor_mb=50, all_mb=2000, growth=1.1):
    return {"functions": [{"functions": 1, "in_use": 1, "launch_p50_us": 10},
                          {"functions": deployed, "in_use": in_use, "supervisor_kb": supervisor_mb * 1024, "system_kb": all_mb * 1024, "pss_kb": 1,
                           "launch_over_first": growth}], "isolates": {}}


@pytest.mark.parametrize("arguments, verdict", [((10_000, 1000), "met"), ((300, 50), "not measured in full"),
                                                ((10_000, 1000, 101), "missed: supervisor"), ((10_000, 1000, 1, 4097), "missed: everything"),
                                                ((10_000, 1000, 1, 1, 1.21), "missed: launch")])
def test_verdict_of_density(arguments, verdict):
    assert verdict_of({"density": {"result": functions(*arguments)}}, "10,000 functions") == [verdict]


@pytest.mark.parametrize("system_kb, pss_kb, verdict", [(614, 300, "met"), (615, 300, "missed"), (-5, 300, "not measured"), (299, 300, "not measured")])
def test_verdict_of_an_isolate(system_kb, pss_kb, verdict):
    isolates = {"python": [{"isolates": 1000, "system_kb_each": system_kb, "pss_more_kb_each": pss_kb}]}
    found = verdict_of({"density": {"result": {**functions(1, 1), "isolates": isolates}}}, "one more idle")
    assert len(found) == 1 and found[0].split(":")[0] == verdict


def test_verdict_of_throughput():
    def row(mode, connections, rate, ratio):
        return {"language": "java", "mode": mode, "connections": connections, "requests_per_s": rate, "p50_us": 10, "p50_over_floor": ratio}

    rows = [row("floor", 1, 9, None), row("warm", 1, 9, 1.51), row("request", 1, 999, 1), row("floor", 32, 9, None),
            row("warm", 32, 20_000, 1), row("request", 32, 1001, 1)]
    steps = {"throughput": {"result": {"rows": rows}}}
    assert verdict_of(steps, "warm, 1 connection") == ["missed"]
    assert verdict_of(steps, "warm, 32 connections") == ["met"]
    assert verdict_of(steps, "a fresh isolate") == ["met"]


def test_verdict_of_a_replay():
    against = {"memory_mean": -96.0, "latency_p99": -90.0, "latency_p50": None}
    assert verdict_of({"replay": {"result": {"against_process": against}}}, "trace:") == ["met", "missed", "missed"]


def test_verdict_of_efficiency():
    def ratio(language, value, **more):
        return {"mode": "steady", "system": "process", "language": language, "ratio": value, "functions": 2, "completed_nothing": 0, **more}

    ratios = [ratio("java", 170.0), ratio("javascript", 26.9), ratio("python", None, completed_nothing=1), ratio("java", 1.0, system="server")]
    assert verdict_of({"efficiency": {"result": {"ratios": ratios}}}, "ops/s/GB") == ["met", "missed", "not measured: there is no ratio"]


def test_what_was_not_measured_is_said():
    rows = verdicts.rows_of({name: {"failed": f"because of {name}"} for name in verdicts.ROWS})
    assert {row["verdict"] for row in rows} == {f"not measured: because of {name}" for name in verdicts.ROWS}
    assert all("left out" in row["verdict"] for row in verdicts.rows_of({}))


# Each of them, for a few seconds

def test_one_table_of_names(polyvisor):
    """polyvisor, which completes and explains names, and the folder, which has the benches, know the same."""
    text = conftest.run_cli("bench", "--help").stdout
    assert re.findall(r"^(\w+)  +\w", text, re.M)[:8] == ["launch", *NAMES]
    listed = subprocess.run(["/usr/bin/python3", BENCH, "--help"], capture_output=True, text=True).stdout
    assert "{" + ",".join(NAMES) + "}" in listed.replace("\n", "").replace(" ", "")
    for name, what in re.findall(r"^(\w+)  +(.+)$", text, re.M)[1:8]:
        assert re.sub(r"\s", "", f"{name}: {what}") in re.sub(r"\s", "", listed)


def test_every_name_has_help(polyvisor):
    for name in NAMES:
        done = conftest.run_cli("bench", name, "--help", check=False)
        if done.returncode == 0:
            assert "--quick" in done.stdout and "--json" in done.stdout and "--report" in done.stdout
        else:
            assert "is missing" in done.stderr


@pytest.mark.parametrize("words, part", [
    (["nothing"], "there is no bench nothing"), (["--json", "density"], "behind its name"),
    (["--endpoint", "http://127.0.0.1:1", "density"], "behind its name"), (["throughput", "--frob"], "--frob"),
])
def test_wrong_words(polyvisor, words, part):
    done = conftest.run_cli("bench", *words, check=False)
    assert done.returncode == 2 and part in done.stderr


def result_of(folder, name, *words):
    answer = json.loads(bench(folder, name, "--quick", "--json", "--report", folder / "report", *words).stdout)
    assert answer["bench"] == name and answer["machine"]["cores"] > 0 and answer["report"] == str(folder / "report")
    written = json.loads((folder / "report/report.json").read_text())
    assert written["results"][name] == answer["result"]
    for file in written["files"]:
        assert (folder / "report" / file).stat().st_size > 0
    assert list((folder / "tmp").iterdir()) == []  # it left nothing behind
    return answer["result"]


def csv_of(path):
    return list(csv.DictReader(path.open()))


def test_launches(polyvisor, tmp_path):
    result = result_of(tmp_path, "launches", "--language", "python", "--count", "25")["python"]
    assert result["on_demand"]["count"] == 25
    assert result["on_demand"]["p50_us"] <= result["on_demand"]["p99_us"] and result["on_demand"]["floor_p50_us"] > 0
    assert result["on_demand"]["memory_per_isolate_kb"] is None
    for kind in ("from_spare", "warm", "first"):
        assert result[kind]["count"] >= 3 and 0 < result[kind]["p50_us"] <= result[kind]["p99_us"] <= result[kind]["max_us"]
    assert set(result["parts"]) == {"fork_us", "sandbox_us", "rest_us", "first_event_us", "count"}
    assert sum(row["kind"].startswith("on demand") for row in csv_of(tmp_path / "report/launches.csv")) == result["parts"]["count"]
    assert (tmp_path / "report/launch-python.svg").exists() and (tmp_path / "report/launch-parts.svg").exists()


def test_throughput(polyvisor, tmp_path):
    rows = result_of(tmp_path, "throughput", "--language", "python", "--connections", "2")["rows"]
    assert [row["mode"] for row in rows] == ["floor", "warm", "request"]
    for row in rows:
        assert row["count"] > 0 and row["errors"] == 0 and row["requests_per_s"] > 0 and row["p50_us"] <= row["p99_us"]
    floor, warm, fresh = rows
    assert fresh["p50_over_floor"] > warm["p50_over_floor"] > 1
    assert [row["mode"] for row in csv_of(tmp_path / "report/throughput.csv")] == ["floor", "warm", "request"]


def test_density(polyvisor, tmp_path):
    result = result_of(tmp_path, "density", "--language", "python", "--isolates", "4", "--templates", "2", "--functions", "12",
                       "--in-use", "3", "--probes", "4")
    assert [row["isolates"] for row in result["isolates"]["python"]] == [1, 4]
    assert [(row["functions"], row["in_use"]) for row in result["functions"]] == [(1, 1), (10, 3), (12, 3)]
    for row in [*result["isolates"]["python"], *result["functions"]]:
        assert row["launch_count"] == 4 and 0 < row["launch_p50_us"] <= row["launch_p99_us"]
        assert 0 < row["supervisor_kb"] < row["pss_kb"]
    assert result["isolates"]["python"][-1]["processes"]["isolate"] >= 4
    assert result["functions"][-1]["processes"]["function template"] >= 3
    assert result["templates"]["python"]["pss_more_kb_each"] > 0


def test_efficiency(polyvisor, tmp_path):
    result = result_of(tmp_path, "efficiency", "--functions", "python-hello", "--seconds", "1")
    rows = {(row["mode"], row["system"], row["language"]): row for row in result["ratios"]}
    assert set(rows) == {("steady", "process", "python"), ("burst", "process", "python")}
    steady = result["functions"][0]["steady"]
    for system in ("polyvisor", "process"):
        assert steady[system]["errors"] == 0 and steady[system]["count"] > 0 and steady[system]["ops_per_s_gb"] > 0
    assert rows["steady", "process", "python"]["ratio"] == pytest.approx(
        steady["polyvisor"]["ops_per_s_gb"] / steady["process"]["ops_per_s_gb"], rel=0.02)


def test_all_without_time_says_so(polyvisor, tmp_path):
    answer = json.loads(bench(tmp_path, "all", "--json", "--minutes", "0", "--report", tmp_path / "report", "--write", tmp_path / "docs").stdout)
    assert {step["failed"] for step in answer["result"]["steps"].values()} == {"no time was left"}
    text = (tmp_path / "docs/performance.md").read_text()
    assert text.count("not measured: no time was left") == len(answer["result"]["verdicts"])


def test_the_document_has_all_tables_plots_and_notes(tmp_path):
    out = reports.Report(tmp_path / "report")
    inner = reports.Report(tmp_path / "report/throughput")
    inner.plot("picture", "The picture", "x", "y", [("a", [(1, 2)])])
    inner.write()
    row = {"language": "node", "mode": "warm", "connections": 8, "requests_per_s": 4321.0, "p50_us": 1, "p90_us": 2, "p99_us": 3,
           "count": 5, "p50_over_floor": 1.25}
    steps = {"throughput": {"result": {"rows": [row, {**row, "mode": "request"}, {**row, "mode": "floor"}], "reply_bytes": 1, "rounds": 1,
                                       "seconds": 1}, "words": ["--rounds", "2"], "seconds": 9},
             "peers": {"failed": "no peer was at home"}}
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/performance-notes.md").write_text("## Notes\n\nWhy it is slow.\n")
    document.write(tmp_path / "docs", out, {"steps": steps, "verdicts": verdicts.rows_of(steps)})
    text = (tmp_path / "docs/performance.md").read_text()
    for part in ("Why it is slow.", "| node | warm | 8 | 4,321 |", "1.25×", "`polyvisor bench throughput --rounds 2`", "no peer was at home",
                 "![The picture](performance/picture.svg)"):
        assert part in text
    assert (tmp_path / "docs/performance/picture.svg").exists()


def test_a_bench_that_is_interrupted_ends_its_supervisor(polyvisor, tmp_path):
    done = subprocess.run(["timeout", "--signal", "INT", "3", conftest.POLYVISOR, "bench", "density", "--language", "python",
                           "--report", tmp_path / "report"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode in (1, 124) and "the bench was interrupted" in done.stderr
    assert list(pathlib.Path(tmp_path).glob("polyvisor-bench-*")) == []


def test_a_supervisor_that_cannot_start_says_why(polyvisor):
    with pytest.raises(supervisor.Failed, match="frobnicate"):
        supervisor.Supervisor(["--frobnicate"])
