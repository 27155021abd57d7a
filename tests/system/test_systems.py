"""The systems that polyvisor is compared with run the same function, whole, before, during and after load, and end
with everything they started."""

import os
import pathlib
import shutil
import sys

import pytest

import conftest

os.environ.setdefault("POLYVISOR_PROGRAM", str(conftest.POLYVISOR))
sys.path.insert(0, str(conftest.ROOT / "bench"))
import replay  # noqa: E402
import systems  # noqa: E402

EVENT = b'{"kb": 64, "spin_ms": 0, "sleep_ms": 0}'
NEEDS = {"container": "crun"}


@pytest.mark.parametrize("name", systems.NAMES)
def test_a_system_serves_before_during_and_after_load(polyvisor, tmp_path, name):
    for program in filter(None, ("wrk", NEEDS.get(name))):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    shutil.copytree(replay.FOLDER / "python", tmp_path / "function")
    function = replay.Function("f", "python", str(tmp_path / "function"), "app.handler", 64, 256, event=EVENT)
    with systems.make(name) as system:
        system.deploy(function)
        first, second = system.call(function, EVENT), system.call(function, EVENT)
        assert (first.body, first.failure, second.start) == (b'{"kb": 64}', None, "warm") and first.start != "warm"
        load = system.load(function, 2, 1)
        assert load["count"] > 50 and load["errors"] == 0 and load["requests_per_s"] > 25
        assert system.invoke(function, EVENT) == b'{"kb": 64}'
        pids = system.processes()
        assert pids and system.memory_kb() > 3000
        failed = system.call(function, b'{"kb": "much"}')
        assert failed.failure and "TypeError" in failed.failure
    assert not [pid for pid in pids if pathlib.Path(f"/proc/{pid}/exe").exists()]
