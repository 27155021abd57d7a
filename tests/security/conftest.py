"""The same fixtures as the system tests; and a world in which hostile functions are let loose."""

import importlib.util
import pathlib
import sys

import pytest

SYSTEM = pathlib.Path(__file__).resolve().parents[1] / "system"
sys.path.insert(0, str(SYSTEM))

_spec = importlib.util.spec_from_file_location("conftest", SYSTEM / "conftest.py")
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
globals().update({name: value for name, value in vars(_shared).items() if not name.startswith("__")})


@pytest.fixture(scope="session")
def world(polyvisor, tmp_path_factory):  # noqa: F821
    """One for all tests of hostile functions, since none of them is to harm it; see world.py."""
    import world as worlds
    secret = worlds.make_secret()
    daemon = Daemon(tmp_path_factory.mktemp("hostile") / "state", environment={"SECRET": secret}).start()  # noqa: F821
    made = worlds.World(daemon, secret)
    yield made
    made.close()
    daemon.kill()
