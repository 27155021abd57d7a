"""That what is fast stays fast: ratios to floors that are measured in the same run, never times.

The limits of launches are half again what is usual (1.3 to 1.65 of a raw fork), and each is tried a
second time, since a machine that others use can fail any ratio once.
"""

import json
import os
import subprocess

import pytest

import conftest

LAUNCH_LIMITS = {"python": 2.2, "node": 2.5, "java": 2.2}
WARM_LIMIT = 10.0  # 2 to 5 is usual: whether the kernel wakes a bare server on the processor of its client changes the floor threefold
LAUNCHES = 60
TRIES = 2


def bench(folder, *words):
    done = subprocess.run(["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", conftest.POLYVISOR, "bench", *map(str, words)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=150, cwd=folder,
                          env={**os.environ, "TMPDIR": str(folder)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def least(measure, limit):
    """The first ratio that is not above the limit, else the last of the tries."""
    for _ in range(TRIES):
        value = measure()
        if value <= limit:
            break
    return value


@pytest.mark.parametrize("runtime", LAUNCH_LIMITS)
def test_a_launch_is_near_a_raw_fork(polyvisor, tmp_path, runtime):
    def measure():
        found = bench(tmp_path, "launch", "--runtime", runtime, "--count", LAUNCHES, "--no-memory", "--json")
        assert found["count"] == LAUNCHES
        return found["p50_us"] / found["floor_p50_us"]

    assert least(measure, LAUNCH_LIMITS[runtime]) <= LAUNCH_LIMITS[runtime]


def test_a_warm_invocation_is_near_a_bare_reply(polyvisor, tmp_path):
    def measure():
        rows = bench(tmp_path, "throughput", "--language", "python", "--connections", 1, "--seconds", 1, "--rounds", 2, "--json")["result"]["rows"]
        return next(row["p50_over_floor"] for row in rows if row["mode"] == "warm")

    assert least(measure, WARM_LIMIT) <= WARM_LIMIT
