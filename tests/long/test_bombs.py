"""Every bomb in every language, with two innocent neighbours: their p99 stays below twice the quiet one.

Quiet and loud rounds take turns within one run, so that what others do on the machine falls on both; of three tries one must do.
"""

import concurrent.futures
import importlib.util
import pathlib

import conftest
import pytest
from languages import LANGUAGES, create_probe

_path = pathlib.Path(__file__).resolve().parents[1] / "security" / "test_limits.py"
_spec = importlib.util.spec_from_file_location("limits_of_security", _path)
limits = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(limits)

BOMBS = [*limits.ATTACKS, ("log flood", "flood", {"kb": 20000})]
TRIES, ROUNDS = 3, 3


@pytest.fixture(scope="module")
def daemon(polyvisor, tmp_path_factory):
    daemon = conftest.Daemon(tmp_path_factory.mktemp("bombs") / "state").start()
    daemon.folder = tmp_path_factory.mktemp("classes")
    for number in (1, 2):
        limits.assert_serves(daemon, create_probe(daemon, LANGUAGES[number % len(LANGUAGES)], daemon.folder, f"neighbour-{number}"))
    yield daemon
    daemon.stop()


def both(daemon, seconds):
    """The p99 of each neighbour, called at the same time."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return [limits.p99(times) for times in pool.map(lambda n: limits.times_of(daemon, f"neighbour-{n}", seconds), (1, 2))]


def one_try(daemon, name, do, given):
    """(quiet, loud) of each neighbour: of some rounds in turn, the medians."""
    rounds = []
    for _ in range(ROUNDS):
        quiet = both(daemon, 0.5)
        with limits.Attack(daemon, name, do, given):
            rounds.append((quiet, both(daemon, 0.8)))
    return [tuple(sorted(each[kind][n] for each in rounds)[ROUNDS // 2] for kind in (0, 1)) for n in (0, 1)]


@pytest.mark.parametrize("language", LANGUAGES, ids=[language.name for language in LANGUAGES])
@pytest.mark.parametrize("what,do,given", BOMBS, ids=[row[0].replace(" ", "-") for row in BOMBS])
def test_neighbours_of_a_bomb(daemon, what, do, given, language):
    name = create_probe(daemon, language, daemon.folder, f"bomb-{language.name}", Timeout=3,
                        Tags={"polyvisor:isolation": "request"})
    limits.assert_serves(daemon, name)
    tries = []
    try:
        while len(tries) < TRIES and not any(all(loud < 2 * quiet + limits.SLACK for quiet, loud in each) for each in tries):
            tries.append(one_try(daemon, name, do, given))
    finally:
        daemon.request("DELETE", f"{conftest.FUNCTIONS}/{name}")
    print(what, language.name, [[f"{quiet * 1000:.1f} -> {loud * 1000:.1f} ms" for quiet, loud in each] for each in tries])
    assert any(all(loud < 2 * quiet + limits.SLACK for quiet, loud in each) for each in tries), tries
    limits.assert_serves(daemon, "neighbour-1", "neighbour-2")
