"""`bench replay`: traces are read as they were recorded, what chance adds is the same for the same seed, and a replay
serves all of it. The traces of these tests are made here."""

import collections
import csv
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import openloop  # noqa: E402
import traces  # noqa: E402
from systems.base import Reply  # noqa: E402

QUANTILES = [0, 10, 20, 50, 80, 200, 1000]
MIX = {"node": 0.48, "python": 0.24, "java": 0.28}


def write(path, columns, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def write_2019(folder, counts, memory_by_app=True, quantiles=QUANTILES):
    """As in the original dataset, where memory is by application; counts: {function: invocations of each minute}."""
    minutes = len(next(iter(counts.values())))
    write(folder / "invocations_per_function_md.anon.d01.csv",
          ["HashOwner", "HashApp", "HashFunction", "Trigger", *range(1, minutes + 1)],
          [["o", f"app-{name}", name, "http", *values] for name, values in counts.items()])
    write(folder / "function_durations_percentiles.anon.d01.csv",
          ["HashOwner", "HashApp", "HashFunction", "Average", "Count", "Minimum", "Maximum", *traces.DURATION_COLUMNS],
          [["o", f"app-{name}", name, 60, sum(values), 0, 1000, *quantiles] for name, values in counts.items()])
    key = ["HashOwner", "HashApp"] if memory_by_app else ["HashFunction", "HashOwner", "HashApp"]
    write(folder / "app_memory_percentiles.anon.d01.csv", [*key, "SampleCount", "AverageAllocatedMb"],
          [["o", f"app-{name}", 9, 40 + i] if memory_by_app else [name, "o", "any", 9, 40 + i] for i, name in enumerate(counts)])
    return folder


@pytest.mark.parametrize("memory_by_app", [True, False])
def test_a_trace_of_2019_is_read_as_it_is(tmp_path, memory_by_app):
    trace = traces.read(str(write_2019(tmp_path, {"a": [1, 0, 3], "b": [0, 2, 0]}, memory_by_app)))
    assert trace.minutes == 3
    assert [(each.identity, each.trigger, each.counts, each.memory_mb) for each in trace.functions] == [
        ("a", "http", [1, 0, 3], 40), ("b", "http", [0, 2, 0], 41)]
    assert trace.functions[0].quantiles_ms == QUANTILES


def test_a_trace_of_2021_is_read_as_it_is(tmp_path):
    path = tmp_path / "AzureFunctionsInvocationTraceForTwoWeeksJan2021.txt"
    write(path, ["app", "func", "end_timestamp", "duration"],
          [["x", "f", 100.5, 0.5], ["x", "g", 170, 30], ["x", "f", 160.25, 0.25], ["y", "f", 101, 1]])
    for given in path, tmp_path:
        trace = traces.read(str(given))
        assert {each.identity: each.recorded for each in trace.functions} == {
            "x/f": [(0, 500), (60, 250)], "x/g": [(40, 30000)], "y/f": [(0, 1000)]}
        assert trace.minutes == 2
    assert traces.schedule(trace, 0, 1, 10, 0.1, seed=1) == [(0, 0, 50), (0, 2, 100), (4, 1, 3000)]
    assert traces.schedule(trace, 1, 1, 10, 0.1, seed=1) == [(0, 0, 25)]


@pytest.mark.parametrize("files, said", [
    ({}, "no CSV file in it has a column percentile_Average_50"),
    ({"a.csv": "app,func,duration\n"}, "no CSV file"),
    ({"a.csv": "app,func,end_timestamp,duration\n"}, "no invocation"),
    ({"a.csv": "app,func,end_timestamp,duration\nx,y,soon,1\n"}, "'soon' where a number belongs"),
])
def test_what_is_no_trace_is_told(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(traces.Malformed, match=said):
        traces.read(str(tmp_path))
    with pytest.raises(traces.Malformed, match="no such file"):
        traces.read(str(tmp_path / "nowhere"))


def test_arrivals_keep_the_counts_and_follow_the_seed(tmp_path):
    counts = [5, 0, 200, 1]
    function = traces.read(str(write_2019(tmp_path, {"a": counts, "b": counts}))).functions[0]
    made = traces.arrivals(function, 0, 4, seed=1)
    assert made == sorted(made)
    by_minute = collections.Counter(int(at // 60) for at, _ in made)
    assert [by_minute[minute] for minute in range(4)] == counts
    assert made == traces.arrivals(function, 0, 4, seed=1) != traces.arrivals(function, 0, 4, seed=2)
    assert len(traces.arrivals(function, 2, 1, seed=1)) == 200
    within = sorted(at % 60 for at, _ in made if 120 <= at < 180)
    assert within[0] < 5 and within[-1] > 55 and 20 < within[100] < 40


def test_durations_follow_the_recorded_percentiles(tmp_path):
    assert [traces.duration_at(QUANTILES, share) for share in (0, 0.01, 0.25, 0.375, 0.5, 0.99, 1)] == [
        0, 10, 20, 35, 50, 200, 1000]
    function = traces.read(str(write_2019(tmp_path, {"a": [4000]}))).functions[0]
    durations = sorted(duration for _, duration in traces.arrivals(function, 0, 1, seed=1))
    assert durations[0] >= 0 and durations[-1] <= 1000
    assert abs(durations[2000] - 50) < 4 and abs(durations[1000] - 20) < 3


def test_a_schedule_is_scaled(tmp_path):
    trace = traces.read(str(write_2019(tmp_path, {"a": [30, 30], "b": [10, 0]})))
    plain, fast = (traces.schedule(trace, 0, 2, speed, scale, seed=3) for speed, scale in ((1, 1), (60, 0.5)))
    assert len(plain) == len(fast) == 70
    assert [index for _, index, _ in plain] == [index for _, index, _ in fast]
    assert all(abs(a / 60 - b) < 1e-9 and abs(c * 0.5 - d) < 1e-9 for (a, _, c), (b, _, d) in zip(plain, fast))


def test_functions_are_chosen_by_the_seed(tmp_path):
    trace = traces.read(str(write_2019(tmp_path, {f"f{i}": [1] for i in range(50)})))
    chosen = [[each.identity for each in traces.choose(trace, 10, seed).functions] for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2] and len(set(chosen[0])) == 10
    assert traces.choose(trace, 0, 1) is trace is traces.choose(trace, 50, 1)


def test_languages_are_near_the_mix(tmp_path):
    functions = traces.read(str(write_2019(tmp_path, {f"f{i}": [1] for i in range(100)}))).functions
    counts = {i: 100 if i == 7 else 1 for i in range(100)}
    languages = traces.languages(functions, MIX, 1, counts)
    assert languages == traces.languages(functions, MIX, 1, counts)
    by_function = collections.Counter(languages)
    assert all(abs(by_function[name] / 100 - share) < 0.12 for name, share in MIX.items())
    assert languages[7] == "node", "the busiest function has the commonest language, else the mix is far off"


def test_an_open_loop_calls_when_it_is_time():
    """Three calls at once that take a fifth of a second each: none waits for another, and a failure is a record."""
    import time

    def call(index, argument):
        time.sleep(argument)
        if index == 1:
            raise ValueError("as asked")
        return Reply(b"", "warm")

    schedule = [(0.1, 0, 0.2), (0.1, 1, 0.2), (0.1, 2, 0.2), (0.6, 0, 0)]
    records = sorted(openloop.OpenLoop(call, schedule, threads=8).run(), key=lambda each: (each.due, each.index))
    assert [(each.due, each.index) for each in records] == [(0.1, 0), (0.1, 1), (0.1, 2), (0.6, 0)]
    assert [each.failure for each in records] == [None, "ValueError: as asked", None, None]
    assert all(each.done - each.sent >= 0.2 for each in records[:3]) and records[2].done < 0.6
    assert all(each.sent >= each.due for each in records)


def test_an_open_loop_without_a_free_thread_is_late():
    import time

    def call(index, argument):
        time.sleep(argument)
        return Reply(b"", "warm")

    records = openloop.OpenLoop(call, [(0.0, 0, 0.3), (0.0, 1, 0.0)], threads=1).run()
    assert [each.index for each in records] == [0, 1]
    assert records[1].sent - records[1].due >= 0.3


def replay(tmp_path, *words):
    done = subprocess.run([sys.executable, ROOT / "bench", "replay", write_trace(tmp_path), "--json", "--report", tmp_path / "report", *words],
                          capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["result"]


def write_trace(tmp_path):
    folder = tmp_path / "trace"
    folder.mkdir()
    counts = {"a": [40, 60, 40], "b": [1, 0, 1], "c": [0, 3, 2], "d": [0, 0, 1]}
    return write_2019(folder, counts, quantiles=[each * 20 for each in QUANTILES])


def test_a_replay_serves_all_and_tells_what_it_took(polyvisor, tmp_path, monkeypatch):
    monkeypatch.setenv("POLYVISOR_PROGRAM", str(polyvisor))
    result = replay(tmp_path, "--minutes", "3", "--warm-up", "0", "--speed", "60", "--systems", "polyvisor,process")
    assert (result["invocations"], result["functions_invoked"], result["seconds"]) == (148, 4, 3)
    for name in "polyvisor", "process":
        system = result["systems"][name]
        assert (system["served"], system["failed"], system["unfinished"]) == (148, 0, 0), system["first_failure"]
        assert 4 <= system["cold"] < 148 and sum(system["starts"].values()) == 148
        assert system["latency_ms"]["p50"] >= result["duration_ms"]["p50"]
        assert system["memory"]["pss_peak_mb"] > 10 and system["memory"]["processes_peak"] >= 4
    assert set(result["systems"]["process"]["starts"]) == {"exec", "warm"}
    assert result["against_process"]["memory_mean"] is not None
    with open(tmp_path / "report/replay-invocations.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 148 and {row["language"] for row in rows} <= {"node", "python", "java"}
    assert os.path.getsize(tmp_path / "report/replay-memory.csv") > 50


def test_policies_are_replayed_one_by_one(polyvisor, tmp_path, monkeypatch):
    """With nothing kept, more invocations wait for a start than with all kept."""
    monkeypatch.setenv("POLYVISOR_PROGRAM", str(polyvisor))
    result = replay(tmp_path, "--minutes", "3", "--warm-up", "0", "--speed", "60", "--keep-alive", "60,6000", "--spin", "0")
    short, long = result["policies"]
    assert (short["keep_alive_s"], long["keep_alive_s"]) == (60, 6000)
    assert short["served"] == long["served"] == 148
    assert short["cold"] >= long["cold"] >= 4
