"""Every system call of the machine, tried from an isolate and from a function template, against the golden list.

The list is tests/security/golden/system_calls_x86_64.txt: number, name, and allowed, EPERM or ENOSYS. What the
supervisor's table (system_calls.c) says must be the same.
"""

import platform
import re
import subprocess

import pytest

import conftest
import world as worlds

# Newer kernels keep these from filters: they end whoever calls them without having been sent there by a probe.
UNFILTERED = {"uretprobe", "uprobe"}
NEEDS_CAPABILITY = {"setgroups", "move_mount"}  # let through, and refused by the kernel before it looks at the arguments

GOLDEN = worlds.HOSTILE.parent / "golden" / "system_calls_x86_64.txt"
TABLE = conftest.ROOT / "src/supervisor/launch/system_calls.c"

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the golden list is that of x86-64")


def golden():
    rows = [line.split() for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    return {int(number): (name, outcome) for number, name, outcome in rows}


def outcomes(text):
    return {int(number): outcome for number, outcome in (line.split() for line in text.splitlines())}


@pytest.fixture(scope="module")
def calls(world, tmp_path_factory):
    program = tmp_path_factory.mktemp("calls") / "calls"
    subprocess.run(["cc", "-O1", "-o", program, worlds.HOSTILE / "calls.c"], check=True)
    files = {"calls": program.read_bytes(), "at_import.txt": b""}
    world.create_hostile("calls", files, handler="call_all.handler", Timeout=60)
    yield "calls"
    world.remove("calls")


@pytest.mark.parametrize("origin", ["isolate", "template"])
def test_every_call_is_as_in_the_golden_list(world, calls, origin):
    got = outcomes(world.invoke(calls, ["import"] if origin == "template" else [], 60).json())
    expected = {number: outcome for number, (name, outcome) in golden().items() if name not in UNFILTERED}
    assert len(got) == 551
    got = {number: outcome for number, outcome in got.items() if golden()[number][0] not in UNFILTERED}
    assert {number: outcome for number, outcome in got.items() if expected.get(number) != outcome} == {}
    world.check()


@pytest.mark.parametrize("abi", ["x32", "int80"])
def test_no_call_of_another_abi(world, calls, abi):
    got = outcomes(world.invoke(calls, [abi]).json())
    # A kernel without the 32-bit ABI has no such instruction: that ends the process by another signal.
    assert len(got) == 15 and set(got.values()) <= {"killed", "ENOSYS"}, got
    world.check()


def table(name):
    """The names in one of the arrays of system_calls.c."""
    text = re.search(rf"{name}\[\] = \{{(.*?)\n\}};", TABLE.read_text(), re.S).group(1)
    return set(re.findall(r'^\t(?:\{ )?"(\w+)"', text, re.M)) | set(re.findall(r"SCMP_SYS\((\w+)\)", text))


def test_the_golden_list_is_what_the_table_says():
    allowed = (table("calls_allowed") | table("calls_allowed_unusual") | table("calls_pretended") |
               table("calls_with_messages") | {"socket", "socketpair"})
    refused = table("calls_refused") | {"mount"}  # but for a new /proc
    assert not allowed & refused
    for number, (name, outcome) in golden().items():
        if name in UNFILTERED:
            continue
        expected = "EPERM" if name in refused | NEEDS_CAPABILITY else "allowed" if name in allowed else "ENOSYS"
        assert outcome == expected, (number, name)
    count = sum(outcome == "allowed" for _, outcome in golden().values())
    assert f"({count} of the numbers 0 to 550)" in (conftest.ROOT / "SPECIFICATION.md").read_text()
    names = {name for name, _ in golden().values()}
    assert allowed | refused <= names
