"""The programs that face tenants and callers are built so that a fault in them is harder to use."""

import subprocess

import pytest

import conftest

PROGRAMS = ["polyvisor", "src/guest/libpolyvisor.so"]


def readelf(option, program):
    return subprocess.run(["readelf", "-W", option, conftest.BUILD / program], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_memory_is_protected(program):
    segments = {line.split()[0]: line for line in readelf("-l", program).splitlines() if line.startswith("  GNU_")}
    assert "GNU_RELRO" in segments and segments["GNU_STACK"].split()[6] == "RW", segments
    assert not [line for line in readelf("-l", program).splitlines() if line.startswith("  LOAD") and " RWE " in line]
    assert "Type:                              DYN" in readelf("-h", program)
    assert "BIND_NOW" in readelf("-d", program) and "TEXTREL" not in readelf("-d", program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_buffers_are_checked(program):
    names = readelf("--dyn-syms", program)
    assert "__stack_chk_fail" in names and "_chk@GLIBC" in names
